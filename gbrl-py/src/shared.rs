//! What several threads of Python use at once.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use gbrl_core::Result;
use pyo3::prelude::*;

use crate::doorway::{Stop, apart};
use crate::error::to_py;

/// Something behind a lock that waits without the GIL, also after someone's panic.
///
/// It may be locked for writing only by work that waits for nobody: never while Python code may run on the same thread.
pub struct Shared<T>(RwLock<T>);

impl<T: Send + Sync> Shared<T> {
    pub fn new(inner: T) -> Self {
        Shared(RwLock::new(inner))
    }

    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at it: here and now where the work `is_short` and nobody changes it, apart otherwise.
    pub fn look<R: Send>(
        &self,
        py: Python<'_>,
        is_short: impl FnOnce(&T) -> bool,
        work: impl FnOnce(&T, &Stop) -> Result<R> + Send,
    ) -> PyResult<R> {
        let free = match self.0.try_read() {
            Ok(inner) => Some(inner),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        match free.filter(|inner| is_short(inner)) {
            Some(inner) => work(&inner, &Stop::default()).map_err(to_py),
            None => apart(py, |stop| work(&self.read(), stop)),
        }
    }

    /// Changes it in no time: here and now where nobody else has it, apart otherwise.
    pub fn change<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> Result<R> + Send) -> PyResult<R> {
        match self.0.try_write() {
            Ok(mut inner) => work(&mut inner).map_err(to_py),
            Err(TryLockError::Poisoned(poisoned)) => work(&mut poisoned.into_inner()).map_err(to_py),
            Err(TryLockError::WouldBlock) => apart(py, |_| work(&mut self.write())),
        }
    }
}
