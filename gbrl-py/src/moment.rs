//! Where an agent and its environments stood together.

use gbrl_core::rl::algo::AgentState;
use gbrl_core::rl::vec_env::VecEnvState;
use gbrl_core::rng::Stream;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_stub_gen::derive::{gen_stub_pyclass, gen_stub_pymethods};

use crate::agent::json;
use crate::error::to_py;

/// Where an agent and its environments stand before a rollout: what is saved while they make it. No tree is copied: the
/// agent still has them, until the rollout after that begins.
#[gen_stub_pyclass]
#[pyclass(module = "gbrl_rs._gbrl", frozen)]
pub struct Moment {
    pub agent: AgentState,
    pub predictions: Stream,
    pub environments: VecEnvState,
}

#[gen_stub_pymethods]
#[pymethods]
impl Moment {
    /// What VecEnv.restore takes.
    fn environments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, json(&self.environments).map_err(to_py)?.as_bytes()))
    }
}
