//! An update whose rows stay where the backend is: outputs, losses and gradients never leave it, only trees and a few
//! sums do.

use crate::data::Lanes;
use crate::error::Result;
use crate::tree::Tree;

/// Rows whose losses are added up by themselves; the sums of such tiles are added in order. It is the order of every
/// sum over a minibatch's losses, on every backend.
pub const LOSS_TILE: usize = 32;

/// The policy's loss at one moment of a run.
#[derive(Clone, Copy, Debug)]
pub struct PolicyLoss<'a> {
    /// By row: advantages, or what was made of them.
    pub weights: &'a [f64],
    /// Whether weights are standardised within the minibatch.
    pub standardize: bool,
    /// For the clipped surrogate: ln π of the policy that acted, by row, and ε. Otherwise the plain policy gradient.
    pub clip: Option<(&'a [f64], f64)>,
    /// What the entropy is multiplied by before it is taken off the loss.
    pub ent_coef: f64,
    /// The longest that a row's gradient may be.
    pub max_grad_norm: Option<f64>,
}

/// The value's loss at one moment of a run.
#[derive(Clone, Copy, Debug)]
pub struct ValueLoss<'a> {
    /// Targets by row.
    pub returns: &'a [f64],
    /// Values as they were when the rollout was finished, by row, and how far the new ones may leave them.
    pub clip: Option<(&'a [f32], f64)>,
    /// What the loss is multiplied by.
    pub vf_coef: f64,
    /// The longest that a row's gradient may be.
    pub max_grad_norm: Option<f64>,
}

/// What a row of parameters means; twins of the distributions of `rl::dist`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actions {
    /// Independent choices, so many each: logits.
    Choices(Vec<u32>),
    /// So many independent bits: logits.
    Bits(usize),
    /// Normals of so many dimensions, means before log standard deviations; squashed by tanh or not.
    Normals(usize, bool),
}

/// Rows to be learnt from by many steps. Everything is by row of the dataset, row-major.
#[derive(Clone, Debug)]
pub struct Update<'a> {
    /// Outputs so far, `[tile][n_outputs][16]`: the policy's columns, then the value.
    pub outputs: &'a [Lanes<f32>],
    /// Outputs of a row.
    pub n_outputs: usize,
    /// Observations, `[tile][n_features][16]`.
    pub tiles: &'a [Lanes<f32>],
    /// Features.
    pub n_features: usize,
    /// Rows of a minibatch, at most.
    pub batch_size: usize,
    /// What the policy's columns mean.
    pub actions: &'a Actions,
    /// Stored actions.
    pub acted: &'a [f32],
    /// The masks they were chosen under; empty without masks.
    pub masks: &'a [bool],
    /// The policy's loss, where it is to be learnt.
    pub policy: Option<PolicyLoss<'a>>,
    /// The value's loss, where it is to be learnt.
    pub value: Option<ValueLoss<'a>>,
}

/// One minibatch of an update.
#[derive(Clone, Copy, Debug)]
pub struct Minibatch<'a> {
    /// Its rows.
    pub rows: &'a [u32],
    /// What is taken off weights, and what they are then divided by.
    pub standard: (f64, f64),
    /// Free log standard deviations, behind the policy's columns; empty where there are none.
    pub log_std: &'a [f64],
}

/// Sums over a minibatch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossSums {
    /// Of the policy's loss without the entropy.
    pub loss: f64,
    /// Of the entropy.
    pub entropy: f64,
    /// Of (r − 1) − ln r.
    pub kl: f64,
    /// Rows whose ratio is clipped.
    pub clipped: f64,
    /// Of (V − R)².
    pub squared_error: f64,
    /// Of d loss_row / d log_std.
    pub log_std: Vec<f64>,
}

/// Keeps an update's rows. In turn: [`begin`](Updates::begin); for every minibatch [`losses`](Updates::losses), a tree for
/// its rows from tasks without gradients of their own, [`sums`](Updates::sums), [`advance`](Updates::advance);
/// [`end`](Updates::end). Results are those of the processor to the bit.
pub trait Updates {
    /// Takes over an update; `false` where it is not worth the while.
    ///
    /// # Errors
    /// Class `Device` where a device fails, here and below.
    fn begin(&mut self, update: &Update<'_>) -> Result<bool>;

    /// Computes the gradients of a minibatch's rows, and keeps them for tasks whose own are empty. Need not wait.
    ///
    /// # Errors
    /// As [`begin`](Updates::begin).
    fn losses(&mut self, minibatch: &Minibatch<'_>) -> Result<()>;

    /// What the losses came to. `None` where a row has none, because its outputs or its action make no sense or its gradient is
    /// not finite: the processor says which.
    ///
    /// # Errors
    /// As [`begin`](Updates::begin).
    fn sums(&mut self) -> Result<Option<LossSums>>;

    /// Adds the newest of `trees`, all that there are of the list with this `stamp`, from number `first` on, to the outputs.
    ///
    /// # Errors
    /// As [`begin`](Updates::begin).
    fn advance(&mut self, trees: &[Tree], stamp: u64, first: usize) -> Result<()>;

    /// Gives the outputs back.
    ///
    /// # Errors
    /// As [`begin`](Updates::begin).
    fn end(&mut self, outputs: &mut [Lanes<f32>]) -> Result<()>;
}
