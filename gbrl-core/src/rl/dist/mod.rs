//! Action distributions, stateless over a parameter row.
//!
//! A policy's output *is* the row: logits, or means and log standard deviations. A distribution is only the rule that
//! turns the row into probabilities, so it holds sizes and nothing else, and one value serves all rows and threads.
//!
//! Actions are stored as `f32`: indices 0, 1, … for discrete parts, the **raw** sample for continuous ones (before
//! clipping or squashing; [`Distribution::to_env`] makes what the environment receives).
//!
//! Masks hold one flag per choice, laid out as [`mask_len`](crate::rl::env::mask_len) says; an empty mask allows all.
//! A forbidden choice has probability exactly 0 and its logit gradient exactly 0.

mod bernoulli;
mod categorical;
mod diag_gaussian;
mod divergence;
mod multi_categorical;
mod squashed_gaussian;

use serde::{Deserialize, Serialize};

pub use bernoulli::Bernoulli;
pub use categorical::Categorical;
pub use diag_gaussian::DiagGaussian;
pub use multi_categorical::MultiCategorical;
pub use squashed_gaussian::SquashedGaussian;

use crate::backend::update::Actions;
use crate::error::{Error, ErrorKind, Result};
use crate::rl::space::Space;
use crate::rng::Stream;

/// The logarithm of an action's probability (or density) and the entropy of the distribution, in nats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// ln π(action).
    pub log_prob: f64,
    /// −E ln π.
    pub entropy: f64,
}

/// Where the random numbers of an action come from, one for each of its numbers.
pub trait Draw {
    /// A standard normal number for the action's number `i`.
    fn normal(&mut self, i: usize) -> f64;

    /// A uniform number of [0, 1) for the action's number `i`.
    fn uniform(&mut self, i: usize) -> f64;
}

/// Independent numbers.
impl Draw for Stream {
    fn normal(&mut self, _i: usize) -> f64 {
        Stream::normal(self)
    }

    fn uniform(&mut self, _i: usize) -> f64 {
        Stream::uniform(self)
    }
}

/// What every distribution can do with one row.
///
/// `work` is scratch of [`work_len`](RowDistribution::work_len) numbers: [`sample`](RowDistribution::sample) and
/// [`evaluate`](RowDistribution::evaluate) leave there what [`gradients`](RowDistribution::gradients) needs, so
/// nothing is computed twice. Slices must have the stated lengths; [`Distribution`] checks them.
pub trait RowDistribution {
    /// Length of a parameter row.
    fn n_params(&self) -> usize;

    /// Length of an action row.
    fn action_len(&self) -> usize;

    /// Length of a mask; 0 where there is none.
    fn mask_len(&self) -> usize {
        0
    }

    /// Length of the scratch.
    fn work_len(&self) -> usize;

    /// Writes the most likely action (of several equally likely ones the first).
    ///
    /// # Errors
    /// As [`evaluate`](RowDistribution::evaluate).
    fn mode(&self, params: &[f64], mask: &[bool], action: &mut [f32]) -> Result<()>;

    /// Draws an action and evaluates it: one random number for each number of the action, in their order.
    ///
    /// # Errors
    /// As [`evaluate`](RowDistribution::evaluate).
    fn sample(
        &self,
        params: &[f64],
        mask: &[bool],
        draw: &mut impl Draw,
        work: &mut [f64],
        action: &mut [f32],
    ) -> Result<Evaluation>;

    /// ln π(action) and the entropy.
    ///
    /// # Errors
    /// Class `Value` when a parameter is not finite, the mask allows nothing, or the action is not one.
    fn evaluate(&self, params: &[f64], mask: &[bool], action: &[f32], work: &mut [f64]) -> Result<Evaluation>;

    /// [`evaluate`](RowDistribution::evaluate) for `out.len()` rows one after the other, all slices row-major, `masks`
    /// empty or one per row. The same bits; a distribution overrides it where exponentials of several rows can be in
    /// flight together.
    ///
    /// # Errors
    /// As [`evaluate`](RowDistribution::evaluate), of the first row that has one.
    fn evaluate_rows(
        &self,
        params: &[f64],
        masks: &[bool],
        actions: &[f32],
        work: &mut [f64],
        out: &mut [Evaluation],
    ) -> Result<()> {
        let (n, flags, width, w) = (self.n_params(), self.mask_len(), self.action_len(), self.work_len());
        for (i, out) in out.iter_mut().enumerate() {
            let mask = if masks.is_empty() { masks } else { &masks[i * flags..][..flags] };
            let (params, action) = (&params[i * n..][..n], &actions[i * width..][..width]);
            let at = self.evaluate(params, mask, action, &mut work[i * w..][..w]);
            *out = at.map_err(|error| at_row(error, i))?;
        }
        Ok(())
    }

    /// Writes d_log_prob · ∂ln π(action)/∂params + d_entropy · ∂entropy/∂params, after an evaluation of the same row.
    fn gradients(
        &self,
        params: &[f64],
        mask: &[bool],
        action: &[f32],
        work: &[f64],
        d_log_prob: f64,
        d_entropy: f64,
        out: &mut [f64],
    );

    /// What the environment receives for a stored action.
    fn to_env(&self, action: &[f32], out: &mut [f32]) {
        out.copy_from_slice(action);
    }
}

/// The distribution of a policy, chosen from the action space.
///
/// ```
/// use gbrl_core::rl::dist::Distribution;
/// use gbrl_core::rl::space::Space;
/// let distribution = Distribution::for_space(&Space::discrete(2), false)?;
/// let mut work = vec![0.0; distribution.work_len()];
/// let at = distribution.evaluate(&[0.0, 3f64.ln()], &[], &[1.0], &mut work)?;
/// assert!((at.log_prob - 0.75f64.ln()).abs() < 1e-15);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Distribution {
    /// For `Discrete`.
    Categorical(Categorical),
    /// For `MultiDiscrete`.
    MultiCategorical(MultiCategorical),
    /// For `MultiBinary`.
    Bernoulli(Bernoulli),
    /// For `Box`: actions are clipped to the bounds.
    DiagGaussian(DiagGaussian),
    /// For a `Box` with finite bounds: actions are squashed into them.
    SquashedGaussian(SquashedGaussian),
}

macro_rules! each {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self {
            Distribution::Categorical($inner) => $call,
            Distribution::MultiCategorical($inner) => $call,
            Distribution::Bernoulli($inner) => $call,
            Distribution::DiagGaussian($inner) => $call,
            Distribution::SquashedGaussian($inner) => $call,
        }
    };
}

impl Distribution {
    /// The distribution for an action space; `squash` chooses the squashed Gaussian for a `Box`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for `Dict` and `Tuple` actions, an empty
    /// space, and squashing without finite bounds; class `Value` when the space itself is wrong.
    pub fn for_space(space: &Space, squash: bool) -> Result<Self> {
        space.check("action_space")?;
        if space.flat_len() == 0 {
            return Err(Error::unsupported("a policy", "for an empty action space", "there is nothing to choose"));
        }
        Ok(match space {
            Space::Discrete { n, .. } => Distribution::Categorical(Categorical::new(*n as usize)),
            Space::MultiDiscrete { nvec } => Distribution::MultiCategorical(MultiCategorical::new(nvec)),
            Space::MultiBinary { n } => Distribution::Bernoulli(Bernoulli::new(*n)),
            Space::Box { low, high, .. } if squash => Distribution::SquashedGaussian(SquashedGaussian::new(low, high)?),
            Space::Box { low, high, .. } => Distribution::DiagGaussian(DiagGaussian::new(low, high)),
            Space::Text | Space::Dict(_) | Space::Tuple(_) => {
                return Err(Error::unsupported(
                    "a policy",
                    "for Text, Dict or Tuple actions",
                    "flatten them to MultiDiscrete or Box in the environment",
                ));
            }
        })
    }

    /// What a backend has to know of it.
    pub(crate) fn actions(&self) -> Actions {
        match self {
            Distribution::Categorical(inner) => Actions::Choices(vec![inner.n_params() as u32]),
            Distribution::MultiCategorical(inner) => Actions::Choices(inner.nvec().iter().map(|&n| n as u32).collect()),
            Distribution::Bernoulli(inner) => Actions::Bits(inner.action_len()),
            Distribution::DiagGaussian(inner) => Actions::Normals(inner.action_len(), false),
            Distribution::SquashedGaussian(inner) => Actions::Normals(inner.action_len(), true),
        }
    }

    /// Dimensions of a Gaussian's mean, which are followed by as many log standard deviations; `None` for others.
    pub fn gaussian_len(&self) -> Option<usize> {
        match self {
            Distribution::DiagGaussian(inner) => Some(inner.action_len()),
            Distribution::SquashedGaussian(inner) => Some(inner.action_len()),
            _ => None,
        }
    }

    fn check(&self, params: &[f64], mask: &[bool], action: &[f32]) -> Result<()> {
        if params.len() != self.n_params() {
            return Err(Error::shape("policy output", self.n_params(), params.len()));
        }
        if !mask.is_empty() && mask.len() != self.mask_len() {
            return Err(Error::shape("action mask", self.mask_len(), mask.len()));
        }
        if action.len() != self.action_len() {
            return Err(Error::shape("action", self.action_len(), action.len()));
        }
        Ok(())
    }

    fn check_work(&self, work: &[f64]) -> Result<()> {
        if work.len() == self.work_len() {
            return Ok(());
        }
        Err(Error::shape("work", self.work_len(), work.len()))
    }

    /// Length of a parameter row.
    pub fn n_params(&self) -> usize {
        each!(self, inner => inner.n_params())
    }

    /// Length of an action row.
    pub fn action_len(&self) -> usize {
        each!(self, inner => inner.action_len())
    }

    /// Length of a mask; 0 where there is none.
    pub fn mask_len(&self) -> usize {
        each!(self, inner => inner.mask_len())
    }

    /// Length of the scratch.
    pub fn work_len(&self) -> usize {
        each!(self, inner => inner.work_len())
    }

    /// Writes the most likely action; see [`RowDistribution::mode`].
    ///
    /// # Errors
    /// Class `Value`: a wrong length, a parameter that is not finite, a mask that allows nothing.
    pub fn mode(&self, params: &[f64], mask: &[bool], action: &mut [f32]) -> Result<()> {
        self.check(params, mask, action)?;
        each!(self, inner => inner.mode(params, mask, action))
    }

    /// Draws an action and evaluates it; see [`RowDistribution::sample`].
    ///
    /// # Errors
    /// As [`mode`](Distribution::mode).
    pub fn sample(
        &self,
        params: &[f64],
        mask: &[bool],
        draw: &mut impl Draw,
        work: &mut [f64],
        action: &mut [f32],
    ) -> Result<Evaluation> {
        self.check(params, mask, action)?;
        self.check_work(work)?;
        each!(self, inner => inner.sample(params, mask, draw, work, action))
    }

    /// ln π(action) and the entropy; see [`RowDistribution::evaluate`].
    ///
    /// # Errors
    /// As [`mode`](Distribution::mode), and for an action that is not one.
    pub fn evaluate(&self, params: &[f64], mask: &[bool], action: &[f32], work: &mut [f64]) -> Result<Evaluation> {
        self.check(params, mask, action)?;
        self.check_work(work)?;
        each!(self, inner => inner.evaluate(params, mask, action, work))
    }

    /// Several rows at once; see [`RowDistribution::evaluate_rows`].
    ///
    /// # Errors
    /// As [`evaluate`](Distribution::evaluate), of the first row that has one.
    pub fn evaluate_rows(
        &self,
        params: &[f64],
        masks: &[bool],
        actions: &[f32],
        work: &mut [f64],
        out: &mut [Evaluation],
    ) -> Result<()> {
        let k = out.len();
        for (what, expected, got) in [
            ("policy outputs", k * self.n_params(), params.len()),
            ("action masks", if masks.is_empty() { 0 } else { k * self.mask_len() }, masks.len()),
            ("actions", k * self.action_len(), actions.len()),
            ("work", k * self.work_len(), work.len()),
        ] {
            if expected != got {
                return Err(Error::shape(what, expected, got));
            }
        }
        each!(self, inner => inner.evaluate_rows(params, masks, actions, work, out))
    }

    /// Gradients after an evaluation of the same row; see [`RowDistribution::gradients`].
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for a wrong length.
    pub fn gradients(
        &self,
        params: &[f64],
        mask: &[bool],
        action: &[f32],
        work: &[f64],
        d_log_prob: f64,
        d_entropy: f64,
        out: &mut [f64],
    ) -> Result<()> {
        self.check(params, mask, action)?;
        self.check_work(work)?;
        if out.len() != self.n_params() {
            return Err(Error::shape("gradients", self.n_params(), out.len()));
        }
        each!(self, inner => inner.gradients(params, mask, action, work, d_log_prob, d_entropy, out));
        Ok(())
    }

    /// What the environment receives for a stored action; see [`RowDistribution::to_env`].
    ///
    /// # Errors
    /// [`ErrorKind::Shape`] for a wrong length.
    pub fn to_env(&self, action: &[f32], out: &mut [f32]) -> Result<()> {
        if action.len() != self.action_len() || out.len() != action.len() {
            return Err(Error::shape("action", self.action_len(), action.len()));
        }
        each!(self, inner => inner.to_env(action, out));
        Ok(())
    }
}

/// Lower and upper bounds, as a space so that infinities survive JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Bounds(Space);

impl Bounds {
    fn new(low: &[f32], high: &[f32]) -> Self {
        Bounds(Space::Box { shape: vec![low.len()], low: low.to_vec(), high: high.to_vec() })
    }

    fn low(&self) -> &[f32] {
        match &self.0 {
            Space::Box { low, .. } => low,
            _ => &[],
        }
    }

    fn high(&self) -> &[f32] {
        match &self.0 {
            Space::Box { high, .. } => high,
            _ => &[],
        }
    }
}

/// An error about the one row that a distribution saw, as one about row `row` of a batch.
pub(crate) fn at_row(error: Error, row: usize) -> Error {
    match error.kind() {
        ErrorKind::Element { what, column, rule, value, .. } => {
            Error::element(what.clone(), (row, *column), rule.clone(), value)
        }
        _ => error,
    }
}

/// The error for a policy output that is NaN or infinite.
fn not_finite(column: usize, value: f64) -> Error {
    Error::element("policy output", (0, column), "a finite number", value)
}

/// The error for a mask that forbids every choice of part `part`.
fn nothing_allowed(part: usize) -> Error {
    Error::element("action mask", (0, part), "at least one allowed choice", "none")
}

/// Reads an action's index, checked against the number of choices.
fn index(action: f32, n: usize, column: usize) -> Result<usize> {
    if action >= 0.0 && action.fract() == 0.0 && action < n as f32 {
        return Ok(action as usize);
    }
    Err(Error::element("action", (0, column), format!("a whole number from 0 to {}", n.saturating_sub(1)), action))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::rl::env::mask_parts;

    /// Compares analytic gradients with central differences of `evaluate`, each by itself and both together.
    fn check_gradients(distribution: &Distribution, params: &[f64], mask: &[bool], action: &[f32], tolerance: f64) {
        let n = distribution.n_params();
        let mut work = vec![0.0; distribution.work_len()];
        for (a, b) in [(1.0, 0.0), (0.0, 1.0), (-1.7, 0.3)] {
            let at = |params: &[f64], work: &mut [f64]| {
                let e = distribution.evaluate(params, mask, action, work).unwrap();
                (if a == 0.0 { 0.0 } else { a * e.log_prob }) + b * e.entropy
            };
            let mut numeric = vec![0.0; n];
            for i in 0..n {
                let h = 1e-5;
                let (mut up, mut down) = (params.to_vec(), params.to_vec());
                up[i] += h;
                down[i] -= h;
                numeric[i] = (at(&up, &mut work) - at(&down, &mut work)) / (up[i] - down[i]);
            }
            let mut analytic = vec![f64::NAN; n];
            let value = at(params, &mut work);
            assert!(value.is_finite(), "{distribution:?} {params:?}");
            distribution.gradients(params, mask, action, &work, a, b, &mut analytic).unwrap();
            for i in 0..n {
                let scale = 1.0 + numeric[i].abs();
                assert!(
                    (numeric[i] - analytic[i]).abs() <= tolerance * scale,
                    "{distribution:?} at {params:?}, action {action:?}, mask {mask:?}, ({a}, {b}): \
                     ∂/∂{i} is {} but differences say {}",
                    analytic[i],
                    numeric[i]
                );
            }
        }
    }

    fn spaces() -> Vec<(Space, bool)> {
        let bounded = Space::bounded(&[-2.0, 0.0], &[2.0, 1.0]).unwrap();
        vec![
            (Space::discrete(1), false),
            (Space::discrete(2), false),
            (Space::discrete(7), false),
            (Space::MultiDiscrete { nvec: vec![3, 1, 4] }, false),
            (Space::MultiBinary { n: 3 }, false),
            (Space::unbounded(3), false),
            (bounded.clone(), false),
            (bounded, true),
        ]
    }

    /// A mask that allows each choice with probability ½ but at least one of every part.
    fn random_mask(space: &Space, stream: &mut Stream) -> Vec<bool> {
        let mut mask = Vec::new();
        for n in mask_parts(space) {
            let keep = stream.below(n as u64) as usize;
            mask.extend((0..n).map(|i| i == keep || stream.uniform() < 0.5));
        }
        mask
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let mut stream = Stream::new(1, "test", 0);
        for (space, squash) in spaces() {
            let distribution = Distribution::for_space(&space, squash).unwrap();
            let mut work = vec![0.0; distribution.work_len()];
            let mut action = vec![0.0; distribution.action_len()];
            for round in 0..60 {
                let params: Vec<f64> = (0..distribution.n_params()).map(|_| stream.range(-2.0, 2.0)).collect();
                let mask = if round % 2 == 0 { vec![] } else { random_mask(&space, &mut stream) };
                distribution.sample(&params, &mask, &mut stream, &mut work, &mut action).unwrap();
                check_gradients(&distribution, &params, &mask, &action, 2e-6);
            }
        }
    }

    #[test]
    fn huge_and_equal_logits_stay_finite() {
        let categorical = Distribution::for_space(&Space::discrete(3), false).unwrap();
        let bits = Distribution::for_space(&Space::MultiBinary { n: 3 }, false).unwrap();
        for row in [[1e4, -1e4, 0.0], [0.0; 3], [1e4; 3], [-1e4; 3], [-1e4, 1e4, 1e4 - 1.0]] {
            for a in 0..3 {
                check_gradients(&categorical, &row, &[], &[a as f32], 1e-5);
            }
            check_gradients(&bits, &row, &[], &[1.0, 0.0, 1.0], 1e-5);
        }
    }

    #[test]
    fn forbidden_choices_have_probability_and_gradient_zero() {
        let distribution = Distribution::for_space(&Space::discrete(4), false).unwrap();
        let mut work = vec![0.0; distribution.work_len()];
        let (params, mask) = ([50.0, 1.0, -3.0, 2.0], [false, true, false, true]);
        let forbidden = distribution.evaluate(&params, &mask, &[0.0], &mut work).unwrap();
        assert_eq!(forbidden.log_prob, f64::NEG_INFINITY);
        let mut stream = Stream::new(3, "test", 0);
        let (mut action, mut out) = ([0.0], [f64::NAN; 4]);
        for _ in 0..500 {
            distribution.sample(&params, &mask, &mut stream, &mut work, &mut action).unwrap();
            assert!(mask[action[0] as usize]);
            distribution.gradients(&params, &mask, &action, &work, 1.0, 0.5, &mut out).unwrap();
            assert_eq!((out[0], out[2]), (0.0, 0.0));
        }
        // A single allowed choice: certain, no entropy, nothing to learn.
        let only = [false, false, true, false];
        let at = distribution.evaluate(&params, &only, &[2.0], &mut work).unwrap();
        assert_eq!(at, Evaluation { log_prob: 0.0, entropy: 0.0 });
        distribution.gradients(&params, &only, &[2.0], &work, 1.0, 1.0, &mut out).unwrap();
        assert_eq!(out, [0.0; 4]);
        distribution.mode(&params, &mask, &mut action).unwrap();
        assert_eq!(action, [3.0]);
    }

    #[test]
    fn probabilities_sum_to_one_and_entropy_is_their_mean() {
        let mut stream = Stream::new(5, "test", 0);
        for (space, actions) in [
            (Space::discrete(3), vec![vec![0.0], vec![1.0], vec![2.0]]),
            (Space::MultiDiscrete { nvec: vec![2, 3] }, (0..6).map(|i| vec![(i / 3) as f32, (i % 3) as f32]).collect()),
            (Space::MultiBinary { n: 2 }, (0..4).map(|i| vec![(i / 2) as f32, (i % 2) as f32]).collect()),
        ] {
            let distribution = Distribution::for_space(&space, false).unwrap();
            let mut work = vec![0.0; distribution.work_len()];
            for round in 0..50 {
                let params: Vec<f64> = (0..distribution.n_params()).map(|_| stream.range(-4.0, 4.0)).collect();
                let mask = if round % 2 == 0 { vec![] } else { random_mask(&space, &mut stream) };
                let (mut total, mut entropy, mut stated) = (0.0, 0.0, 0.0);
                for action in &actions {
                    let at = distribution.evaluate(&params, &mask, action, &mut work).unwrap();
                    let p = at.log_prob.exp();
                    total += p;
                    entropy -= if p > 0.0 { p * at.log_prob } else { 0.0 };
                    stated = at.entropy;
                }
                assert!((total - 1.0).abs() < 1e-12 && (entropy - stated).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn samples_follow_the_probabilities_and_sampling_evaluates() {
        let mut stream = Stream::new(6, "test", 0);
        let distribution = Distribution::for_space(&Space::discrete(3), false).unwrap();
        let params = [0.2f64.ln(), 0.5f64.ln(), 0.3f64.ln()];
        let (mut work, mut action, mut counts) = (vec![0.0; distribution.work_len()], [0.0], [0u32; 3]);
        for _ in 0..100_000 {
            let drawn = distribution.sample(&params, &[], &mut stream, &mut work, &mut action).unwrap();
            counts[action[0] as usize] += 1;
            assert!((drawn.log_prob - params[action[0] as usize]).abs() < 1e-12);
        }
        // Standard deviations are below 160.
        assert!(counts.iter().zip([20_000, 50_000, 30_000]).all(|(c, e)| c.abs_diff(e) < 800), "{counts:?}");
        for (space, squash) in spaces() {
            let distribution = Distribution::for_space(&space, squash).unwrap();
            let mut work = vec![0.0; distribution.work_len()];
            let mut action = vec![0.0; distribution.action_len()];
            let params: Vec<f64> = (0..distribution.n_params()).map(|_| stream.range(-1.0, 1.0)).collect();
            let drawn = distribution.sample(&params, &[], &mut stream, &mut work, &mut action).unwrap();
            assert_eq!(distribution.evaluate(&params, &[], &action, &mut work).unwrap(), drawn);
        }
    }

    /// Numbers that are told beforehand, and how often each was asked for.
    struct Told(Vec<f64>, Vec<u32>);

    impl Draw for Told {
        fn normal(&mut self, i: usize) -> f64 {
            self.1[i] += 1;
            self.0[i]
        }

        fn uniform(&mut self, i: usize) -> f64 {
            self.normal(i)
        }
    }

    #[test]
    fn a_sample_asks_for_one_number_per_number_of_the_action_and_is_made_of_it_alone() {
        for (space, squash) in spaces() {
            let distribution = Distribution::for_space(&space, squash).unwrap();
            let (mut work, n) = (vec![0.0; distribution.work_len()], distribution.action_len());
            let (mut action, mut again) = (vec![0.0; n], vec![0.0; n]);
            let mut stream = Stream::new(7, "test", 0);
            let params: Vec<f64> = (0..distribution.n_params()).map(|i| i as f64 * 0.3 - 0.5).collect();
            for _ in 0..20 {
                let mut told = Told((0..n).map(|_| stream.uniform()).collect(), vec![0; n]);
                let drawn = distribution.sample(&params, &[], &mut told, &mut work, &mut action).unwrap();
                assert_eq!(told.1, vec![1; n], "{space:?}");
                assert_eq!(distribution.evaluate(&params, &[], &action, &mut work).unwrap(), drawn);
                distribution.sample(&params, &[], &mut told, &mut work, &mut again).unwrap();
                assert_eq!(action, again);
            }
        }
    }

    #[test]
    fn rows_together_are_rows_one_by_one() {
        let mut stream = Stream::new(8, "test", 0);
        for (space, squash) in spaces() {
            let distribution = Distribution::for_space(&space, squash).unwrap();
            let (n, w, k) = (distribution.n_params(), distribution.work_len(), 37);
            for masked in [false, distribution.mask_len() > 0] {
                let params: Vec<f64> = (0..k * n).map(|_| stream.range(-30.0, 30.0)).collect();
                let mut masks = Vec::new();
                let mut actions = vec![0.0; k * distribution.action_len()];
                let (mut work, mut one, mut all) = (vec![0.0; w], vec![0.0; k * w], vec![Evaluation::default(); k]);
                let mut expected = Vec::new();
                for (i, action) in actions.chunks_exact_mut(distribution.action_len()).enumerate() {
                    let mask = if masked { random_mask(&space, &mut stream) } else { vec![] };
                    let row = &params[i * n..][..n];
                    distribution.sample(row, &mask, &mut stream, &mut work, action).unwrap();
                    // Now and then an action that the mask may forbid.
                    if i % 5 == 0 && masked {
                        action[0] = 0.0;
                    }
                    let at = distribution.evaluate(row, &mask, action, &mut work).unwrap();
                    expected.push((at, work.clone()));
                    masks.extend(mask);
                }
                distribution.evaluate_rows(&params, &masks, &actions, &mut one, &mut all).unwrap();
                for (i, (at, work)) in expected.iter().enumerate() {
                    assert_eq!((&all[i], &one[i * w..][..w]), (at, &work[..]));
                }
            }
        }
    }

    #[test]
    fn misuse_is_an_error() {
        let distribution = Distribution::for_space(&Space::discrete(2), false).unwrap();
        let mut work = vec![0.0; distribution.work_len()];
        let mut evaluate = |params: &[f64], mask: &[bool], action: &[f32]| {
            distribution.evaluate(params, mask, action, &mut work).unwrap_err().to_string()
        };
        assert_eq!(
            evaluate(&[0.0, 0.0], &[false, false], &[0.0]),
            "action mask[0, 0]: expected at least one allowed choice, got none"
        );
        assert_eq!(evaluate(&[0.0, f64::NAN], &[], &[0.0]), "policy output[0, 1]: expected a finite number, got NaN");
        assert_eq!(evaluate(&[0.0, 0.0], &[], &[2.0]), "action[0, 0]: expected a whole number from 0 to 1, got 2");
        assert_eq!(evaluate(&[0.0], &[], &[1.0]), "policy output: expected shape 2, got 1");
        for (space, squash) in [(Space::Tuple(vec![Space::discrete(2)]), false), (Space::unbounded(1), true)] {
            let error = Distribution::for_space(&space, squash).unwrap_err();
            assert_eq!(error.class(), crate::ErrorClass::Unsupported);
        }
        for (space, _) in spaces().into_iter().take(5) {
            let distribution = Distribution::for_space(&space, false).unwrap();
            let mask = vec![false; distribution.mask_len()];
            let mut action = vec![0.0; distribution.action_len()];
            assert!(distribution.mode(&vec![0.0; distribution.n_params()], &mask, &mut action).is_err());
        }
    }

    #[test]
    fn the_density_of_gaussians_integrates_to_one() {
        for squash in [false, true] {
            let space = Space::bounded(&[-1.0], &[1.0]).unwrap();
            let distribution = Distribution::for_space(&space, squash).unwrap();
            let mut work = vec![0.0; distribution.work_len()];
            let params = [0.3, -0.4];
            let (mut total, mut entropy, mut stated) = (0.0, 0.0, 0.0);
            let h = 1e-3;
            for i in -8000..8000 {
                let u = (f64::from(i) + 0.5) * h;
                let at = distribution.evaluate(&params, &[], &[u as f32], &mut work).unwrap();
                // The squashed density is per unit of tanh(u).
                let width = if squash { (u + h / 2.0).tanh() - (u - h / 2.0).tanh() } else { h };
                total += at.log_prob.exp() * width;
                entropy -= at.log_prob.exp() * at.log_prob * width;
                stated = at.entropy;
            }
            assert!((total - 1.0).abs() < 1e-5, "{total}");
            assert!((entropy - stated).abs() < 1e-4, "{entropy} against {stated}");
        }
    }
}
