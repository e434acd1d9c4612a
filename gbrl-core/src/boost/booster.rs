//! The booster: an ensemble, its settings and the backend that grows it.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use super::dataset::{Dataset, Scratch};
use super::leaves::mean_gradients;
use super::sample::sample;
use super::variates;
use crate::backend::cpu::predict::Predictor;
use crate::backend::cpu::{CpuBackend, Simd};
use crate::backend::{Backend, Task};
use crate::config::{Edges, TreeParams};
use crate::data::{BinnedMatrix, Binning, FeatureBins, FeatureSchema, Lanes, SortScratch, TILE, Tiles, matrix, tiles};
use crate::ensemble::adam::Moments;
use crate::ensemble::{Ensemble, Optimizer, Schedule};
use crate::error::{Error, Result};
use crate::grow;
use crate::io::model::{Flaw, check_edges};
use crate::rng::Stream;
use crate::threads::Threads;
use crate::tree::{Shape, Tree};

/// Grows an [`Ensemble`], one tree (or one per output group) per [`step`](Booster::step).
///
/// ```
/// use gbrl_core::boost::Booster;
/// use gbrl_core::config::TreeParams;
/// use gbrl_core::data::FeatureSchema;
/// use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
///
/// // Learn y = x by following the gradient of ½(output − y)².
/// let group = OutputGroup::sgd("y", 0..1, Schedule::Constant(0.5));
/// let ensemble = Ensemble::new(FeatureSchema::numeric(1), vec![group])?;
/// let mut booster = Booster::new(ensemble, TreeParams::default(), 0, 1)?;
/// let x: Vec<f32> = (0..100).map(|i| i as f32 / 100.0).collect();
/// let mut data = booster.dataset();
/// booster.append(&mut data, &x, 0..0, &mut [])?;
/// booster.complete(&mut data)?;
/// let rows: Vec<u32> = (0..100).collect();
/// for _ in 0..20 {
///     let gradients: Vec<f32> = (0..100).map(|i| data.output(i, 0) - x[i]).collect();
///     booster.step(&mut data, &rows, &gradients)?;
/// }
/// assert!((data.output(70, 0) - 0.70).abs() < 0.05);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub struct Booster {
    /// Which booster this is, among all of the process: its datasets carry the same number. Its trees are only appended to, so
    /// whoever keeps a copy of them elsewhere goes by it.
    pub(super) id: u64,
    pub(super) ensemble: Ensemble,
    pub(super) params: TreeParams,
    seed: u64,
    pub(super) progress: f64,
    pub(super) threads: Threads,
    pub(super) backend: Box<dyn Backend>,
    pub(super) predictor: Predictor,
    /// Per feature, 1 where no weights are set.
    feature_weights: Vec<f64>,
    pub(super) monotone: Vec<(u32, u32, i8)>,
    /// Bin edges for ever, once there are any (`edges = fixed`).
    fixed_edges: Option<Vec<FeatureBins>>,
    /// Scratch of a step.
    step_bins: BinnedMatrix,
    sorting: Vec<SortScratch>,
    all_rows: Vec<u32>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// What one step grew.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// Trees added: 1, or one per group.
    pub n_trees: usize,
    /// Leaves of the last of them.
    pub n_leaves: usize,
    /// Depth of the last of them.
    pub depth: usize,
    /// Rows the trees were fitted to, after subsampling.
    pub n_rows: usize,
}

impl Booster {
    /// A booster that goes on from `ensemble`. `seed` drives row and feature subsampling; `n_threads` 0 means all
    /// cores and changes no byte of any result.
    ///
    /// # Errors
    /// Class `Value` for settings out of range ([`TreeParams::check`]) and for a monotone constraint on a categorical
    /// feature; class `Unsupported` for monotone constraints with an Adam group; see also
    /// [`Simd::detect`](crate::backend::cpu::Simd::detect).
    pub fn new(ensemble: Ensemble, params: TreeParams, seed: u64, n_threads: usize) -> Result<Self> {
        Booster::on_threads(ensemble, params, seed, &Threads::new(n_threads)?)
    }

    /// [`new`](Booster::new) on threads that are there.
    pub(crate) fn on_threads(ensemble: Ensemble, params: TreeParams, seed: u64, threads: &Threads) -> Result<Self> {
        let backend = Box::new(CpuBackend::new(threads.clone())?);
        Booster::with_backend(ensemble, params, seed, threads.clone(), backend)
    }

    /// A booster on a given backend: for GPUs, and for tests against the oracle.
    ///
    /// # Errors
    /// As [`new`](Booster::new).
    pub fn with_backend(
        ensemble: Ensemble,
        params: TreeParams,
        seed: u64,
        threads: Threads,
        backend: Box<dyn Backend>,
    ) -> Result<Self> {
        params.check(ensemble.n_features(), ensemble.n_outputs())?;
        for constraint in &params.monotone {
            let feature = &ensemble.schema().features()[constraint.feature_idx];
            if feature.is_categorical() {
                return Err(Error::parameter("monotone", feature.name(), "a numeric feature"));
            }
            if ensemble.has_adam() {
                return Err(Error::unsupported(
                    "a monotone constraint",
                    "with an Adam output group",
                    "Adam's steps do not keep the order of the leaves",
                ));
            }
        }
        let mut monotone: Vec<_> = params
            .monotone
            .iter()
            .map(|m| (m.feature_idx as u32, m.output_idx as u32, if m.rising { 1i8 } else { -1 }))
            .collect();
        monotone.sort_unstable();
        let mut feature_weights = params.feature_weights.clone();
        feature_weights.resize(ensemble.n_features(), 1.0);
        let predictor = Predictor::new(Simd::detect()?, &ensemble);
        Ok(Booster {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            ensemble,
            params,
            seed,
            progress: 0.0,
            threads,
            backend,
            predictor,
            feature_weights,
            monotone,
            fixed_edges: None,
            step_bins: BinnedMatrix::default(),
            sorting: vec![SortScratch::default()],
            all_rows: Vec::new(),
        })
    }

    /// The trees so far.
    pub fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// Sets where every output starts; see [`Ensemble::set_bias`].
    ///
    /// # Errors
    /// Those of [`Ensemble::set_bias`].
    pub fn set_bias(&mut self, bias: &[f32]) -> Result<()> {
        self.ensemble.set_bias(bias)
    }

    /// Gives a group another learning rate, for the trees to come.
    ///
    /// # Errors
    /// Those of [`Ensemble::set_rate`].
    pub fn set_rate(&mut self, group_idx: usize, rate: Schedule) -> Result<()> {
        self.ensemble.set_rate(group_idx, rate)
    }

    /// The code of a string in a column of strings, giving it the next one when it is new.
    ///
    /// # Errors
    /// Those of [`Ensemble::learn`].
    pub fn learn(&mut self, feature_idx: usize, text: &str) -> Result<f32> {
        self.ensemble.learn(feature_idx, text)
    }

    /// Calls columns, codes and outputs by other names; see [`Ensemble::describe`].
    ///
    /// # Errors
    /// Those of [`Ensemble::describe`].
    pub fn describe(&mut self, features: FeatureSchema, output_names: Vec<String>) -> Result<()> {
        self.ensemble.describe(features, output_names)
    }

    /// The settings.
    pub fn params(&self) -> &TreeParams {
        &self.params
    }

    /// What it works on.
    pub(crate) fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Trees so far.
    pub fn n_trees(&self) -> usize {
        self.ensemble.trees().len()
    }

    /// Bin edges that are part of the model (`edges = fixed`), once there are any: one entry per feature, empty for
    /// categorical ones, whose bins are the codes that occur.
    pub fn fixed_edges(&self) -> Option<&[FeatureBins]> {
        self.fixed_edges.as_deref()
    }

    /// Gives back edges saved earlier.
    ///
    /// # Errors
    /// Class `Value` for edges that do not fit the features.
    pub fn set_fixed_edges(&mut self, edges: Option<Vec<FeatureBins>>) -> Result<()> {
        if let Some(edges) = &edges {
            check_edges(self.ensemble.schema(), edges).map_err(Flaw::into_value)?;
        }
        self.fixed_edges = edges;
        Ok(())
    }

    /// Where the run stands, 0 to 1: what the groups' learning-rate schedules go by.
    pub fn set_progress(&mut self, progress: f64) {
        self.progress = progress;
    }

    /// Restarts the random streams of subsampling from another seed, for the trees to come.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// Gives up the booster, keeps the trees.
    pub fn into_ensemble(self) -> Ensemble {
        self.ensemble
    }

    /// An empty dataset for this booster's observations.
    pub fn dataset(&self) -> Dataset {
        Dataset::new(self.id, self.ensemble.n_features(), self.ensemble.n_outputs())
    }

    /// Appends rows (row-major `[k, n_features]`) and writes their outputs in `columns` to `out`, row-major
    /// `[k, columns.len()]`. If the same `columns` are asked for every time, these outputs are the cache's first value
    /// and are not computed again. O(k · trees); where rows repeat, O(k · log states) and the trees grown since a state
    /// was last seen.
    ///
    /// # Errors
    /// Class `Value` when a length does not fit, columns leave the outputs, or the dataset is another booster's; class
    /// `Device` where a device fails. Nothing has changed then.
    pub fn append(
        &self,
        data: &mut Dataset,
        observations: &[f32],
        columns: Range<usize>,
        out: &mut [f32],
    ) -> Result<()> {
        self.check_own(data)?;
        let (first, n_outputs) = (data.n_rows(), self.ensemble.n_outputs());
        let k = tiles::n_rows(observations, self.ensemble.n_features())?;
        self.check_columns(&columns, k, out.len())?;
        let Dataset { tiles, outputs, memo, scratch, .. } = data;
        let remembered = !columns.is_empty()
            && !self.ensemble.has_adam()
            && memo.look_up(&self.predictor, self.ensemble.bias(), observations);
        let known = if remembered { 0..n_outputs } else { columns.clone() };
        if !remembered {
            scratch.tiles.clear();
            scratch.tiles.append(observations)?;
            self.predict_tiles(scratch, 0..self.n_trees(), columns.clone())?;
        }
        tiles.append(observations)?;
        outputs.resize(tiles.tiles().len() * n_outputs, Lanes::default());
        for row in 0..k {
            let at = first + row;
            for column in known.clone() {
                let value = if remembered {
                    memo.row(row)[column]
                } else {
                    scratch.sums[row / TILE * n_outputs + column][row % TILE]
                };
                outputs[at / TILE * n_outputs + column][at % TILE] = value;
                if columns.contains(&column) {
                    out[row * columns.len() + column - columns.start] = value;
                }
            }
        }
        if first == 0 {
            data.known = known;
            data.n_trees = self.n_trees();
        } else if data.known != known || data.n_trees != self.n_trees() {
            data.known = 0..0;
        }
        data.complete = false;
        Ok(())
    }

    /// Makes a dataset ready for steps: computes the outputs that are not known yet and bins all rows.
    ///
    /// # Errors
    /// Class `Value` when the dataset is another booster's; a device backend may fail.
    pub fn complete(&mut self, data: &mut Dataset) -> Result<()> {
        self.check_own(data)?;
        let n_outputs = self.ensemble.n_outputs();
        if data.known.is_empty() {
            data.n_trees = self.n_trees();
        }
        let known = data.known.clone();
        for missing in [0..known.start, known.end.max(known.start)..n_outputs] {
            let missing = if known.is_empty() { 0..n_outputs } else { missing };
            for (i, sums) in data.outputs.iter_mut().enumerate() {
                if missing.contains(&(i % n_outputs)) {
                    *sums = Lanes([self.ensemble.bias()[i % n_outputs]; TILE]);
                }
            }
            let (tiles, outputs, scratch) = (data.tiles.as_slice(), &mut data.outputs, &mut data.scratch.predict);
            self.add_trees(tiles, 0..data.n_trees, missing, outputs, scratch)?;
            if known.is_empty() {
                break;
            }
        }
        data.known = 0..n_outputs;
        self.fold(data);
        self.catch_up(data)?;
        self.bin(data);
        data.complete = true;
        Ok(())
    }

    /// Adds a tree fitted to `gradients`, row-major `[rows.len(), n_outputs]`, of these rows of `data`, and advances
    /// all cached outputs of `data` by it. The gradient is d loss_row / d output_row, per row, not divided by the
    /// batch size. No row at all adds a tree of one leaf worth nothing.
    ///
    /// O(rows · features · depth), whatever the number of trees already there.
    ///
    /// # Errors
    /// Class `Value` for a length that does not fit, a row that `data` does not have, a gradient that is not finite,
    /// a dataset that is another booster's or not [`complete`](Booster::complete), and gradients times rate that no leaf can hold in `f32`.
    /// Nothing has changed then. Where a device fails while outputs advance by a grown tree (class `Device`), the tree is
    /// there and the outputs follow before the next step.
    pub fn step(&mut self, data: &mut Dataset, rows: &[u32], gradients: &[f32]) -> Result<StepReport> {
        self.step_weighted(data, rows, gradients, None)
    }

    /// [`step`](Booster::step) with a weight of at least 0 per row: leaves are weighted means.
    ///
    /// # Errors
    /// As `step`, and for a weight that is negative or not finite.
    pub fn step_weighted(
        &mut self,
        data: &mut Dataset,
        rows: &[u32],
        gradients: &[f32],
        weights: Option<&[f32]>,
    ) -> Result<StepReport> {
        let groups = self.columns_of(None)?;
        self.step_columns(data, rows, gradients, weights, &groups)
    }

    /// [`step`](Booster::step) with one output group alone: a tree that changes no other output, and costs nobody who does
    /// not ask for this one. Of `gradients`, `[rows.len(), n_outputs]` as ever, only the group's columns count.
    ///
    /// # Errors
    /// As `step`, and class `Value` for a group that there is not.
    pub fn step_group(
        &mut self,
        data: &mut Dataset,
        rows: &[u32],
        gradients: &[f32],
        group_idx: usize,
    ) -> Result<StepReport> {
        let groups = self.columns_of(Some(group_idx))?;
        self.step_columns(data, rows, gradients, None, &groups)
    }

    /// The columns of each tree of a step, of one group or of all.
    pub(super) fn columns_of(&self, group_idx: Option<usize>) -> Result<Vec<Range<usize>>> {
        let groups = self.ensemble.groups();
        match group_idx {
            None if self.params.shared_structure => Ok(std::iter::once(0..self.ensemble.n_outputs()).collect()),
            None => Ok(groups.iter().map(|group| group.columns.clone()).collect()),
            Some(idx) if idx < groups.len() => Ok(std::iter::once(groups[idx].columns.clone()).collect()),
            Some(idx) => Err(Error::parameter("group_idx", idx, format!("a group below {}", groups.len()))),
        }
    }

    /// Adds a tree for each of `groups`.
    fn step_columns(
        &mut self,
        data: &mut Dataset,
        rows: &[u32],
        gradients: &[f32],
        weights: Option<&[f32]>,
        groups: &[Range<usize>],
    ) -> Result<StepReport> {
        let n_outputs = self.ensemble.n_outputs();
        self.check_own(data)?;
        check_step(data, rows, gradients, n_outputs, weights)?;
        // A step is a dozen pieces of work, each too short to wake a thread for.
        let binning = if self.params.edges == Edges::Step { matrix::NANOSECONDS } else { 0 };
        let per_value = binning + (3 + n_outputs / 2) * self.params.max_depth;
        let _awake = self.threads.keep_awake(rows.len() * self.ensemble.n_features() * per_value);
        if self.params.row_subsample < 1.0 || self.params.control_variates {
            // Later on rows are picked and gradients mixed: the backend would name the wrong ones.
            check_finite(gradients, n_outputs)?;
        }
        self.catch_up(data)?;
        let (mut rows, mut gradients, mut weights) = (Cow::from(rows), Cow::from(gradients), weights.map(Cow::from));
        if self.params.control_variates {
            let average = |&row: &u32| {
                let tile = &data.averages[row as usize / TILE * n_outputs..][..n_outputs];
                tile.iter().map(move |column| column[row as usize % TILE])
            };
            let averages: Vec<f32> = rows.iter().flat_map(average).collect();
            for columns in groups {
                let is_of = |tree: &&Tree| tree.columns().contains(&columns.start);
                let steps = self.ensemble.trees().iter().filter(is_of).take(variates::LONG_AGO).count();
                variates::correct(gradients.to_mut(), &averages, (n_outputs, columns.clone()), steps);
            }
        }
        if self.params.row_subsample < 1.0 {
            let mut stream = Stream::new(self.seed, "row_subsample", self.n_trees() as u64);
            let picked = sample(rows.len(), self.params.row_subsample, &mut stream);
            let of_row = |&i: &u32| &gradients[i as usize * n_outputs..][..n_outputs];
            gradients = picked.iter().flat_map(of_row).copied().collect();
            rows = picked.iter().map(|&i| rows[i as usize]).collect();
            weights = weights.map(|weights| picked.iter().map(|&i| weights[i as usize]).collect());
        }
        let n_rows = rows.len();
        let (bins, rows) = match self.params.edges {
            Edges::Step => {
                let (schema, binning) = (self.ensemble.schema(), self.binning(false));
                let (bins, sorting) = (&mut self.step_bins, &mut self.sorting);
                bins.rebin(schema, &data.tiles, Some(&rows), binning, &self.threads, sorting);
                self.all_rows.clear();
                self.all_rows.extend(0..n_rows as u32);
                (&self.step_bins, self.all_rows.as_slice())
            }
            Edges::Rollout | Edges::Fixed => (&data.bins, &*rows),
        };
        let feature_weights = self.tree_feature_weights();
        let task = Task {
            bins,
            rows,
            gradients: &gradients,
            n_outputs,
            columns: &(0..n_outputs),
            weights: weights.as_deref(),
            score: self.params.split_score,
            lambda: self.params.lambda_l2,
            min_data_in_leaf: self.params.min_data_in_leaf,
            feature_weights: &feature_weights,
            monotone: &self.monotone,
        };
        let grown = grow_trees(self.backend.as_mut(), &task, groups, &self.params, &self.ensemble, self.progress)?;
        let report = self.push_trees(grown, n_rows)?;
        self.catch_up(data)?;
        Ok(report)
    }

    /// Appends what a step on `n_rows` rows has grown.
    pub(super) fn push_trees(&mut self, grown: Vec<Tree>, n_rows: usize) -> Result<StepReport> {
        let last = &grown[grown.len() - 1];
        let report = StepReport { n_trees: grown.len(), n_leaves: last.n_leaves(), depth: last.depth(), n_rows };
        for tree in grown {
            self.ensemble.push(tree)?;
            self.predictor.push(&self.ensemble.trees()[self.ensemble.trees().len() - 1]);
        }
        Ok(report)
    }

    /// Outputs in `columns` of rows that are in no dataset, row-major as in [`append`](Booster::append).
    ///
    /// # Errors
    /// Class `Value` when a length does not fit, or columns leave the outputs; class `Device` where a device fails.
    pub fn predict(&self, observations: &[f32], columns: Range<usize>, out: &mut [f32]) -> Result<()> {
        self.predict_range(observations, 0..self.n_trees(), columns, out)
    }

    /// [`predict`](Booster::predict) by the bias and some of the trees only: `0..k` is what the booster said when it had
    /// k trees, no tree at all gives the bias.
    ///
    /// # Errors
    /// As `predict`, class `Value` for trees that are not there, and class `Unsupported` for a range that does not start
    /// at 0 where an output is Adam's.
    pub fn predict_range(
        &self,
        observations: &[f32],
        trees: Range<usize>,
        columns: Range<usize>,
        out: &mut [f32],
    ) -> Result<()> {
        self.ensemble.check_range(&trees)?;
        if trees.start > 0 && self.ensemble.has_adam() {
            return Err(Error::unsupported(
                "predicting by later trees alone",
                "with an Adam output group",
                "each of Adam's steps depends on the ones before it",
            ));
        }
        let n_outputs = self.ensemble.n_outputs();
        let mut scratch = Scratch { tiles: Tiles::new(self.ensemble.n_features()), ..Scratch::default() };
        scratch.tiles.append(observations)?;
        let k = scratch.tiles.n_rows();
        self.check_columns(&columns, k, out.len())?;
        self.predict_tiles(&mut scratch, trees, columns.clone())?;
        for (row, out) in out.chunks_exact_mut(columns.len().max(1)).enumerate() {
            for (out, column) in out.iter_mut().zip(columns.clone()) {
                *out = scratch.sums[row / TILE * n_outputs + column][row % TILE];
            }
        }
        Ok(())
    }

    /// Outputs and memories of one booster mean nothing to another.
    pub(super) fn check_own(&self, data: &Dataset) -> Result<()> {
        if data.owner == self.id {
            return Ok(());
        }
        Err(Error::parameter("dataset", "one of another booster", "one made by this booster's dataset()"))
    }

    fn check_columns(&self, columns: &Range<usize>, n_rows: usize, out_len: usize) -> Result<()> {
        if columns.start > columns.end || columns.end > self.ensemble.n_outputs() {
            let rule = format!("a range within 0..{}", self.ensemble.n_outputs());
            return Err(Error::parameter("columns", format!("{columns:?}"), rule));
        }
        if out_len != n_rows * columns.len() {
            return Err(Error::shape("out", format!("[{n_rows}, {}]", columns.len()), format!("{out_len} values")));
        }
        Ok(())
    }

    /// Outputs of `scratch.tiles` by `trees` into `scratch.sums`, `[tile][output][16]`; only `columns` are right.
    fn predict_tiles(&self, scratch: &mut Scratch, trees: Range<usize>, columns: Range<usize>) -> Result<()> {
        let bias = self.ensemble.bias();
        let Scratch { tiles, sums, predict } = scratch;
        sums.clear();
        for _ in 0..tiles.tiles().len() {
            sums.extend(bias.iter().map(|&b| Lanes([b; TILE])));
        }
        let n_rows = tiles.n_rows();
        let tiles = tiles.as_slice();
        if columns.is_empty() {
            return Ok(());
        }
        if self.ensemble.has_adam() {
            let mut moments = vec![Lanes::<Moments>::default(); sums.len()];
            let clocks = self.clocks();
            let mut parts = sums.chunks_exact_mut(bias.len()).zip(moments.chunks_exact_mut(bias.len()));
            for tile in tiles.chunks_exact(self.ensemble.n_features()) {
                let Some((sums, moments)) = parts.next() else { break };
                self.fold_tile(tile, trees.clone(), clocks.clone(), sums, moments, &mut []);
            }
        } else if n_rows <= TILE {
            self.predictor.add_rows(tiles, n_rows, trees, columns, sums, predict);
        } else {
            self.add_trees(tiles, trees, columns, sums, predict)?;
        }
        Ok(())
    }

    fn binning(&self, reserve_missing: bool) -> Binning {
        Binning { n_bins: self.params.n_bins, strategy: self.params.bin_strategy, reserve_missing }
    }

    pub(super) fn bin(&mut self, data: &mut Dataset) {
        if self.params.edges == Edges::Step {
            return; // each step bins its own rows
        }
        let Dataset { bins, tiles, sorting, .. } = data;
        let fixed = self.params.edges == Edges::Fixed;
        if let Some(edges) = &self.fixed_edges {
            bins.bin_by(edges, self.ensemble.schema(), tiles, &mut sorting[0]);
            return;
        }
        let schema = self.ensemble.schema();
        let binning = self.binning(fixed);
        bins.rebin(schema, tiles, None, binning, &self.threads, sorting);
        if fixed && tiles.n_rows() > 0 {
            // What codes the first rows happened to hold is no part of the model.
            let lasting = |bins: &FeatureBins| match bins.categorical {
                true => FeatureBins { categorical: true, ..FeatureBins::default() },
                false => bins.clone(),
            };
            self.fixed_edges = Some(bins.columns().iter().map(|column| lasting(&column.bins)).collect());
        }
    }

    pub(super) fn trees_per_step(&self) -> usize {
        if self.params.shared_structure { 1 } else { self.ensemble.groups().len() }
    }

    /// Feature weights of the next tree: 0 for features that subsampling leaves out.
    pub(super) fn tree_feature_weights(&self) -> Vec<f64> {
        let mut weights = self.feature_weights.clone();
        if self.params.feature_subsample < 1.0 {
            let mut stream = Stream::new(self.seed, "feature_subsample", self.n_trees() as u64);
            let picked = sample(weights.len(), self.params.feature_subsample, &mut stream);
            for (feature_idx, weight) in weights.iter_mut().enumerate() {
                if picked.binary_search(&(feature_idx as u32)).is_err() {
                    *weight = 0.0;
                }
            }
        }
        weights
    }
}

/// A tree for each of `groups`, from a task for all columns.
pub(super) fn grow_trees(
    backend: &mut dyn Backend,
    task: &Task<'_>,
    groups: &[Range<usize>],
    params: &TreeParams,
    ensemble: &Ensemble,
    progress: f64,
) -> Result<Vec<Tree>> {
    let grow = |columns: &Range<usize>| {
        let own = task.monotone.iter().filter(|(_, output, _)| columns.contains(&(*output as usize)));
        let monotone: Vec<_> = own.map(|&(f, output, sign)| (f, output - columns.start as u32, sign)).collect();
        grow_tree(backend, &Task { columns, monotone: &monotone, ..*task }, params, ensemble, progress)
    };
    groups.iter().map(grow).collect()
}

fn grow_tree(
    backend: &mut dyn Backend,
    task: &Task<'_>,
    params: &TreeParams,
    ensemble: &Ensemble,
    progress: f64,
) -> Result<Tree> {
    backend.begin(task)?;
    let grown = grow::grow(backend, task, params)?;
    let mut leaves = Vec::with_capacity(grown.leaves.len());
    for &leaf in &grown.leaves {
        leaves.push(backend.sums(task, leaf)?);
    }
    let (columns, rule) = (task.columns.clone(), backend.leaf_rule(task)?);
    let means = mean_gradients(&grown.shape, &leaves, rule, columns.start, &params.monotone);
    let (mut rates, mut steps) = (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
    for group in ensemble.groups().iter().filter(|group| columns.contains(&group.columns.start)) {
        let rate = group.rate_at(progress)?;
        // What a mean gradient is multiplied by to become the stored leaf.
        let step = if group.optimizer == Optimizer::Sgd { -rate } else { 1.0 };
        rates.resize(rates.len() + group.columns.len(), rate as f32);
        steps.resize(steps.len() + group.columns.len(), step);
    }
    // 0 is stored as +0, whatever the sign of the rate: a sum never turns into −0 and back.
    let values: Vec<f32> =
        means.iter().zip(steps.iter().cycle()).map(|(mean, step)| (step * mean) as f32 + 0.0).collect();
    if let Some(i) = values.iter().position(|value| !value.is_finite()) {
        let place = (i / steps.len(), columns.start + i % steps.len());
        let rule = "a number within ±3.4e38: smaller gradients or a smaller learning rate";
        return Err(Error::element("leaf values", place, rule, format!("{:?}", steps[i % steps.len()] * means[i])));
    }
    let covers = leaves.iter().map(|leaf| leaf.n_rows).collect();
    let shape: Shape = grown.shape;
    Ok(Tree::new(shape, columns, values, covers, grown.gains, rates))
}

fn check_step(
    data: &Dataset,
    rows: &[u32],
    gradients: &[f32],
    n_outputs: usize,
    weights: Option<&[f32]>,
) -> Result<()> {
    if !data.complete {
        return Err(Error::parameter(
            "dataset",
            "one that is not complete",
            "complete() called after the last append()",
        ));
    }
    if gradients.len() != rows.len() * n_outputs {
        let expected = format!("[{}, {n_outputs}]", rows.len());
        return Err(Error::shape("gradients", expected, format!("{} values", gradients.len())));
    }
    if let Some(weights) = weights
        && weights.len() != rows.len()
    {
        return Err(Error::shape("weights", rows.len(), weights.len()));
    }
    if let Some(i) = rows.iter().position(|&row| row as usize >= data.n_rows()) {
        return Err(Error::element("rows", (i, 0), format!("a row below {}", data.n_rows()), rows[i]));
    }
    Ok(())
}

fn check_finite(gradients: &[f32], n_outputs: usize) -> Result<()> {
    match gradients.iter().position(|g| !g.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::element("gradients", (i / n_outputs, i % n_outputs), "a finite number", gradients[i])),
    }
}
