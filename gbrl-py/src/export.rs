//! A policy as a program of its own.

use gbrl_core::error::Result;
use gbrl_core::export::{self, Order, Rows};
use gbrl_core::io::model;
use gbrl_core::rl::policy::Policy;
use numpy::{Ix2, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3_stub_gen::derive::gen_stub_pyfunction;

use crate::agent::Agent;
use crate::arrays::{rows, slice};
use crate::error::to_py;
use crate::stub::{FilePath, Flags};

/// Writes the policy of an agent into a folder as "c", "rust", "bin", "onnx", "wasm" or "json", its leaves as they are or
/// quantised ("none", "int16", "int8"), after it has decided on states as the agent does: a file of a run or rows,
/// float32 [n, n_features], with masks or without. name is in front of every public name. Gives the report as JSON.
///
/// Raises ValueError for what is none of these, NotImplementedError for a policy that cannot be exported, and DeviceError
/// where a compiler is missing.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
#[pyo3(signature = (agent, folder, format, quantize, value, name, timesteps, file = None, observations = None, masks = None))]
#[expect(clippy::too_many_arguments, reason = "Python's keyword arguments")]
pub fn export_policy(
    py: Python<'_>,
    agent: &Agent,
    folder: FilePath,
    format: &str,
    quantize: &str,
    value: bool,
    name: Option<String>,
    timesteps: u64,
    file: Option<FilePath>,
    observations: Option<PyReadonlyArray2<'_, f32>>,
    masks: Option<Flags<'_, Ix2>>,
) -> PyResult<String> {
    let (format, quantize) = (format.parse().map_err(to_py)?, quantize.parse().map_err(to_py)?);
    let given = match &observations {
        None => Rows::default(),
        Some(observations) => Rows {
            observations: rows("states", observations, agent.n_features())?.to_vec(),
            masks: masks.as_ref().map_or(Ok(&[][..]), |masks| slice("action_masks", &masks.0))?.to_vec(),
        },
    };
    agent.look(py, usize::MAX, |agent, _| -> Result<String> {
        let bytes = model::to_bytes(&agent.model(timesteps)?)?;
        let policy = Policy::from_model(model::from_bytes(&bytes)?, 0)?;
        let states = file.map_or(Ok(given), |file| Rows::load(file.0, policy.head().n_features()))?;
        let name = name.unwrap_or_else(|| export::name_of(&policy));
        let exported = export::export(&policy, &Order { format, quantize, value, name }, &states)?;
        let files = exported.write(folder.0)?;
        let mut report = exported.report.to_json(&files);
        report["text"] = exported.report.to_string().into();
        Ok(report.to_string())
    })
}
