//! Settings, presets and names of environments, as text.

use std::collections::BTreeMap;

use gbrl_core::Error;
use gbrl_core::config::{ALL, Settings, TreeParams};
use gbrl_core::rl::algo::ppo;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_stub_gen::derive::gen_stub_pyfunction;
use toml::{Table, Value};

use crate::error::to_py;

/// The defaults, changed by what `given` says.
pub fn settings(given: &BTreeMap<String, String>) -> PyResult<Settings> {
    let mut settings = Settings::default();
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

/// Every setting there is: a dictionary each with its section, name, kind, default, rule, unit and doc.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
pub fn parameters() -> Vec<BTreeMap<&'static str, String>> {
    let row = |def: &gbrl_core::config::ParamDef| {
        BTreeMap::from([
            ("section", def.section.to_owned()),
            ("name", def.name.to_owned()),
            ("kind", def.kind.to_owned()),
            ("default", (def.default)()),
            ("rule", def.rule.to_owned()),
            ("unit", def.unit.to_owned()),
            ("doc", def.doc.trim().to_owned()),
        ])
    };
    ALL.iter().map(row).collect()
}

/// Names of the environments written in Rust that this build can make.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
pub fn environments() -> Vec<&'static str> {
    envs::specs().iter().filter(|spec| spec.is_available()).map(|spec| spec.id).collect()
}

/// Settings of the preset `name` ("paper" or "default") for the environment `env`; those that have none of their own
/// share one.
///
/// Raises ValueError for a preset that there is not.
#[gen_stub_pyfunction(module = "gbrl_rs._gbrl")]
#[pyfunction]
#[pyo3(signature = (env, name = "default"))]
pub fn preset(env: &str, name: &str) -> PyResult<BTreeMap<String, String>> {
    let file = envs::presets::of(env).unwrap_or(envs::presets::GENERIC);
    let tables: Table = file.parse().map_err(|error| PyValueError::new_err(format!("presets of {env}: {error}")))?;
    let known = tables.iter().filter(|(_, of)| of.get(ppo::NAME).is_some()).map(|(name, _)| name.as_str());
    let Some(Value::Table(values)) = tables.get(name).and_then(|of| of.get(ppo::NAME)) else {
        return Err(to_py(Error::unknown_name(format!("preset of {env}"), name, known)));
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let settings = values.iter().filter(|(key, _)| *key != "source");
    Ok(settings.map(|(key, value)| (key.clone(), text(value))).collect())
}
