//! `device = auto`: the processor, except for work of a size that is sure to be worth a GPU's while.

use std::sync::OnceLock;

use gbrl_core::backend::cpu::CpuBackend;
use gbrl_core::backend::{Addition, Backend, NodeId, Task};
use gbrl_core::data::Lanes;
use gbrl_core::error::Result;
use gbrl_core::threads::Threads;
use gbrl_core::tree::{Candidate, ScoreRule, Scored, Sums};

use crate::{CudaBackend, n_devices, rules};

/// Both backends; every step is grown by one of them, and results do not depend on which.
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
        let found = match n_devices() {
            Ok(n) if n > 0 => Some(CudaBackend::new(0)?),
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
}

impl Backend for AutoBackend {
    fn begin(&mut self, task: &Task<'_>) -> Result<()> {
        let large = task.rows.len().saturating_mul(task.bins.columns().len()) >= self.least_step;
        self.on_device = large && self.cuda()?.is_some();
        self.current().begin(task)
    }

    fn score_rule(&self) -> &ScoreRule {
        match self.cuda.get() {
            Some(Some(cuda)) if self.on_device => cuda.score_rule(),
            _ => self.cpu.score_rule(),
        }
    }

    fn leaf_rule(&self) -> &ScoreRule {
        match self.cuda.get() {
            Some(Some(cuda)) if self.on_device => cuda.leaf_rule(),
            _ => self.cpu.leaf_rule(),
        }
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
        if addition.n_rows().saturating_mul(addition.range.len()) < self.least_prediction {
            return Ok(false);
        }
        self.cuda()?.map_or(Ok(false), |cuda| cuda.add_trees(addition, sums))
    }
}
