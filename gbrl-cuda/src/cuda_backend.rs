//! [`Backend`] on a CUDA device.

use std::sync::{Arc, Mutex, PoisonError};

use gbrl_core::backend::{Addition, Backend, NodeId, Task, Updates};
use gbrl_core::config::SplitScore;
use gbrl_core::data::{BinSlice, Lanes};
use gbrl_core::error::{Error, Result};
use gbrl_core::tree::quantise::{self, CHUNK};
use gbrl_core::tree::{Candidate, ScoreRule, Scored, Sums};

use crate::device::{Buffer, Counters, Device};
use crate::launch::{Best, Cut, Feature, Kernels, MOST_LEVELS, Numbers, Pair, Quantised, Step};
use crate::learn::Lesson;
use crate::predict::Forest;
use crate::results::{self, Results};
use crate::rules;
use crate::slots::{Plan, Slots};

/// Share of the free memory that histograms may take.
const HISTOGRAM_SHARE: f64 = 0.8;
/// Most nodes that a grid's y can number.
const MOST_NODES: usize = 65_535;

/// Grows trees on a GPU, node sums, scores and all; equal to the other backends to the bit.
///
/// Bins are sent once per binning, and the rows of an update once per update. Kept between trees: all memory on the
/// device. An oblivious tree is asked for as a whole, and waited for once.
pub struct CudaBackend {
    pub(crate) device: Device,
    pub(crate) kernels: Kernels,
    /// Stamp of the bins on the device.
    stamp: Option<u64>,
    bins: Buffer<u8>,
    features: Buffer<Feature>,
    host_features: Vec<Feature>,
    pub(crate) rows: Buffer<u32>,
    pub(crate) gradients: Buffer<f32>,
    row_weights: Buffer<f32>,
    chunk_sums: Buffer<i64>,
    moments: Buffer<f64>,
    score_ints: Buffer<i32>,
    leaf_ints: Buffer<i32>,
    weight_ints: Buffer<i32>,
    monotone: Buffer<u32>,
    node_of: Buffer<u32>,
    cells: Buffer<i64>,
    best: Buffer<Best>,
    arrived: Buffer<u32>,
    pub(crate) results: Results,
    // What the host asks of some nodes.
    pairs: Buffer<Pair>,
    build: Buffer<i32>,
    nodes: Buffer<u32>,
    slots: Buffer<i32>,
    asked: Buffer<Best>,
    cuts: Buffer<Cut>,
    growing: Growing,
    evictions: usize,
    pub(crate) forest: Mutex<Forest>,
    pub(crate) lesson: Lesson,
    /// Rows times trees from which on the device predicts.
    least_prediction: usize,
}

/// What the host knows of the growing tree.
#[derive(Default)]
struct Growing {
    score_rule: ScoreRule,
    leaf_rule: ScoreRule,
    /// Whether the rules are those of this step.
    has_rules: bool,
    n_rows: usize,
    n_outputs: usize,
    weighted: bool,
    /// Whether scores have integers of their own.
    two_kinds: bool,
    n_nodes: usize,
    slots: Slots,
    /// Cells of a slot, over all features.
    slot_cells: usize,
}

impl Growing {
    /// Numbers of a cell: rows, weight where rows have some, one per output.
    fn lanes(&self) -> usize {
        1 + usize::from(self.weighted) + self.n_outputs
    }

    /// Numbers of a node's sums.
    fn record(&self) -> usize {
        self.lanes() * (1 + usize::from(self.two_kinds))
    }

    /// Numbers of a slot.
    fn slot_numbers(&self) -> usize {
        self.slot_cells * self.lanes()
    }
}

impl CudaBackend {
    /// A backend on device number `ordinal`.
    ///
    /// # Errors
    /// Class `Device` where there is no driver or no such device, or it does not take our kernels.
    pub fn new(ordinal: usize) -> Result<Self> {
        let device = Device::open(ordinal)?;
        let kernels = Kernels::new(&device)?;
        Ok(CudaBackend {
            device,
            kernels,
            stamp: None,
            bins: Buffer::default(),
            features: Buffer::default(),
            host_features: Vec::new(),
            rows: Buffer::default(),
            gradients: Buffer::default(),
            row_weights: Buffer::default(),
            chunk_sums: Buffer::default(),
            moments: Buffer::default(),
            score_ints: Buffer::default(),
            leaf_ints: Buffer::default(),
            weight_ints: Buffer::default(),
            monotone: Buffer::default(),
            node_of: Buffer::default(),
            cells: Buffer::default(),
            best: Buffer::default(),
            arrived: Buffer::default(),
            results: Results::default(),
            pairs: Buffer::default(),
            build: Buffer::default(),
            nodes: Buffer::default(),
            slots: Buffer::default(),
            asked: Buffer::default(),
            cuts: Buffer::default(),
            growing: Growing::default(),
            evictions: 0,
            forest: Mutex::default(),
            lesson: Lesson::default(),
            least_prediction: rules::LEAST_PREDICTION,
        })
    }

    /// Lets the device predict from so many rows times trees on, instead of [`rules::LEAST_PREDICTION`]: for tests.
    #[must_use]
    pub fn predicting_from(mut self, rows_times_trees: usize) -> Self {
        self.least_prediction = rows_times_trees;
        self
    }

    /// What has been asked of the device so far; counts on while the backend is elsewhere.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.device.counters)
    }

    /// How often, so far, histograms that might have been of use had to make room for others.
    pub fn evictions(&self) -> usize {
        self.evictions
    }

    /// Sends bins, where the device has not got them, and what this task says of features, where it is new.
    fn send_features(&mut self, task: &Task<'_>) -> Result<()> {
        let stale = self.stamp != Some(task.bins.stamp());
        let (mut bytes, mut first_bin, mut first_byte) = (Vec::new(), 0, 0u64);
        let mut features = Vec::with_capacity(task.bins.columns().len());
        for (column, &weight) in task.bins.columns().iter().zip(task.feature_weights) {
            let (bins, n_bins) = (&column.bins, column.bins.n_bins() as u32);
            let wide = matches!(column.slice(), BinSlice::Wide(_));
            // A two-byte bin must lie at an even address.
            first_byte += u64::from(wide) * (first_byte & 1);
            features.push(Feature {
                first_bin,
                n_bins,
                n_values: bins.values.len() as u32,
                categorical: bins.categorical.into(),
                missing: bins.missing_bin().map_or(n_bins, |bin| bin as u32),
                wide: wide.into(),
                first_byte,
                weight,
            });
            if stale {
                bytes.resize(first_byte as usize, 0);
                match column.slice() {
                    BinSlice::Narrow(bins) => bytes.extend_from_slice(bins),
                    BinSlice::Wide(bins) => bytes.extend(bins.iter().flat_map(|bin| bin.to_ne_bytes())),
                }
            }
            first_bin += n_bins;
            first_byte += task.bins.n_rows() as u64 * if wide { 2 } else { 1 };
        }
        self.growing.slot_cells = first_bin as usize;
        if stale {
            self.stamp = None;
            self.bins.fill(&self.device, &bytes)?;
        }
        if stale || features != self.host_features {
            self.stamp = None;
            self.features.fill(&self.device, &features)?;
            self.host_features = features;
            self.stamp = Some(task.bins.stamp());
        }
        Ok(())
    }

    /// Turns gradients and weights into integers and sums node 0, which all rows are in.
    fn quantise(&mut self, task: &Task<'_>, held: bool) -> Result<()> {
        let (n, width) = (task.rows.len(), task.columns.len());
        let device = &self.device;
        self.leaf_ints.resize(device, n * width, false)?;
        self.score_ints.resize(device, n * width * usize::from(self.growing.two_kinds), false)?;
        self.weight_ints.resize(device, if self.growing.weighted { n } else { 0 }, false)?;
        self.node_of.resize(device, n, false)?;
        if n == 0 {
            return Ok(());
        }
        let mut numbers = Numbers {
            values: self.gradients.address(device, 0),
            moments: 0,
            weights: if self.growing.weighted { self.row_weights.address(device, 0) } else { 0 },
            n_rows: n as u32,
            stride: task.n_outputs as u32,
            first: task.columns.start as u32,
            n_columns: width as u32,
        };
        assert!(self.gradients.len() >= n * task.n_outputs && task.columns.end <= task.n_outputs);
        let largest = self.results.address(device, self.results.largest());
        // Of an update's rows the losses know them already.
        let raw = if held { self.results.address(device, task.columns.start) } else { largest };
        if !held {
            self.kernels.largest(device, &numbers, (false, self.growing.weighted), largest)?;
        }
        if self.growing.two_kinds {
            self.chunk_sums.resize(device, n.div_ceil(CHUNK) * width, false)?;
            self.moments.resize(device, 2 * width, false)?;
            let arrived = self.arrived.address(device, 0);
            numbers.moments = self.moments.address(device, 0);
            for squares in [false, true] {
                let (parts, moments) = (&mut self.chunk_sums, &mut self.moments);
                self.kernels.sum_chunks(device, &numbers, squares, parts, moments, arrived)?;
            }
            self.kernels.largest(device, &numbers, (true, false), largest)?;
        }
        let quantised = Quantised {
            leaf_ints: self.leaf_ints.address(device, 0),
            score_ints: self.score_ints.address(device, 0),
            weight_ints: self.weight_ints.address(device, 0),
            node_of: self.node_of.address(device, 0),
            units: self.results.address(device, self.results.units()),
            sums: self.results.address(device, self.results.node(0)),
            bits: quantise::bits(n),
            two_kinds: self.growing.two_kinds.into(),
        };
        self.kernels.quantise(device, &numbers, (raw, largest), &quantised)
    }

    /// What kernels need to know of the step; `joint` says whether a level is scored as a whole.
    fn step(&self, task: &Task<'_>, joint: bool) -> Step {
        let (device, growing) = (&self.device, &self.growing);
        let leaf_ints = self.leaf_ints.address(device, 0);
        let least = if joint { task.min_data_in_leaf } else { task.min_data_in_leaf.max(1) };
        Step {
            bins: self.bins.address(device, 0),
            features: self.features.address(device, 0),
            rows: self.rows.address(device, 0),
            node_of: self.node_of.address(device, 0),
            score_ints: if growing.two_kinds { self.score_ints.address(device, 0) } else { leaf_ints },
            leaf_ints,
            weight_ints: self.weight_ints.address(device, 0),
            units: self.results.address(device, self.results.units()),
            monotone: self.monotone.address(device, 0),
            sums: self.results.address(device, self.results.node(0)),
            cells: self.cells.address(device, 0),
            best: self.best.address(device, 0),
            chosen: self.results.address(device, self.results.chosen(0)),
            arrived: self.arrived.address(device, 0),
            slot_cells: growing.slot_cells as u64,
            lambda: task.lambda,
            n_rows: growing.n_rows as u32,
            n_features: self.features.len() as u32,
            n_outputs: growing.n_outputs as u32,
            weighted: growing.weighted.into(),
            two_kinds: growing.two_kinds.into(),
            cosine: (task.score == SplitScore::Cosine).into(),
            n_monotone: task.monotone.len() as u32,
            min_rows: u32::try_from(least).unwrap_or(u32::MAX),
        }
    }

    /// Fetches what the step has left so far, if it is not known yet, and learns the units of its integers.
    fn fetch(&mut self, task: &Task<'_>) -> Result<()> {
        let end = self.results.node(self.growing.n_nodes);
        let (largest, units) = (self.results.largest(), self.results.units());
        let words = self.results.fetch(&self.device, end)?;
        let growing = &mut self.growing;
        if growing.has_rules {
            return Ok(());
        }
        let width = growing.n_outputs;
        let number = |word: i64| f64::from_bits(word as u64);
        if !task.gradients.is_empty() && words[largest..][..width].iter().any(|&bits| !number(bits).is_finite()) {
            check_finite(task)?;
        }
        let units: Vec<f64> = words[units..][..2 * width + 1].iter().map(|&bits| number(bits)).collect();
        // Without rows nothing was computed.
        let weight_unit = if growing.n_rows > 0 || growing.weighted { units[width] } else { 1.0 };
        let rule =
            |units: &[f64]| ScoreRule { score: task.score, lambda: task.lambda, units: units.to_vec(), weight_unit };
        (growing.score_rule, growing.leaf_rule) = (rule(&units[..width]), rule(&units[width + 1..]));
        growing.has_rules = true;
        Ok(())
    }

    /// Sums of a node: of the scores' integers or of the leaves'.
    fn sums_of(&mut self, task: &Task<'_>, node: NodeId, score: bool) -> Result<Sums> {
        self.fetch(task)?;
        let (lanes, weighted) = (self.growing.lanes(), usize::from(self.growing.weighted));
        let kind = if score || !self.growing.two_kinds { 0 } else { lanes };
        let at = self.results.node(node) + kind;
        let cell = &self.results.fetch(&self.device, at + lanes)?[at..];
        Ok(Sums { n_rows: cell[0] as u32, weight: cell[weighted], gradients: cell[1 + weighted..].to_vec() })
    }

    /// Most slots that memory has room for: those there are, or more, which are allocated while the old ones are there.
    fn most_slots(&self) -> Result<usize> {
        let (free, _) = self.device.memory()?;
        let free = (free as f64 * HISTOGRAM_SHARE) as usize / size_of::<i64>();
        Ok(self.cells.room().max(free) / self.growing.slot_numbers().max(1))
    }

    /// Finds the best candidate for all of `nodes` together (`joint`), or of each.
    fn ask(&mut self, task: &Task<'_>, nodes: &[NodeId], joint: bool, most: usize) -> Result<Vec<Option<Scored>>> {
        let growing = &mut self.growing;
        let plan = growing.slots.plan(nodes, growing.n_nodes, most);
        self.evictions += usize::from(plan.evicted);
        self.make_histograms(task, &plan)?;
        let n = if joint { 1 } else { nodes.len() };
        self.best.resize(&self.device, n * self.features.len(), false)?;
        self.arrived.resize(&self.device, n.max(self.features.len() + 1), false)?;
        self.asked.resize(&self.device, n, false)?;
        let step = self.step(task, joint);
        self.kernels.find_splits(&self.device, &step, (&self.nodes, &self.slots), joint, &mut self.asked)?;
        let mut found = vec![Best::default(); n];
        self.asked.fetch(&self.device, 0, &mut found)?;
        Ok(found.iter().map(scored).collect())
    }

    /// Sends a plan and sums its histograms.
    fn make_histograms(&mut self, task: &Task<'_>, plan: &Plan) -> Result<()> {
        let (device, numbers) = (&self.device, self.growing.slot_numbers());
        self.pairs.fill(device, &plan.pairs)?;
        self.build.fill(device, &plan.build)?;
        self.nodes.fill(device, &plan.nodes)?;
        self.slots.fill(device, &plan.slots)?;
        self.cells.resize(device, self.growing.slots.len() * numbers, !plan.evicted)?;
        // Slots that follow one another are emptied together.
        for run in plan.fresh.chunk_by(|a, b| a + 1 == *b) {
            self.cells.clear(device, run[0] * numbers, (run[0] + run.len()) * numbers)?;
        }
        let step = self.step(task, false);
        if !plan.pairs.is_empty() {
            self.kernels.choose_smaller(&self.device, &step, &self.pairs, &mut self.build)?;
        }
        if self.growing.n_rows > 0 && !plan.nodes.is_empty() {
            self.kernels.histogram(&self.device, &step, &self.build, plan.fresh_range().as_ref())?;
        }
        if plan.pairs.is_empty() { Ok(()) } else { self.kernels.subtract(&self.device, &step, &self.pairs) }
    }
}

fn scored(best: &Best) -> Option<Scored> {
    let candidate = Candidate { feature_idx: best.feature, bin: best.bin, missing_right: best.missing_right != 0 };
    (best.found != 0).then_some(Scored { candidate, score: best.score })
}

impl Backend for CudaBackend {
    fn begin(&mut self, task: &Task<'_>) -> Result<()> {
        if task.rows.len() >= 1 << 31 {
            return Err(Error::parameter("rows", task.rows.len(), "fewer than 2³¹ rows in one step"));
        }
        let held = task.gradients.is_empty() && !task.rows.is_empty();
        if held && !self.lesson.has_gradients(task) {
            let reason = "losses come first, of the same rows";
            return Err(Error::unsupported("a step without gradients", "on rows that have none", reason));
        }
        check_weights(task)?;
        self.growing = Growing {
            n_rows: task.rows.len(),
            n_outputs: task.columns.len(),
            weighted: task.weights.is_some(),
            two_kinds: task.score == SplitScore::L2,
            n_nodes: 1,
            ..Growing::default()
        };
        self.send_features(task)?;
        let device = &self.device;
        if !held {
            self.results.without_losses();
            self.rows.fill(device, task.rows)?;
            self.gradients.fill(device, task.gradients)?;
            self.lesson.forget_gradients();
        }
        self.row_weights.fill(device, task.weights.unwrap_or(&[]))?;
        let constraint = |&(feature, output, sign): &(u32, u32, i8)| [feature, output, u32::from(sign > 0)];
        self.monotone.fill(device, &task.monotone.iter().flat_map(constraint).collect::<Vec<_>>())?;
        self.arrived.resize(device, self.features.len() + 1, false)?;
        self.results.begin(device, self.growing.n_outputs, self.growing.record())?;
        self.quantise(task, held)
    }

    fn score_rule(&mut self, task: &Task<'_>) -> Result<&ScoreRule> {
        self.fetch(task)?;
        Ok(&self.growing.score_rule)
    }

    fn leaf_rule(&mut self, task: &Task<'_>) -> Result<&ScoreRule> {
        self.fetch(task)?;
        Ok(&self.growing.leaf_rule)
    }

    fn unsplit(&mut self, task: &Task<'_>, node: NodeId) -> Result<f64> {
        let sums = self.sums_of(task, node, true)?;
        Ok(self.growing.score_rule.unsplit(&sums))
    }

    fn best_joint(&mut self, task: &Task<'_>, nodes: &[NodeId]) -> Result<Option<Scored>> {
        let most = self.most_slots()?;
        if nodes.len() > most {
            let bytes = self.growing.slot_numbers() * size_of::<i64>();
            let reason = format!(
                "a level of {} nodes needs as many histograms of {bytes} bytes, and there is room for {most}",
                nodes.len()
            );
            return Err(Error::device(&self.device.name, "allocating memory", reason));
        }
        Ok(self.ask(task, nodes, true, most)?.pop().flatten())
    }

    fn best_each(&mut self, task: &Task<'_>, nodes: &[NodeId], out: &mut Vec<Option<Scored>>) -> Result<()> {
        out.clear();
        let most = self.most_slots()?.max(1);
        for nodes in nodes.chunks(most.min(MOST_NODES)) {
            out.extend(self.ask(task, nodes, false, most)?);
        }
        Ok(())
    }

    fn partition(&mut self, task: &Task<'_>, splits: &[(NodeId, Candidate)]) -> Result<()> {
        let first = self.growing.n_nodes;
        let mut cuts = vec![Cut::default(); first];
        for (i, &(node, _)) in splits.iter().enumerate() {
            let left = self.growing.n_nodes;
            cuts[node] = Cut { chosen_idx: i as i32, left: left as u32 };
            self.growing.slots.split(node, left);
            self.growing.n_nodes += 2;
        }
        let chosen = |&(_, candidate): &(NodeId, Candidate)| Best {
            score: 0.0,
            feature: candidate.feature_idx,
            bin: candidate.bin,
            missing_right: candidate.missing_right.into(),
            found: 1,
        };
        self.cuts.fill(&self.device, &cuts)?;
        self.asked.fill(&self.device, &splits.iter().map(chosen).collect::<Vec<_>>())?;
        self.results.grow(&self.device, self.growing.n_nodes)?;
        self.results.changes(self.results.node(first));
        if self.growing.n_rows == 0 || splits.is_empty() {
            return Ok(());
        }
        let (step, chosen) = (self.step(task, false), self.asked.address(&self.device, 0));
        let children = (first, self.growing.n_nodes - first);
        self.kernels.divide_rows(&self.device, &step, Some(&self.cuts), chosen, children)
    }

    /// Everything is asked for before the first answer is fetched: the device decides, splits and goes on by itself.
    fn grow_oblivious(&mut self, task: &Task<'_>, max_depth: usize) -> Result<Option<Vec<Scored>>> {
        if max_depth == 0 || max_depth > MOST_LEVELS {
            return Ok(None);
        }
        if self.growing.n_rows == 0 {
            return Ok(Some(Vec::new()));
        }
        let (n_slots, n_features) = (1 << (max_depth - 1), self.features.len());
        let numbers = n_slots * self.growing.slot_numbers();
        if numbers > self.cells.room() && n_slots > self.most_slots()? {
            return Ok(None);
        }
        self.cells.resize(&self.device, numbers, false)?;
        self.cells.clear(&self.device, 0, numbers)?;
        self.best.resize(&self.device, n_features, false)?;
        self.growing.n_nodes = (2 << max_depth) - 1;
        self.results.grow(&self.device, self.growing.n_nodes)?;
        self.results.changes(self.results.largest());
        let step = self.step(task, true);
        for depth in 0..max_depth {
            let chosen = self.results.address(&self.device, self.results.chosen(depth));
            // The children of level d are nodes 2·2^d − 1 to 4·2^d − 2.
            let n_children = 2 << depth;
            self.kernels.grow_level(&self.device, &step, depth)?;
            self.kernels.divide_rows(&self.device, &step, None, chosen, (n_children - 1, n_children))?;
        }
        self.fetch(task)?;
        let mut chosen = Vec::with_capacity(max_depth);
        if self.growing.score_rule.units.iter().any(|&unit| unit != 0.0) {
            let at = self.results.chosen(0);
            let words = self.results.fetch(&self.device, self.results.chosen(max_depth))?;
            let found = |depth| scored(&results::best(&words[at + depth * results::BEST..]));
            chosen.extend((0..max_depth).map_while(found));
        }
        // Where nothing was left to split, the levels below are none.
        self.growing.n_nodes = (2 << chosen.len()) - 1;
        Ok(Some(chosen))
    }

    fn sums(&mut self, task: &Task<'_>, node: NodeId) -> Result<Sums> {
        self.sums_of(task, node, false)
    }

    fn add_trees(&self, addition: &Addition<'_>, sums: &mut [Lanes<f32>]) -> Result<bool> {
        if addition.work() < self.least_prediction {
            return Ok(false);
        }
        let mut forest = self.forest.lock().unwrap_or_else(PoisonError::into_inner);
        forest.add(&self.device, &self.kernels, addition, sums)?;
        Ok(true)
    }

    fn updates(&mut self) -> Option<&mut dyn Updates> {
        Some(self)
    }
}

fn check_finite(task: &Task<'_>) -> Result<()> {
    for row in 0..task.rows.len() {
        for column in task.columns.clone() {
            let value = task.gradients[row * task.n_outputs + column];
            if !value.is_finite() {
                return Err(Error::element("gradients", (row, column), "a finite number", value));
            }
        }
    }
    Ok(())
}

fn check_weights(task: &Task<'_>) -> Result<()> {
    match task.weights.and_then(|weights| weights.iter().position(|weight| !(*weight >= 0.0 && weight.is_finite()))) {
        None => Ok(()),
        Some(row) => {
            let weight = f64::from(task.weights.unwrap_or(&[])[row]);
            Err(Error::element("weights", (row, 0), "a finite number of at least 0", weight))
        }
    }
}
