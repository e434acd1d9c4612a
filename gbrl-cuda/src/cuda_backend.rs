//! [`Backend`] on a CUDA device.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use gbrl_core::backend::{Addition, Backend, NodeId, Task};
use gbrl_core::config::SplitScore;
use gbrl_core::data::{BinSlice, Lanes};
use gbrl_core::error::{Error, Result};
use gbrl_core::tree::quantise::{self, moments};
use gbrl_core::tree::{Candidate, ScoreRule, Scored, Sums};

use crate::device::{Buffer, Device};
use crate::launch::{Best, Cut, Feature, Ints, Kernels, Numbers, Pair, Rows, Rule};
use crate::predict::Forest;
use crate::rules;

/// Share of the free memory that histograms may take.
const HISTOGRAM_SHARE: f64 = 0.8;
/// Most levels that are asked for at once.
const MOST_LEVELS: usize = 8;
/// Most nodes that a grid's y can number.
const MOST_NODES: usize = 65_535;

/// Grows trees on a GPU, node sums, scores and all; equal to the other backends to the bit.
///
/// Bins are sent once per binning. Kept between trees: all memory on the device.
pub struct CudaBackend {
    device: Device,
    kernels: Kernels,
    /// Stamp of the bins on the device.
    stamp: Option<u64>,
    bins: Buffer<u8>,
    features: Buffer<Feature>,
    host_features: Vec<Feature>,
    rows: Buffer<u32>,
    gradients: Buffer<f32>,
    row_weights: Buffer<f32>,
    means: Buffer<f64>,
    deviations: Buffer<f64>,
    largest: Buffer<u64>,
    scales: Buffer<f64>,
    score_ints: Buffer<i32>,
    leaf_ints: Buffer<i32>,
    weight_ints: Buffer<i32>,
    /// Units of the scores' integers.
    units: Buffer<f64>,
    monotone: Buffer<u32>,
    node_of: Buffer<u32>,
    slot_of: Buffer<i32>,
    cells: Buffer<i64>,
    pairs: Buffer<Pair>,
    left_is_smaller: Buffer<u32>,
    nodes: Buffer<u32>,
    best: Buffer<Best>,
    chosen: Buffer<Best>,
    cuts: Buffer<Cut>,
    score_sums: NodeSums,
    leaf_sums: NodeSums,
    step: Step,
    evictions: usize,
    forest: Mutex<Forest>,
    /// Rows times trees from which on the device predicts.
    least_prediction: usize,
}

/// What the host knows of the growing tree.
#[derive(Default)]
struct Step {
    score_rule: ScoreRule,
    leaf_rule: ScoreRule,
    n_rows: usize,
    n_outputs: usize,
    weighted: bool,
    /// Whether scores have integers of their own.
    two_kinds: bool,
    n_nodes: usize,
    parent_of: BTreeMap<NodeId, NodeId>,
    /// The slot that holds a node's histogram.
    slot_of: BTreeMap<NodeId, usize>,
    free_slots: Vec<usize>,
    n_slots: usize,
    /// Cells of a slot, over all features.
    slot_cells: usize,
}

/// Sums of every node on the device, and a copy of those that the host has asked for.
#[derive(Default)]
struct NodeSums {
    device: Buffer<i64>,
    host: Vec<i64>,
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
            means: Buffer::default(),
            deviations: Buffer::default(),
            largest: Buffer::default(),
            scales: Buffer::default(),
            score_ints: Buffer::default(),
            leaf_ints: Buffer::default(),
            weight_ints: Buffer::default(),
            units: Buffer::default(),
            monotone: Buffer::default(),
            node_of: Buffer::default(),
            slot_of: Buffer::default(),
            cells: Buffer::default(),
            pairs: Buffer::default(),
            left_is_smaller: Buffer::default(),
            nodes: Buffer::default(),
            best: Buffer::default(),
            chosen: Buffer::default(),
            cuts: Buffer::default(),
            score_sums: NodeSums::default(),
            leaf_sums: NodeSums::default(),
            step: Step::default(),
            evictions: 0,
            forest: Mutex::default(),
            least_prediction: rules::LEAST_PREDICTION,
        })
    }

    /// Lets the device predict from so many rows times trees on, instead of [`rules::LEAST_PREDICTION`]: for tests.
    #[must_use]
    pub fn predicting_from(mut self, rows_times_trees: usize) -> Self {
        self.least_prediction = rows_times_trees;
        self
    }

    /// Kernels launched so far.
    pub fn launches(&self) -> usize {
        self.device.launches.load(Ordering::Relaxed)
    }

    /// How often, so far, histograms that might have been of use had to make room for others.
    pub fn evictions(&self) -> usize {
        self.evictions
    }

    /// Sends bins, where the device has not got them, and what this task says of features.
    fn send_features(&mut self, task: &Task<'_>) -> Result<()> {
        let stale = self.stamp != Some(task.bins.stamp());
        let (mut bytes, mut first_bin, mut first_byte) = (Vec::new(), 0, 0u64);
        self.host_features.clear();
        for (column, &weight) in task.bins.columns().iter().zip(task.feature_weights) {
            let (bins, n_bins) = (&column.bins, column.bins.n_bins() as u32);
            let wide = matches!(column.slice(), BinSlice::Wide(_));
            // A two-byte bin must lie at an even address.
            first_byte += u64::from(wide) * (first_byte & 1);
            self.host_features.push(Feature {
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
        self.step.slot_cells = first_bin as usize;
        if stale {
            self.stamp = None;
            self.bins.fill(&self.device, &bytes)?;
            self.stamp = Some(task.bins.stamp());
        }
        self.features.fill(&self.device, &self.host_features)
    }

    /// Quantises gradients and weights, and learns the units of their integers.
    fn quantise(&mut self, task: &Task<'_>) -> Result<()> {
        let (n, width) = (task.rows.len(), task.columns.len());
        let device = &self.device;
        self.gradients.fill(device, task.gradients)?;
        self.row_weights.fill(device, task.weights.unwrap_or(&[]))?;
        let deviations = match task.score {
            SplitScore::Cosine => None,
            SplitScore::L2 => {
                let column =
                    |d: usize| task.gradients.iter().skip(task.columns.start + d).step_by(task.n_outputs).copied();
                let (means, deviations): (Vec<f64>, Vec<f64>) = (0..width).map(|d| moments(column(d))).unzip();
                self.means.fill(device, &means)?;
                self.deviations.fill(device, &deviations)?;
                Some((&self.means, &self.deviations))
            }
        };
        let raw = Numbers {
            values: &self.gradients,
            n_rows: n,
            stride: task.n_outputs,
            first: task.columns.start,
            n_columns: width,
            moments: None,
            weights: task.weights.map(|_| &self.row_weights),
        };
        let standard = Numbers { moments: deviations, ..raw };
        let weights = Numbers { values: &self.row_weights, stride: 1, first: 0, n_columns: 1, weights: None, ..raw };
        // Largest magnitudes: of the gradients, of the standardised ones, of the weights.
        self.largest.resize(device, 2 * width + 1, false)?;
        self.largest.clear(device, 0, 2 * width + 1)?;
        if n > 0 {
            self.kernels.largest(device, &raw, &mut self.largest, 0)?;
            if deviations.is_some() {
                self.kernels.largest(device, &standard, &mut self.largest, width)?;
            }
            if task.weights.is_some() {
                self.kernels.largest(device, &weights, &mut self.largest, 2 * width)?;
            }
        }
        let mut bits = vec![0; 2 * width + 1];
        self.largest.fetch(device, 0, &mut bits)?;
        let largest: Vec<f64> = bits.into_iter().map(f64::from_bits).collect();
        if largest[..width].iter().any(|x| !x.is_finite()) {
            check_finite(task)?;
        }
        let bits = quantise::bits(n);
        let (scales, units): (Vec<f64>, Vec<f64>) = largest.iter().map(|&x| quantise::scale(x, bits)).unzip();
        self.scales.fill(device, &scales)?;
        self.leaf_ints.resize(device, n * width, false)?;
        self.score_ints.resize(device, n * width, false)?;
        self.weight_ints.resize(device, n, false)?;
        if n > 0 {
            self.kernels.quantise(device, &raw, (&self.scales, 0), &mut self.leaf_ints)?;
            if deviations.is_some() {
                self.kernels.quantise(device, &standard, (&self.scales, width), &mut self.score_ints)?;
            }
            if task.weights.is_some() {
                self.kernels.quantise(device, &weights, (&self.scales, 2 * width), &mut self.weight_ints)?;
            }
        }
        let weight_unit = if task.weights.is_some() { units[2 * width] } else { 1.0 };
        let rule =
            |units: &[f64]| ScoreRule { score: task.score, lambda: task.lambda, units: units.to_vec(), weight_unit };
        self.step.leaf_rule = rule(&units[..width]);
        self.step.score_rule = rule(if deviations.is_some() { &units[width..2 * width] } else { &units[..width] });
        self.step.two_kinds = deviations.is_some();
        self.units.fill(device, &self.step.score_rule.units)
    }

    /// Computes the sums of nodes `first..`, and forgets the host's copies of them.
    fn sum_nodes(&mut self, first: usize) -> Result<()> {
        let (lanes, count) = (self.step.lanes(), self.step.n_nodes - first);
        let kinds = if self.step.two_kinds { &[true, false][..] } else { &[true] };
        for &score in kinds {
            let ints = Ints {
                gradients: if score && self.step.two_kinds { &self.score_ints } else { &self.leaf_ints },
                weights: &self.weight_ints,
                weighted: self.step.weighted,
                n_outputs: self.step.n_outputs,
            };
            let sums = if score { &mut self.score_sums } else { &mut self.leaf_sums };
            sums.host.truncate(first * lanes);
            sums.device.resize(&self.device, self.step.n_nodes * lanes, true)?;
            sums.device.clear(&self.device, first * lanes, self.step.n_nodes * lanes)?;
            if self.step.n_rows > 0 {
                let rows = (&self.node_of, self.step.n_rows);
                self.kernels.node_sums(&self.device, rows, (first, count), &ints, &mut sums.device)?;
            }
        }
        Ok(())
    }

    /// Sums of a node: of the scores' integers or of the leaves'.
    fn sums_of(&mut self, node: NodeId, score: bool) -> Result<Sums> {
        let lanes = self.step.lanes();
        let sums = if score || !self.step.two_kinds { &mut self.score_sums } else { &mut self.leaf_sums };
        let known = sums.host.len();
        if known < self.step.n_nodes * lanes {
            sums.host.resize(self.step.n_nodes * lanes, 0);
            sums.device.fetch(&self.device, known, &mut sums.host[known..])?;
        }
        let cell = &sums.host[node * lanes..][..lanes];
        Ok(Sums {
            n_rows: cell[0] as u32,
            weight: cell[usize::from(self.step.weighted)],
            gradients: cell[1 + usize::from(self.step.weighted)..].to_vec(),
        })
    }

    /// Most slots that memory has room for: those there are, or more, which are allocated while the old ones are there.
    fn most_slots(&self) -> Result<usize> {
        let (free, _) = self.device.memory()?;
        let free = (free as f64 * HISTOGRAM_SHARE) as usize / size_of::<i64>();
        Ok(self.cells.room().max(free) / self.step.slot_numbers().max(1))
    }

    /// Decides which histograms are summed for `nodes` and which are what remains of a parent; every one of `nodes` has a slot
    /// afterwards. At most [`most_slots`](Self::most_slots) of them.
    fn plan(&mut self, nodes: &[NodeId], most_slots: usize) -> Plan {
        let step = &mut self.step;
        let mut wanted: Vec<NodeId> = nodes.iter().copied().filter(|node| !step.slot_of.contains_key(node)).collect();
        // The second child of a pair takes over its parent's slot.
        let n_pairs = (0..wanted.len()).filter(|&i| step.parent_slot(&wanted, i).is_some()).count();
        let evicted = step.n_slots - step.free_slots.len() + wanted.len() - n_pairs > most_slots;
        if evicted {
            // No room for what may be of use later on.
            step.slot_of.clear();
            step.free_slots = (0..step.n_slots.min(most_slots)).rev().collect();
            step.n_slots = step.n_slots.min(most_slots);
            wanted = nodes.to_vec();
        }
        let mut plan = Plan { build: vec![-1; step.n_nodes], evicted, ..Plan::default() };
        let mut i = 0;
        while i < wanted.len() {
            let node = wanted[i];
            let pair = step.parent_slot(&wanted, i);
            let slot = step.free_slots.pop().unwrap_or_else(|| {
                step.n_slots += 1;
                step.n_slots - 1
            });
            plan.fresh.push(slot);
            match pair {
                Some((parent, parent_slot)) => {
                    let (left, right) = (node as u32, node as u32 + 1);
                    plan.pairs.push(Pair { left, right, parent_slot: parent_slot as u32, fresh_slot: slot as u32 });
                    step.slot_of.remove(&parent);
                    step.slot_of.insert(node, parent_slot);
                    step.slot_of.insert(node + 1, slot);
                    i += 2;
                }
                None => {
                    plan.build[node] = slot as i32;
                    step.slot_of.insert(node, slot);
                    i += 1;
                }
            }
        }
        let slot_of = |node| step.slot_of.get(&node).map_or(-1, |&slot| slot as i32);
        plan.slots = (0..step.n_nodes).map(slot_of).collect();
        plan.nodes = nodes.iter().map(|&node| node as u32).collect();
        plan
    }

    /// Sends plans; the returned places say where each lies.
    fn send(&mut self, plans: &[Plan]) -> Result<Vec<Place>> {
        let (mut pairs, mut slots, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::with_capacity(plans.len());
        for plan in plans {
            places.push(Place {
                pairs: pairs.len(),
                build: slots.len(),
                slots: slots.len() + plan.build.len(),
                nodes: nodes.len(),
            });
            pairs.extend_from_slice(&plan.pairs);
            slots.extend_from_slice(&plan.build);
            slots.extend_from_slice(&plan.slots);
            nodes.extend_from_slice(&plan.nodes);
        }
        let device = &self.device;
        self.pairs.fill(device, &pairs)?;
        self.left_is_smaller.resize(device, pairs.len(), false)?;
        self.slot_of.fill(device, &slots)?;
        self.nodes.fill(device, &nodes)?;
        let evicted = plans.iter().filter(|plan| plan.evicted).count();
        self.evictions += evicted;
        self.cells.resize(device, self.step.n_slots * self.step.slot_numbers(), evicted == 0)?;
        Ok(places)
    }

    /// Sums the histograms of a plan.
    fn make_histograms(&mut self, plan: &Plan, place: &Place) -> Result<()> {
        let (device, numbers) = (&self.device, self.step.slot_numbers());
        // Slots that follow one another are emptied together.
        for run in plan.fresh.chunk_by(|a, b| a + 1 == *b) {
            self.cells.clear(device, run[0] * numbers, (run[0] + run.len()) * numbers)?;
        }
        let pairs = (place.pairs, plan.pairs.len());
        if pairs.1 > 0 {
            let sums = (&self.score_sums.device, self.step.lanes());
            let slots = (&mut self.slot_of, place.build);
            self.kernels.choose_smaller(device, (&self.pairs, pairs), sums, slots, &mut self.left_is_smaller)?;
        }
        if self.step.n_rows > 0 && !plan.nodes.is_empty() {
            let rows = Rows { bins: &self.bins, features: &self.features, rows: &self.rows, n_rows: self.step.n_rows };
            let ints = Ints {
                gradients: if self.step.two_kinds { &self.score_ints } else { &self.leaf_ints },
                weights: &self.weight_ints,
                weighted: self.step.weighted,
                n_outputs: self.step.n_outputs,
            };
            let cells = (self.step.slot_cells as u64, &mut self.cells);
            self.kernels.histogram(device, &rows, &self.node_of, (&self.slot_of, place.build), &ints, cells)?;
        }
        if pairs.1 > 0 {
            let cells = (numbers as u64, &mut self.cells);
            self.kernels.subtract(device, (&self.pairs, pairs), &self.left_is_smaller, cells)?;
        }
        Ok(())
    }

    /// Finds the best candidates of a plan's nodes: one for all (`joint`) or one each, into `chosen[first..]`.
    fn score(&mut self, task: &Task<'_>, plan: &Plan, place: &Place, joint: bool, first: usize) -> Result<()> {
        let device = &self.device;
        let (n, n_features) = (if joint { 1 } else { plan.nodes.len() }, self.features.len());
        self.best.resize(device, n * n_features, false)?;
        let least = if joint { task.min_data_in_leaf } else { task.min_data_in_leaf.max(1) };
        let rule = Rule {
            cosine: (task.score == SplitScore::Cosine).into(),
            n_outputs: self.step.n_outputs as u32,
            weighted: self.step.weighted.into(),
            n_monotone: task.monotone.len() as u32,
            min_rows: u32::try_from(least).unwrap_or(u32::MAX),
            unused: 0,
            lambda: task.lambda,
            weight_unit: self.step.score_rule.weight_unit,
        };
        self.kernels.best_of_feature(
            device,
            &self.features,
            (&rule, &self.units, &self.monotone),
            (&self.slot_of, place.slots),
            (&self.nodes, place.nodes, plan.nodes.len(), joint),
            &self.score_sums.device,
            (self.step.slot_cells as u64, &self.cells),
            &mut self.best,
        )?;
        self.kernels.best_of_all(device, (&self.best, n_features), n, (&mut self.chosen, first))
    }

    /// Fetches the first `n` of what was chosen.
    fn fetch_chosen(&self, n: usize) -> Result<Vec<Option<Scored>>> {
        let mut chosen = vec![Best::default(); n];
        self.chosen.fetch(&self.device, 0, &mut chosen)?;
        let scored = |best: &Best| {
            (best.found != 0).then_some(Scored {
                candidate: Candidate {
                    feature_idx: best.feature,
                    bin: best.bin,
                    missing_right: best.missing_right != 0,
                },
                score: best.score,
            })
        };
        Ok(chosen.iter().map(scored).collect())
    }

    /// Numbers the children of split nodes; `chosen_idx` is where each split stands.
    fn add_children(&mut self, splits: impl IntoIterator<Item = (NodeId, usize)>, cuts: &mut [Cut]) {
        let step = &mut self.step;
        for (node, chosen_idx) in splits {
            let left = step.n_nodes;
            cuts[node] = Cut { chosen_idx: chosen_idx as i32, left: left as u32 };
            step.parent_of.insert(left, node);
            step.parent_of.insert(left + 1, node);
            step.n_nodes += 2;
        }
    }

    /// Sends the rows of split nodes to their children, and sums these, nodes `first..`.
    fn send_rows(&mut self, first: usize) -> Result<()> {
        if self.step.n_rows > 0 {
            let rows = Rows { bins: &self.bins, features: &self.features, rows: &self.rows, n_rows: self.step.n_rows };
            self.kernels.partition(&self.device, &rows, &self.chosen, &self.cuts, &mut self.node_of)?;
        }
        self.sum_nodes(first)
    }
}

/// What is to be summed, and for whom.
#[derive(Default)]
struct Plan {
    /// Whether no earlier histogram is of use any more.
    evicted: bool,
    /// Slots to be empty before.
    fresh: Vec<usize>,
    pairs: Vec<Pair>,
    /// By node, the slot that its rows are added to, or −1; the smaller of each pair is filled in on the device.
    build: Vec<i32>,
    /// By node, the slot that its histogram is in afterwards.
    slots: Vec<i32>,
    /// The nodes to be scored.
    nodes: Vec<u32>,
}

/// Where a plan lies on the device.
struct Place {
    pairs: usize,
    build: usize,
    slots: usize,
    nodes: usize,
}

impl Step {
    /// Numbers of a cell: rows, weight where rows have some, one per output.
    fn lanes(&self) -> usize {
        1 + usize::from(self.weighted) + self.n_outputs
    }

    /// A node and its slot, where the i-th and the next of `wanted` are its children.
    fn parent_slot(&self, wanted: &[NodeId], i: usize) -> Option<(NodeId, usize)> {
        let parent = *self.parent_of.get(&wanted[i])?;
        let sibling = *wanted.get(i + 1)?;
        let are_pair = sibling == wanted[i] + 1 && self.parent_of.get(&sibling) == Some(&parent);
        Some((parent, *self.slot_of.get(&parent)?)).filter(|_| are_pair)
    }

    /// Numbers of a slot.
    fn slot_numbers(&self) -> usize {
        self.slot_cells * self.lanes()
    }
}

impl Backend for CudaBackend {
    fn begin(&mut self, task: &Task<'_>) -> Result<()> {
        if task.rows.len() >= 1 << 31 {
            return Err(Error::parameter("rows", task.rows.len(), "fewer than 2³¹ rows in one step"));
        }
        self.step = Step {
            n_rows: task.rows.len(),
            n_outputs: task.columns.len(),
            weighted: task.weights.is_some(),
            n_nodes: 1,
            ..Step::default()
        };
        self.send_features(task)?;
        self.rows.fill(&self.device, task.rows)?;
        self.quantise(task)?;
        check_weights(task)?;
        let monotone: Vec<u32> = task
            .monotone
            .iter()
            .flat_map(|&(feature, output, direction)| [feature, output, u32::from(direction > 0)])
            .collect();
        self.monotone.fill(&self.device, &monotone)?;
        self.node_of.resize(&self.device, task.rows.len(), false)?;
        self.node_of.clear(&self.device, 0, task.rows.len())?;
        self.sum_nodes(0)
    }

    fn score_rule(&self) -> &ScoreRule {
        &self.step.score_rule
    }

    fn leaf_rule(&self) -> &ScoreRule {
        &self.step.leaf_rule
    }

    fn unsplit(&mut self, _: &Task<'_>, node: NodeId) -> Result<f64> {
        let sums = self.sums_of(node, true)?;
        Ok(self.step.score_rule.unsplit(&sums))
    }

    fn best_joint(&mut self, task: &Task<'_>, nodes: &[NodeId]) -> Result<Option<Scored>> {
        let most = self.most_slots()?;
        if nodes.len() > most {
            let bytes = self.step.slot_numbers() * size_of::<i64>();
            let reason = format!(
                "a level of {} nodes needs as many histograms of {bytes} bytes, and there is room for {most}",
                nodes.len()
            );
            return Err(Error::device(&self.device.name, "allocating memory", reason));
        }
        let plans = [self.plan(nodes, most)];
        let places = self.send(&plans)?;
        self.make_histograms(&plans[0], &places[0])?;
        self.chosen.resize(&self.device, 1, false)?;
        self.score(task, &plans[0], &places[0], true, 0)?;
        Ok(self.fetch_chosen(1)?.pop().flatten())
    }

    fn best_each(&mut self, task: &Task<'_>, nodes: &[NodeId], out: &mut Vec<Option<Scored>>) -> Result<()> {
        out.clear();
        let most = self.most_slots()?.max(1);
        for nodes in nodes.chunks(most.min(MOST_NODES)) {
            let plans = [self.plan(nodes, most)];
            let places = self.send(&plans)?;
            self.make_histograms(&plans[0], &places[0])?;
            self.chosen.resize(&self.device, nodes.len(), false)?;
            self.score(task, &plans[0], &places[0], false, 0)?;
            out.extend(self.fetch_chosen(nodes.len())?);
        }
        Ok(())
    }

    fn partition(&mut self, _: &Task<'_>, splits: &[(NodeId, Candidate)]) -> Result<()> {
        let first = self.step.n_nodes;
        let mut cuts = vec![Cut::default(); first];
        let chosen = |&(_, candidate): &(NodeId, Candidate)| Best {
            score: 0.0,
            feature: candidate.feature_idx,
            bin: candidate.bin,
            missing_right: candidate.missing_right.into(),
            found: 1,
        };
        self.add_children(splits.iter().enumerate().map(|(i, &(node, _))| (node, i)), &mut cuts);
        self.cuts.fill(&self.device, &cuts)?;
        self.chosen.fill(&self.device, &splits.iter().map(chosen).collect::<Vec<_>>())?;
        self.send_rows(first)
    }

    /// All levels are asked for before the first answer is fetched: the device decides, splits and goes on by itself.
    fn grow_oblivious(&mut self, task: &Task<'_>, max_depth: usize) -> Result<Option<Vec<Scored>>> {
        let most = self.most_slots()?;
        if max_depth == 0 || max_depth > MOST_LEVELS || 1 << (max_depth - 1) > most {
            return Ok(None);
        }
        let (mut plans, mut firsts) = (Vec::with_capacity(max_depth), Vec::with_capacity(max_depth));
        let mut cuts = vec![Cut::default(); (1 << max_depth) - 1];
        let mut level = 0..1;
        for depth in 0..max_depth {
            plans.push(self.plan(&level.clone().collect::<Vec<_>>(), most));
            firsts.push(level.end);
            self.add_children(level.clone().map(|node| (node, depth)), &mut cuts);
            level = level.end..self.step.n_nodes;
        }
        let places = self.send(&plans)?;
        self.cuts.fill(&self.device, &cuts)?;
        self.chosen.resize(&self.device, max_depth, false)?;
        for (depth, (plan, place)) in plans.iter().zip(&places).enumerate() {
            self.step.n_nodes = firsts[depth] + 2 * plan.nodes.len();
            self.make_histograms(plan, place)?;
            self.score(task, plan, place, true, depth)?;
            self.send_rows(firsts[depth])?;
        }
        let chosen: Vec<Scored> = self.fetch_chosen(max_depth)?.into_iter().map_while(|best| best).collect();
        // Where nothing was left to split, the levels below are none.
        self.step.n_nodes = firsts.get(chosen.len()).copied().unwrap_or(self.step.n_nodes);
        Ok(Some(chosen))
    }

    fn sums(&mut self, _: &Task<'_>, node: NodeId) -> Result<Sums> {
        self.sums_of(node, false)
    }

    fn add_trees(&self, addition: &Addition<'_>, sums: &mut [Lanes<f32>]) -> Result<bool> {
        if addition.n_rows().saturating_mul(addition.range.len()) < self.least_prediction {
            return Ok(false);
        }
        let mut forest = self.forest.lock().unwrap_or_else(PoisonError::into_inner);
        forest.add(&self.device, &self.kernels, addition, sums)?;
        Ok(true)
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
