//! Trees alone, for whoever computes gradients elsewhere.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use gbrl_core::boost::{self, Targets};
use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::ensemble::{Ensemble, Optimizer, OutputGroup};
use gbrl_core::error::{Error, Result};
use gbrl_core::io::{Model, ModelRef, model};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3_stub_gen::derive::{gen_stub_pyclass, gen_stub_pymethods};
use serde_json::Value;

use crate::agent::SHORT;
use crate::arrays::{matrix, rows, slice};
use crate::doorway::{apart, long};
use crate::error::to_py;
use crate::shared::Shared;
use crate::stub::FilePath;
use crate::{look, settings};

/// Observations, targets, weights.
type Rows<'py> = (PyReadonlyArray2<'py, f32>, PyReadonlyArray2<'py, f32>, Option<PyReadonlyArray1<'py, f32>>);

/// Losses after each tree: of the rows that are learnt from, and of those that are not.
type Curves<'py> = (Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>);

/// Gradient-boosted trees with vector leaves, grown one per step.
///
/// features are (name, "numeric" | "strings" | "codes:N"); groups are (name, columns, learning rate, "sgd" | "adam") and
/// follow one another; settings are those of the section "tree". n_threads 0 means one per processor and changes no byte
/// of any result.
///
/// Threads and handlers of signals may use it at once: they get their turn when another's step or fit is done.
///
/// Raises ValueError for anything out of range.
#[gen_stub_pyclass]
#[pyclass(module = "gbrl_rs._gbrl", frozen)]
pub struct Booster {
    inner: Shared<boost::Booster>,
    /// Input columns.
    #[pyo3(get)]
    n_features: usize,
    /// Output columns.
    #[pyo3(get)]
    n_outputs: usize,
}

#[gen_stub_pymethods]
#[pymethods]
impl Booster {
    #[new]
    #[pyo3(signature = (features, groups, settings, seed = 0, n_threads = 0))]
    fn new(
        features: Vec<(String, String)>,
        groups: Vec<(String, usize, String, String)>,
        settings: BTreeMap<String, String>,
        seed: u64,
        n_threads: usize,
    ) -> PyResult<Self> {
        let params = settings::tree_params(&settings)?;
        let ensemble = ensemble(features, groups).map_err(to_py)?;
        let inner = boost::Booster::new(ensemble, params, seed, n_threads).map_err(to_py)?;
        Ok(Booster::around(inner))
    }

    /// Adds a tree fitted to gradients, float32 [n, n_outputs], of observations, float32 [n, n_features]: d loss_row /
    /// d output_row, per row, not divided by n. weights are float32 [n].
    ///
    /// Returns n_trees (added), n_leaves, depth and n_rows (after subsampling). O(n · features · depth), whatever the
    /// number of trees already there, unless control variates or Adam need what those said.
    #[pyo3(signature = (observations, gradients, weights = None))]
    fn step(
        &self,
        py: Python<'_>,
        observations: PyReadonlyArray2<'_, f32>,
        gradients: PyReadonlyArray2<'_, f32>,
        weights: Option<PyReadonlyArray1<'_, f32>>,
    ) -> PyResult<BTreeMap<&'static str, usize>> {
        let observations = rows("observations", &observations, self.n_features)?;
        let gradients = rows("gradients", &gradients, self.n_outputs)?;
        let weights = weights.as_ref().map(|weights| slice("weights", weights)).transpose()?;
        let report = long(py, || self.inner.write().step_once(observations, gradients, weights))?;
        Ok(BTreeMap::from([
            ("n_trees", report.n_trees),
            ("n_leaves", report.n_leaves),
            ("depth", report.depth),
            ("n_rows", report.n_rows),
        ]))
    }

    /// Adds n_trees trees that lower ½‖output − y‖² over x, float32 [n, n_features], and y, float32 [n, n_outputs], each row
    /// by its weight, float32 [n].
    ///
    /// Returns the loss, averaged over rows, after each tree, float64 [n_trees], and that of the validation rows (x, y,
    /// weights), which are not learnt from: empty without. Once patience trees have not lowered that one by more than tol,
    /// no more are grown. An ensemble without trees and with a bias of zero starts from the means of y. Ctrl-C ends it
    /// between two trees; those that are there stay.
    #[pyo3(signature = (x, y, n_trees, weights = None, validation = None, patience = None, tol = 0.0))]
    fn fit<'py>(
        &self,
        py: Python<'py>,
        x: PyReadonlyArray2<'py, f32>,
        y: PyReadonlyArray2<'py, f32>,
        n_trees: usize,
        weights: Option<PyReadonlyArray1<'py, f32>>,
        validation: Option<Rows<'py>>,
        patience: Option<usize>,
        tol: f64,
    ) -> PyResult<Curves<'py>> {
        let training = targets(&x, &y, weights.as_ref())?;
        let held_out = validation.as_ref().map(|(x, y, weights)| targets(x, y, weights.as_ref())).transpose()?;
        let (losses, held_out) = apart(py, |stop| {
            let (mut losses, mut others) = (Vec::new(), Vec::new());
            let (mut best, mut since) = (f64::INFINITY, 0);
            self.inner.write().fit_while(&training, held_out.as_ref(), |last| {
                losses.extend(last.map(|last| last.training));
                if let Some(loss) = last.and_then(|last| last.validation) {
                    others.push(loss);
                    since = if loss < best - tol { 0 } else { since + 1 };
                    best = best.min(loss);
                }
                let is_enough = losses.len() >= n_trees || patience.is_some_and(|patience| since >= patience);
                if is_enough { ControlFlow::Break(()) } else { stop.poll() }
            })?;
            Ok((losses, others))
        })?;
        Ok((PyArray1::from_vec(py, losses), PyArray1::from_vec(py, held_out)))
    }

    /// Outputs for observations, float32 [n, n_outputs], by the bias and trees start to stop (all by default).
    #[pyo3(signature = (observations, start = 0, stop = None))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
        start: usize,
        stop: Option<usize>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let (n, width) = (observations.as_array().nrows(), self.n_outputs);
        let given = rows("observations", &observations, self.n_features)?;
        let out = self.look(py, n, |booster| {
            let mut out = vec![0.0; n * width];
            booster.predict_range(given, start..stop.unwrap_or(booster.n_trees()), 0..width, &mut out)?;
            Ok(out)
        })?;
        matrix(py, out, width)
    }

    /// Which leaf of every tree each observation falls into, uint32 [n, n_trees].
    fn leaf_index<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let (n, width) = (observations.as_array().nrows(), self.n_features);
        let given = rows("observations", &observations, width)?;
        let (leaves, n_trees) = self.look(py, n, |booster| {
            let trees = booster.ensemble().trees();
            let of_row = |row: &[f32]| trees.iter().map(|tree| tree.leaf_idx(row) as u32).collect::<Vec<_>>();
            Ok((given.chunks_exact(width).flat_map(of_row).collect::<Vec<u32>>(), trees.len()))
        })?;
        let array = PyArray1::from_vec(py, leaves);
        numpy::PyArrayMethods::reshape(&array, [n, n_trees])
    }

    /// Where every output starts, float32 [n_outputs].
    #[getter]
    fn bias<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        Ok(PyArray1::from_vec(py, self.look(py, 0, |booster| Ok(booster.ensemble().bias().to_vec()))?))
    }

    /// Sets where every output starts, float32 [n_outputs].
    fn set_bias(&self, py: Python<'_>, bias: PyReadonlyArray1<'_, f32>) -> PyResult<()> {
        let bias = slice("bias", &bias)?;
        self.inner.change(py, |booster| booster.set_bias(bias))
    }

    /// Gives a group another learning rate, for the trees to come.
    fn set_rate(&self, py: Python<'_>, group_idx: usize, schedule: &str) -> PyResult<()> {
        let rate = settings::schedule("learning_rate", schedule).map_err(to_py)?;
        self.inner.change(py, |booster| booster.set_rate(group_idx, rate))
    }

    /// Where the run stands, 0 to 1: what learning-rate schedules go by.
    fn set_progress(&self, py: Python<'_>, progress: f64) -> PyResult<()> {
        self.inner.change(py, |booster| {
            booster.set_progress(progress);
            Ok(())
        })
    }

    /// Another root of the subsampling, for the trees to come.
    fn set_seed(&self, py: Python<'_>, seed: u64) -> PyResult<()> {
        self.inner.change(py, |booster| {
            booster.set_seed(seed);
            Ok(())
        })
    }

    /// The code of a string in a column of strings; a new one gets the next code where learn is true, −1 otherwise.
    #[pyo3(signature = (feature_idx, text, learn = false))]
    fn encode(&self, py: Python<'_>, feature_idx: usize, text: &str, learn: bool) -> PyResult<f32> {
        match learn {
            true => self.inner.change(py, |booster| booster.learn(feature_idx, text)),
            false => self.look(py, 0, |booster| look::code(booster.ensemble(), feature_idx, text)),
        }
    }

    /// Names of the output columns.
    #[getter]
    fn output_names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.look(py, 0, |booster| Ok(look::output_names(booster.ensemble())))
    }

    /// Names of the input columns.
    #[getter]
    fn feature_names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.look(py, 0, |booster| Ok(look::feature_names(booster.ensemble())))
    }

    /// Trees so far.
    #[getter]
    fn n_trees(&self, py: Python<'_>) -> PyResult<usize> {
        self.look(py, 0, |booster| Ok(booster.n_trees()))
    }

    /// Importance of every feature, "gain" or "count", float64 [n_features], normalised to a sum of 1.
    #[pyo3(signature = (kind = "gain"))]
    fn importance<'py>(&self, py: Python<'py>, kind: &str) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let importance = self.look(py, usize::MAX, |booster| look::importance(booster.ensemble(), kind))?;
        Ok(PyArray1::from_vec(py, importance))
    }

    /// A tree as "text", "dot" or "json".
    #[pyo3(signature = (tree_idx, format = "text"))]
    fn tree(&self, py: Python<'_>, tree_idx: usize, format: &str) -> PyResult<String> {
        self.look(py, 0, |booster| look::tree(booster.ensemble(), tree_idx, format))
    }

    /// The bytes of a model file; note is kept with it.
    #[pyo3(signature = (note = ""))]
    fn to_bytes<'py>(&self, py: Python<'py>, note: &str) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.look(py, usize::MAX, |booster| model::to_bytes(model_of(booster, note)))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// A booster that to_bytes or save wrote, and its note; seed drives the subsampling to come.
    #[staticmethod]
    #[pyo3(signature = (data, seed = 0, n_threads = 0))]
    fn from_bytes(
        py: Python<'_>,
        data: Bound<'_, PyBytes>,
        seed: u64,
        n_threads: usize,
    ) -> PyResult<(Booster, String)> {
        let data = data.as_bytes();
        long(py, || Booster::from_model(model::from_bytes(data)?, seed, n_threads))
    }

    /// Writes a model file, exactly at path, in one step.
    #[pyo3(signature = (path, note = ""))]
    fn save(&self, py: Python<'_>, path: FilePath, note: &str) -> PyResult<()> {
        self.look(py, usize::MAX, |booster| model::save(path.0, model_of(booster, note)))
    }

    /// A booster from a model file, and its note. Every altered byte is refused with a FormatError.
    #[staticmethod]
    #[pyo3(signature = (path, seed = 0, n_threads = 0))]
    fn load(py: Python<'_>, path: FilePath, seed: u64, n_threads: usize) -> PyResult<(Booster, String)> {
        long(py, || Booster::from_model(model::load(path.0)?, seed, n_threads))
    }
}

impl Booster {
    fn around(inner: boost::Booster) -> Self {
        let (n_features, n_outputs) = (inner.ensemble().n_features(), inner.ensemble().n_outputs());
        Booster { inner: Shared::new(inner), n_features, n_outputs }
    }

    /// Looks at the trees for the sake of `k` rows.
    fn look<T: Send>(
        &self,
        py: Python<'_>,
        k: usize,
        work: impl FnOnce(&boost::Booster) -> Result<T> + Send,
    ) -> PyResult<T> {
        let is_short = |booster: &boost::Booster| k.saturating_mul(booster.n_trees() + 1) <= SHORT;
        self.inner.look(py, is_short, |booster, _| work(booster))
    }

    fn from_model(model: Model, seed: u64, n_threads: usize) -> Result<(Self, String)> {
        let note = model.extra.as_str().unwrap_or_default().to_owned();
        let mut inner = boost::Booster::new(model.ensemble, model.params.unwrap_or_default(), seed, n_threads)?;
        inner.set_fixed_edges(model.fixed_edges)?;
        Ok((Booster::around(inner), note))
    }
}

fn model_of<'a>(booster: &'a boost::Booster, note: &str) -> ModelRef<'a> {
    let extra = if note.is_empty() { Value::Null } else { Value::from(note) };
    ModelRef {
        ensemble: booster.ensemble(),
        params: Some(booster.params()),
        fixed_edges: booster.fixed_edges(),
        extra: std::borrow::Cow::Owned(extra),
    }
}

fn ensemble(features: Vec<(String, String)>, groups: Vec<(String, usize, String, String)>) -> Result<Ensemble> {
    let features: Result<Vec<Feature>> = features.into_iter().map(|(name, kind)| feature(name, &kind)).collect();
    let mut first = 0;
    let groups: Result<Vec<OutputGroup>> = groups
        .into_iter()
        .map(|(name, n_columns, lr, optimizer)| {
            let columns = first..first + n_columns;
            first = columns.end;
            let optimizer = match optimizer.as_str() {
                "sgd" => Optimizer::Sgd,
                "adam" => Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
                _ => return Err(Error::parameter("optimizer", optimizer, "sgd or adam")),
            };
            Ok(OutputGroup { optimizer, ..OutputGroup::sgd(name, columns, settings::schedule("learning_rate", &lr)?) })
        })
        .collect();
    Ensemble::new(FeatureSchema::new(features?), groups?)
}

fn feature(name: String, kind: &str) -> Result<Feature> {
    let codes = kind.strip_prefix("codes:").and_then(|n| n.parse().ok());
    match (kind, codes) {
        ("numeric", _) => Ok(Feature::numeric(name)),
        ("strings", _) => Ok(Feature::strings(name)),
        (_, Some(n)) => Ok(Feature::declared(name, n)),
        _ => Err(Error::parameter(format!("kind of feature {name}"), kind, "numeric, strings or codes:N")),
    }
}

fn targets<'a>(
    x: &'a PyReadonlyArray2<'_, f32>,
    y: &'a PyReadonlyArray2<'_, f32>,
    weights: Option<&'a PyReadonlyArray1<'_, f32>>,
) -> PyResult<Targets<'a>> {
    let weights = weights.map(|weights| slice("weights", weights)).transpose()?;
    Ok(Targets { x: x.as_array(), y: y.as_array(), weights })
}
