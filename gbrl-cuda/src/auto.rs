//! `device = auto`: the processor, except for work of a size that is sure to be worth a GPU's while.

use std::sync::OnceLock;

use gbrl_core::backend::cpu::CpuBackend;
use gbrl_core::backend::update::{LossSums, Minibatch, Update};
use gbrl_core::backend::{Addition, Backend, NodeId, Task, Updates};
use gbrl_core::data::Lanes;
use gbrl_core::error::{Error, Result};
use gbrl_core::threads::Threads;
use gbrl_core::tree::{Candidate, ScoreRule, Scored, Sums, Tree};

use crate::{CudaBackend, n_devices, rules};

/// Both backends; every step is grown, and every update kept, by one of them, and results do not depend on which.
///
/// The first GPU is opened when the first step or prediction of [`rules::AUTO_STEP`] or [`rules::AUTO_PREDICTION`] comes.
/// Where the driver shows none, or there is no driver, everything is the processor's. A GPU that is there and fails is
/// an error, as with `device = cuda`.
pub struct AutoBackend {
    cpu: CpuBackend,
    /// `None` once it is known that there is no GPU.
    cuda: OnceLock<Option<CudaBackend>>,
    /// Rows times features of a step, rows times trees of a prediction, from which on the GPU is asked.
    least_step: usize,
    least_prediction: usize,
    /// Whether the step that was begun last is the GPU's.
    on_device: bool,
}

impl AutoBackend {
    /// Both, with these threads for the processor's.
    ///
    /// # Errors
    /// See [`Simd::detect`](gbrl_core::backend::cpu::Simd::detect).
    pub fn new(threads: Threads) -> Result<Self> {
        AutoBackend::from_sizes(threads, rules::AUTO_STEP, rules::AUTO_PREDICTION)
    }

    /// With other limits than those of [`rules`].
    ///
    /// # Errors
    /// As [`new`](AutoBackend::new).
    pub fn from_sizes(threads: Threads, least_step: usize, least_prediction: usize) -> Result<Self> {
        let cpu = CpuBackend::new(threads)?;
        Ok(AutoBackend { cpu, cuda: OnceLock::new(), least_step, least_prediction, on_device: false })
    }

    /// Whether the step that was begun last is grown on the GPU.
    pub fn on_device(&self) -> bool {
        self.on_device
    }

    /// The GPU, if there is one.
    fn cuda(&self) -> Result<Option<&CudaBackend>> {
        if let Some(known) = self.cuda.get() {
            return Ok(known.as_ref());
        }
        // Whether a prediction is large is decided here.
        let found = match n_devices() {
            Ok(n) if n > 0 => Some(CudaBackend::new(0)?.predicting_from(0)),
            _ => None,
        };
        Ok(self.cuda.get_or_init(|| found).as_ref())
    }

    fn current(&mut self) -> &mut dyn Backend {
        match self.cuda.get_mut() {
            Some(Some(cuda)) if self.on_device => cuda,
            _ => &mut self.cpu,
        }
    }

    /// The GPU that an update's rows are on.
    fn keeper(&mut self) -> Result<&mut CudaBackend> {
        match self.cuda.get_mut() {
            Some(Some(cuda)) => Ok(cuda),
            _ => Err(Error::unsupported("an update", "before it is begun", "no GPU has its rows")),
        }
    }

    fn is_large(&self, n_rows: usize, n_features: usize) -> bool {
        n_rows.saturating_mul(n_features) >= self.least_step
    }
}

impl Backend for AutoBackend {
    fn begin(&mut self, task: &Task<'_>) -> Result<()> {
        let kept = task.gradients.is_empty() && !task.rows.is_empty();
        let large = kept || self.is_large(task.rows.len(), task.bins.columns().len());
        self.on_device = large && self.cuda()?.is_some();
        self.current().begin(task)
    }

    fn score_rule(&mut self, task: &Task<'_>) -> Result<&ScoreRule> {
        self.current().score_rule(task)
    }

    fn leaf_rule(&mut self, task: &Task<'_>) -> Result<&ScoreRule> {
        self.current().leaf_rule(task)
    }

    fn unsplit(&mut self, task: &Task<'_>, node: NodeId) -> Result<f64> {
        self.current().unsplit(task, node)
    }

    fn best_joint(&mut self, task: &Task<'_>, nodes: &[NodeId]) -> Result<Option<Scored>> {
        self.current().best_joint(task, nodes)
    }

    fn best_each(&mut self, task: &Task<'_>, nodes: &[NodeId], out: &mut Vec<Option<Scored>>) -> Result<()> {
        self.current().best_each(task, nodes, out)
    }

    fn partition(&mut self, task: &Task<'_>, splits: &[(NodeId, Candidate)]) -> Result<()> {
        self.current().partition(task, splits)
    }

    fn grow_oblivious(&mut self, task: &Task<'_>, max_depth: usize) -> Result<Option<Vec<Scored>>> {
        self.current().grow_oblivious(task, max_depth)
    }

    fn sums(&mut self, task: &Task<'_>, node: NodeId) -> Result<Sums> {
        self.current().sums(task, node)
    }

    fn add_trees(&self, addition: &Addition<'_>, sums: &mut [Lanes<f32>]) -> Result<bool> {
        if addition.work() < self.least_prediction {
            return Ok(false);
        }
        self.cuda()?.map_or(Ok(false), |cuda| cuda.add_trees(addition, sums))
    }

    fn updates(&mut self) -> Option<&mut dyn Updates> {
        Some(self)
    }
}

impl Updates for AutoBackend {
    fn begin(&mut self, update: &Update<'_>) -> Result<bool> {
        if !self.is_large(update.batch_size, update.n_features) || self.cuda()?.is_none() {
            return Ok(false);
        }
        Updates::begin(self.keeper()?, update)
    }

    fn losses(&mut self, minibatch: &Minibatch<'_>) -> Result<()> {
        self.keeper()?.losses(minibatch)
    }

    fn sums(&mut self) -> Result<Option<LossSums>> {
        Updates::sums(self.keeper()?)
    }

    fn advance(&mut self, trees: &[Tree], stamp: u64, first: usize) -> Result<()> {
        self.keeper()?.advance(trees, stamp, first)
    }

    fn end(&mut self, outputs: &mut [Lanes<f32>]) -> Result<()> {
        self.keeper()?.end(outputs)
    }
}
