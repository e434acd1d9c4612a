//! Running normalisation of observations and rewards, with the meaning of Stable-Baselines3's `VecNormalize`.
//!
//! Statistics move only when [`ObservationNormalizer::update`] or [`RewardNormalizer::update`] is called: training
//! calls them, evaluation does not.

use serde::{Deserialize, Serialize};

use crate::data::schema::FeatureSchema;
use crate::error::{Error, Result};

/// Added to a variance before the root.
const EPSILON: f64 = 1e-8;

/// Mean and variance of everything seen so far, merged batch by batch (Chan, Golub and LeVeque 1979) in f64.
///
/// Starts as 10⁻⁴ observations of mean 0 and variance 1, so that nothing is ever divided by zero.
///
/// ```
/// use gbrl_core::rl::normalize::Moments;
/// let mut moments = Moments::default();
/// moments.merge([1.0, 3.0].into_iter());
/// assert!((moments.mean() - 2.0).abs() < 1e-3 && (moments.variance() - 1.0).abs() < 1e-3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    count: f64,
    mean: f64,
    /// Σ(x − mean)².
    squares: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Moments { count: 1e-4, mean: 0.0, squares: 1e-4 }
    }
}

impl Moments {
    /// Adds a batch. Numbers that are not finite are ignored.
    pub fn merge(&mut self, batch: impl Iterator<Item = f64> + Clone) {
        let finite = batch.filter(|x| x.is_finite());
        let (n, sum) = finite.clone().fold((0.0, 0.0), |(n, sum), x| (n + 1.0, sum + x));
        if n == 0.0 {
            return;
        }
        let mean = sum / n;
        let squares = finite.fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        let delta = mean - self.mean;
        let count = self.count + n;
        self.mean += delta * n / count;
        self.squares += squares + delta * delta * self.count * n / count;
        self.count = count;
    }

    /// Whether these can be the moments of anything.
    fn make_sense(&self) -> bool {
        let finite = [self.count, self.mean, self.squares].iter().all(|x| x.is_finite());
        finite && self.count > 0.0 && self.squares >= 0.0
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// The variance, of n rather than n − 1.
    pub fn variance(&self) -> f64 {
        self.squares / self.count
    }

    /// √(variance + 10⁻⁸).
    pub fn scale(&self) -> f64 {
        (self.variance() + EPSILON).sqrt()
    }
}

/// Standardises numeric observation columns: x ← clip((x − mean)/√(variance + 10⁻⁸), ±limit).
///
/// Categorical columns are left alone. NaN stays NaN and does not count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObservationNormalizer {
    n_features: usize,
    columns: Vec<usize>,
    moments: Vec<Moments>,
    limit: f64,
}

impl ObservationNormalizer {
    /// Statistics for the numeric columns of `schema`; values are clipped to ±`limit`.
    pub fn new(schema: &FeatureSchema, limit: f64) -> Self {
        let numeric = schema.features().iter().enumerate().filter(|(_, feature)| !feature.is_categorical());
        let columns: Vec<usize> = numeric.map(|(i, _)| i).collect();
        ObservationNormalizer {
            n_features: schema.len(),
            moments: vec![Moments::default(); columns.len()],
            columns,
            limit,
        }
    }

    /// Checks statistics that came from a file against the schema they are for.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when they belong to other columns, or are none of anything.
    pub fn check(&self, schema: &FeatureSchema) -> Result<()> {
        check_statistics("observation normaliser", self.limit, &self.moments)?;
        let expected = ObservationNormalizer::new(schema, self.limit);
        if (&self.columns, self.moments.len(), self.n_features)
            == (&expected.columns, expected.moments.len(), expected.n_features)
        {
            return Ok(());
        }
        let got = format!("{:?} of {}", self.columns, self.n_features);
        let expected = format!("{:?} of {}", expected.columns, expected.n_features);
        Err(Error::format("observation normaliser", "wrong columns", expected, got))
    }

    /// Adds rows `[k, n_features]` to the statistics.
    pub fn update(&mut self, observations: &[f32]) {
        for (&column, moments) in self.columns.iter().zip(&mut self.moments) {
            moments.merge(observations.iter().skip(column).step_by(self.n_features).map(|&x| f64::from(x)));
        }
    }

    /// Standardises rows `[k, n_features]` in place.
    pub fn apply(&self, observations: &mut [f32]) {
        for (&column, moments) in self.columns.iter().zip(&self.moments) {
            let (mean, scale) = (moments.mean(), moments.scale());
            for x in observations.iter_mut().skip(column).step_by(self.n_features) {
                *x = self.standardise(*x, mean, scale);
            }
        }
    }

    fn standardise(&self, x: f32, mean: f64, scale: f64) -> f32 {
        ((f64::from(x) - mean) / scale).clamp(-self.limit, self.limit) as f32
    }

    /// What [`apply`](ObservationNormalizer::apply) makes of the values of one column; `None` if it leaves them alone.
    pub fn column(&self, feature_idx: usize) -> Option<impl Fn(f32) -> f32> {
        let i = self.columns.binary_search(&feature_idx).ok()?;
        let (mean, scale) = (self.moments[i].mean(), self.moments[i].scale());
        Some(move |x| self.standardise(x, mean, scale))
    }
}

/// Divides rewards by the running standard deviation of the discounted return:
/// g ← γg + r per environment, r ← clip(r/√(Var(g) + 10⁻⁸), ±limit), g ← 0 where an episode ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardNormalizer {
    gamma: f64,
    limit: f64,
    moments: Moments,
    /// g of each environment.
    returns: Vec<f64>,
}

impl RewardNormalizer {
    /// Statistics for `n_envs` environments.
    pub fn new(n_envs: usize, gamma: f64, limit: f64) -> Self {
        RewardNormalizer { gamma, limit, moments: Moments::default(), returns: vec![0.0; n_envs] }
    }

    /// Checks statistics that came from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when they are none of anything.
    pub fn check(&self) -> Result<()> {
        check_statistics("reward normaliser", self.limit, std::slice::from_ref(&self.moments))
    }

    /// The same scale without the environments' running returns: what a policy's file keeps.
    pub fn statistics(&self) -> Self {
        RewardNormalizer { returns: Vec::new(), ..self.clone() }
    }

    /// Goes by the scale that another one found.
    pub fn take_scale(&mut self, other: &RewardNormalizer) {
        self.moments = other.moments;
    }

    /// Environments that the statistics are for.
    pub fn n_envs(&self) -> usize {
        self.returns.len()
    }

    /// Discounts by another factor from now on; what was seen so far counts as it was.
    pub fn set_gamma(&mut self, gamma: f64) {
        self.gamma = gamma;
    }

    /// Adds one step's rewards to the statistics; `ended` says where an episode ended with this step. Environments that
    /// `ignored` names made no step.
    pub fn update(&mut self, rewards: &[f32], ended: impl Fn(usize) -> bool, ignored: &[bool]) {
        let counts = |env: usize| !ignored.get(env).is_some_and(|&ignored| ignored);
        for (env, (g, &r)) in self.returns.iter_mut().zip(rewards).enumerate() {
            if counts(env) {
                *g = *g * self.gamma + f64::from(r);
            }
        }
        if (0..self.returns.len()).any(counts) {
            let counted = self.returns.iter().enumerate().filter(|&(env, _)| counts(env));
            self.moments.merge(counted.map(|(_, &g)| g));
        }
        for (env, g) in self.returns.iter_mut().enumerate() {
            if ended(env) {
                *g = 0.0;
            }
        }
    }

    /// Normalises rewards in place.
    pub fn apply(&self, rewards: &mut [f32]) {
        let scale = self.moments.scale();
        for r in rewards {
            *r = (f64::from(*r) / scale).clamp(-self.limit, self.limit) as f32;
        }
    }

    /// Forgets the running return of one environment, which started a new episode without ending the old one.
    pub fn restart(&mut self, env: usize) {
        self.returns[env] = 0.0;
    }
}

fn check_statistics(what: &str, limit: f64, moments: &[Moments]) -> Result<()> {
    if !(limit > 0.0 && limit.is_finite()) {
        return Err(Error::format(what, "limit", "a finite number above 0", limit));
    }
    match moments.iter().find(|moments| !moments.make_sense()) {
        None => Ok(()),
        Some(wrong) => {
            let expected = "finite numbers, a count above 0 and a sum of squares of at least 0";
            Err(Error::format(what, "moments", expected, format!("{wrong:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::schema::Feature;

    #[test]
    fn statistics_of_nothing_are_refused() {
        let schema = FeatureSchema::numeric(1);
        let moments = Moments { count: 2.0, mean: 1.0, squares: 0.0 };
        let (observations, rewards) = (ObservationNormalizer::new(&schema, 5.0), RewardNormalizer::new(1, 0.9, 5.0));
        let check = |limit: f64, moments: Moments| {
            let own = ObservationNormalizer { limit, moments: vec![moments], ..observations.clone() }.check(&schema);
            let other = RewardNormalizer { limit, moments, ..rewards.clone() }.check();
            assert_eq!(own.is_ok(), other.is_ok());
            own.map_err(|error| error.class())
        };
        assert_eq!(check(5.0, moments), Ok(()));
        for limit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(check(limit, moments), Err(crate::ErrorClass::Format));
        }
        for wrong in [
            Moments { count: 0.0, ..moments },
            Moments { count: f64::NAN, ..moments },
            Moments { mean: f64::INFINITY, ..moments },
            Moments { squares: -1e-9, ..moments },
        ] {
            assert_eq!(check(5.0, wrong), Err(crate::ErrorClass::Format));
        }
    }

    #[test]
    fn batches_merge_to_the_moments_of_all() {
        let all: Vec<f64> = (0..1000).map(|i| f64::from(i * 37 % 101) * 0.5 + 1e3).collect();
        let mut moments = Moments::default();
        all.chunks(17).for_each(|batch| moments.merge(batch.iter().copied()));
        let mean = all.iter().sum::<f64>() / 1000.0;
        let variance = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 1000.0;
        // The 10⁻⁴ made-up observations at 0 weigh 10⁻⁷ of a thousand.
        assert!((moments.mean() - mean).abs() < 1e-3 && (moments.variance() - variance).abs() < 0.2);
    }

    #[test]
    fn categories_and_missing_values_are_left_alone() {
        let schema = FeatureSchema::new(vec![Feature::numeric("a"), Feature::declared("b", 9), Feature::numeric("c")]);
        let mut normalizer = ObservationNormalizer::new(&schema, 1.5);
        let rows = [1.0, 7.0, f32::NAN, 3.0, 8.0, 5.0, 2.0, 0.0, f32::INFINITY];
        normalizer.update(&rows);
        let mut out = rows;
        normalizer.apply(&mut out);
        assert_eq!((out[1], out[4], out[7]), (7.0, 8.0, 0.0));
        assert!(out[2].is_nan() && out[6].abs() < 0.01);
        assert!((out[0] + 1.2247).abs() < 1e-2 && out[8] == 1.5);
        normalizer.check(&schema).unwrap();
        assert!(normalizer.check(&FeatureSchema::numeric(3)).is_err());
    }

    #[test]
    fn rewards_are_divided_by_the_returns_deviation() {
        let mut normalizer = RewardNormalizer::new(2, 0.5, 10.0);
        let mut returns = Vec::new();
        let (mut g, mut seed) = ([0.0f64; 2], 1u32);
        for step in 0..500 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let rewards = [(seed >> 24) as f32, (seed >> 16 & 255) as f32];
            let ended = step % 7 == 6;
            for env in 0..2 {
                g[env] = 0.5 * g[env] + f64::from(rewards[env]);
                returns.push(g[env]);
                if ended {
                    g[env] = 0.0;
                }
            }
            normalizer.update(&rewards, |_| ended, &[]);
        }
        let mean = returns.iter().sum::<f64>() / 1000.0;
        let std = (returns.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 1000.0).sqrt();
        let mut reward = [std as f32, -1e9];
        normalizer.apply(&mut reward);
        assert!((reward[0] - 1.0).abs() < 1e-3 && reward[1] == -10.0);
    }

    #[test]
    fn statistics_survive_json_to_the_bit() {
        let mut normalizer = ObservationNormalizer::new(&FeatureSchema::numeric(2), 10.0);
        normalizer.update(&[0.1, 1e-30, 0.7, 3e20]);
        let copy: ObservationNormalizer = serde_json::from_str(&serde_json::to_string(&normalizer).unwrap()).unwrap();
        assert_eq!(copy, normalizer);
    }
}
