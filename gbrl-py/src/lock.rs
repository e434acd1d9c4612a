//! The lock of a run's folder.

use std::sync::Mutex;

use gbrl_core::io;
use pyo3::prelude::*;
use pyo3_stub_gen::derive::{gen_stub_pyclass, gen_stub_pymethods};

use crate::agent::lock;
use crate::error::to_py;
use crate::stub::FilePath;

/// Whoever holds it is the only one who trains in a folder, this program and `gbrl` alike, until it is released or its
/// process ends. Where that is killed, processes that it forked keep it until they end.
///
/// Raises OSError, naming the folder, where another process trains there.
#[gen_stub_pyclass]
#[pyclass(module = "gbrl_rs._gbrl", frozen)]
pub struct FolderLock(Mutex<Option<io::FolderLock>>);

#[gen_stub_pymethods]
#[pymethods]
impl FolderLock {
    #[new]
    fn new(folder: FilePath) -> PyResult<Self> {
        io::FolderLock::take(folder.0).map(|taken| FolderLock(Mutex::new(Some(taken)))).map_err(to_py)
    }

    /// Lets others in.
    fn release(&self) {
        *lock(&self.0) = None;
    }
}
