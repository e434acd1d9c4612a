//! Settings, presets and names of environments, as text.

use std::collections::BTreeMap;

use gbrl_core::config::{ALL, Algorithm, ParamDef, ParamValue, Schedule, Settings, TreeParams};
use gbrl_core::io::container::write_atomic;
use gbrl_core::{Error, Result};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_stub_gen::derive::gen_stub_pyfunction;
use toml::{Table, Value};

use crate::error::to_py;
use crate::stub::FilePath;

/// The algorithm's defaults, changed by what `given` says.
pub fn settings(algo: &str, given: &BTreeMap<String, String>) -> PyResult<Settings> {
    let mut settings = Settings::new(Algorithm::parse(algo).map_err(to_py)?);
    for (key, value) in given {
        settings.set(key, value).map_err(to_py)?;
    }
    Ok(settings)
}

/// The defaults of the trees, changed by what `given` says.
pub fn tree_params(given: &BTreeMap<String, String>) -> PyResult<TreeParams> {
    let mut params = TreeParams::default();
    for (key, value) in given {
        params.set(key, value).map_err(to_py)?;
    }
    Ok(params)
}

/// Every setting there is, or those of an algorithm with its defaults: a dictionary each with its section, name, kind,
/// default, rule, unit and doc, and as "decides" whether ("true" or "false") another value makes another experiment.
///
/// Raises ValueError for an unknown algorithm.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
#[pyo3(signature = (algo = None))]
pub fn parameters(algo: Option<&str>) -> PyResult<Vec<BTreeMap<&'static str, String>>> {
    let settings = algo.map(|name| Algorithm::parse(name).map(Settings::new)).transpose().map_err(to_py)?;
    let row = |def: &ParamDef| {
        let own = settings.as_ref().and_then(|settings| settings.get(def.name));
        BTreeMap::from([
            ("section", def.section.to_owned()),
            ("name", def.name.to_owned()),
            ("kind", def.kind.to_owned()),
            ("default", own.unwrap_or_else(def.default)),
            ("rule", def.rule.to_owned()),
            ("unit", def.unit.to_owned()),
            ("doc", def.doc.trim().to_owned()),
            ("decides", def.decides().to_string()),
        ])
    };
    Ok(match &settings {
        Some(settings) => settings.defs().map(row).collect(),
        None => ALL.iter().map(row).collect(),
    })
}

/// Names of the environments written in Rust that this build can make.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
pub fn environments() -> Vec<&'static str> {
    envs::specs().iter().filter(|spec| spec.is_available()).map(|spec| spec.id).collect()
}

/// Settings of the preset `name` ("paper", "default" or "generic") of an algorithm for the environment `env`; "generic" is the
/// same for all, and the default of those that have none of their own.
///
/// Raises ValueError for a preset that there is not.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
#[pyo3(signature = (env, name = "default", algo = "ppo"))]
pub fn preset(env: &str, name: &str, algo: &str) -> PyResult<BTreeMap<String, String>> {
    let algo = Algorithm::parse(algo).map_err(to_py)?.name();
    let mut known = vec!["default".to_owned()];
    let stand_in = if name == "default" { "generic" } else { name };
    for (file, name) in [(envs::presets::of(env).unwrap_or_default(), name), (envs::presets::GENERIC, stand_in)] {
        let tables: Table =
            file.parse().map_err(|error| PyValueError::new_err(format!("presets of {env}: {error}")))?;
        if let Some(Value::Table(values)) = tables.get(name).and_then(|of| of.get(algo)) {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let settings = values.iter().filter(|(key, _)| *key != "source");
            return Ok(settings.map(|(key, value)| (key.clone(), text(value))).collect());
        }
        let of_algo = tables.into_iter().filter(|(name, of)| name != "default" && of.get(algo).is_some());
        known.extend(of_algo.map(|(name, _)| name));
    }
    let near = Error::unknown_name(format!("preset of {env}"), name, known.iter().map(String::as_str));
    Err(PyValueError::new_err(format!("{near} (there is {})", known.join(", "))))
}

/// What a schedule such as "lin_0.1" is at progress, 0 to 1; name is whose it is.
///
/// Raises ValueError for a text that is none, and for one that leaves the range of learning rates.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
pub fn schedule_at(name: &str, text: &str, progress: f64) -> PyResult<f64> {
    Ok(schedule(name, text).map_err(to_py)?.at(progress))
}

/// The schedule called `name` that `text` says.
pub fn schedule(name: &str, text: &str) -> Result<Schedule> {
    let rule = "a number, or a text such as lin_0.1, linear:0.1:0.01 or cosine:0.1:0.01";
    let schedule = Schedule::parse(text).ok_or_else(|| Error::parameter(name, text, rule))?;
    schedule.check(name)?;
    Ok(schedule)
}

/// Writes a file in one step: path holds the old bytes or the new ones, whatever happens. A link stays one, and an old
/// file's mode the same.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
pub fn write_file(py: Python<'_>, path: FilePath, data: Bound<'_, PyBytes>) -> PyResult<()> {
    let data = data.as_bytes();
    py.detach(|| write_atomic(path.0, data)).map_err(to_py)
}
