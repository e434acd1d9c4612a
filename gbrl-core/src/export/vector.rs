//! Outputs on many observations: what artefacts are compared by, and the test vector inside them.

use gbrl_edge::Work;

use super::form::{EdgeHead, EdgePolicy};
use super::{Details, binary};
use crate::error::{Error, Result};
use crate::rl::policy::Policy;
use crate::rng::Stream;

/// What a policy says about rows of observations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// `[n, action_len]`: whole numbers, or real ones.
    pub actions: Vec<f64>,
    /// `[n, n_logits]`.
    pub logits: Vec<f32>,
    /// `[n]`, empty where the value is not exported.
    pub values: Vec<f32>,
}

/// Observations `[n, n_features]` and masks `[n, mask_len]`, or no masks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Row-major.
    pub observations: Vec<f32>,
    /// Row-major; empty allows everything.
    pub masks: Vec<bool>,
}

impl Outputs {
    /// What the library says: `predict()`.
    ///
    /// # Errors
    /// Class `Value` for rows of another width or a mask that allows nothing.
    pub fn of_library(policy: &Policy, edge: &EdgePolicy, rows: &Rows) -> Result<Self> {
        let n = rows.observations.len() / edge.n_features.max(1);
        let mut actions = vec![0.0f32; n * edge.action_len()];
        let mut stream = Stream::new(0, "export", 0);
        policy.act(&rows.observations, &rows.masks, true, &mut stream, &mut actions)?;
        let mut actions: Vec<f64> = actions.into_iter().map(f64::from).collect();
        if let EdgeHead::Discrete(parts) = &edge.head {
            for row in actions.chunks_exact_mut(parts.len()) {
                row.iter_mut().zip(parts).for_each(|(action, part)| *action += f64::from(part.start));
            }
        }
        let mut params = Vec::new();
        policy.view().parameters(&rows.observations, &mut params)?;
        let n_params = policy.head().distribution.n_params();
        let logits = params.chunks_exact(n_params).flat_map(|row| &row[..edge.n_logits]).map(|&x| x as f32).collect();
        let mut values = Vec::new();
        if edge.has_value {
            values.resize(n, 0.0);
            policy.values(&rows.observations, &mut values)?;
        }
        Ok(Outputs { actions, logits, values })
    }

    /// What gbrl-edge says, which reads the loadable form.
    ///
    /// # Errors
    /// Class `Format` when it refuses the bytes, class `Value` when it refuses a row.
    pub fn of_bytes(bytes: &[u8], rows: &Rows) -> Result<Self> {
        let policy = gbrl_edge::Policy::new(bytes)
            .map_err(|error| Error::format("exported policy", "refused", "a policy", error))?;
        let refused = |error: gbrl_edge::Error| Error::parameter("exported policy", error, "a decision");
        let (mut codes, mut sums) = (vec![0; policy.n_codes()], vec![0; policy.n_sums()]);
        let mut work = Work { codes: &mut codes, sums: &mut sums };
        let mut out = Outputs::default();
        let (mut whole, mut real) = (vec![0; policy.action_len()], vec![0.0; policy.action_len()]);
        let mut logits = vec![0.0; policy.n_logits()];
        for (i, obs) in rows.observations.chunks_exact(policy.n_features()).enumerate() {
            if policy.is_box() {
                policy.act_box(obs, &mut work, &mut real).map_err(refused)?;
                out.actions.extend(real.iter().map(|&x| f64::from(x)));
            } else {
                let flags = if rows.masks.is_empty() { 0 } else { policy.mask_len() };
                let mask = &rows.masks[i * flags..][..flags];
                policy.act(obs, mask, &mut work, &mut whole).map_err(refused)?;
                out.actions.extend(whole.iter().map(|&x| f64::from(x)));
            }
            policy.logits(obs, &mut work, &mut logits).map_err(refused)?;
            out.logits.extend(&logits);
            if policy.has_value() {
                out.values.push(policy.value(obs, &mut work).map_err(refused)?);
            }
        }
        Ok(out)
    }
}

/// The test vector inside an artefact: a few observations and what came out when it was made.
pub struct SelfTest {
    /// `[n, n_features]`.
    pub observations: Vec<f32>,
    /// `[n, n_logits]`.
    pub logits: Vec<f32>,
    /// `[n]`, empty where the value is not exported.
    pub values: Vec<f32>,
    /// `[n, action_len]`.
    pub actions: Vec<f64>,
}

impl SelfTest {
    /// Decides on the samples of `details`.
    ///
    /// # Errors
    /// As [`Outputs::of_bytes`].
    pub fn new(policy: &EdgePolicy, details: &Details) -> Result<Self> {
        let rows = Rows { observations: details.samples.clone(), masks: Vec::new() };
        let out = Outputs::of_bytes(&binary::to_bytes(policy), &rows)?;
        Ok(SelfTest { observations: rows.observations, logits: out.logits, values: out.values, actions: out.actions })
    }

    /// How many tests of a policy with `n_features` features.
    pub fn len(&self, n_features: usize) -> usize {
        self.observations.len() / n_features
    }
}
