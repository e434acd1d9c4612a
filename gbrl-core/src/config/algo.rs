//! Settings of the algorithms: what they share, what each has of its own, and where its defaults differ.

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Schedule;
use super::knob::{ParamDef, ends_hold, params, words};
use super::params::MAX_ROLLOUT_ROWS;
use super::schedule::is_rate;
use crate::error::{Error, Result};

params! {
    /// Settings that all algorithms go by.
    "agent" AgentParams {
        /// Steps per environment between updates.
        n_steps: usize = 128, "steps", "1 to 67108864, in all copies together", |x| (1..=MAX_ROLLOUT_ROWS).contains(x);
        /// Discount of the future per step.
        gamma: f64 = 0.99, "", "in [0, 1]", |x| unit(*x);
        /// Weight of longer returns in advantages (and so in the value's targets): 0 is one step, 1 is Monte Carlo.
        gae_lambda: f64 = 0.95, "", "in [0, 1]", |x| unit(*x);
        /// Weight of the entropy bonus.
        ent_coef: f64 = 0.0, "", "at least 0", |x| *x >= 0.0 && x.is_finite();
        /// Weight of the value loss ½(V − R)². Stable-Baselines3's vf_coef is of (V − R)²: double it here.
        vf_coef: f64 = 0.5, "", "at least 0", |x| *x >= 0.0 && x.is_finite();
        /// Standardise advantages: PPO within each minibatch, A2C within the rollout, AWR over the replay.
        normalize_advantage: bool = true, "", "true or false", |_| true;
        /// Largest length of a row's policy gradient, the entropy's part included.
        max_policy_grad_norm: Option<f64> = None, "", "above 0, or none", |x| x.is_none_or(above_0);
        /// Largest size of a row's value gradient.
        max_value_grad_norm: Option<f64> = None, "", "above 0, or none", |x| x.is_none_or(above_0);
        /// Learning rate of the policy's outputs.
        #[serde(with = "super::knob::schedule")]
        policy_lr: Schedule = Schedule::Constant(0.1), "", "0 to 3.4e38", |x| ends_hold(x, is_rate);
        /// Learning rate of the value output.
        #[serde(with = "super::knob::schedule")]
        value_lr: Schedule = Schedule::Constant(0.05), "", "0 to 3.4e38", |x| ends_hold(x, is_rate);
        /// How the trees' gradients become changes of the policy's outputs. Adam's outputs cannot be monotone.
        policy_optimizer: OptimizerKind = OptimizerKind::Sgd, "", "sgd or adam", |_| true;
        /// The same for the value output.
        value_optimizer: OptimizerKind = OptimizerKind::Sgd, "", "sgd or adam", |_| true;
        /// Decay per tree of Adam's mean gradient of a row.
        adam_beta1: f64 = 0.9, "", "at least 0, below 1", |x| (0.0..1.0).contains(x);
        /// Decay per tree of Adam's mean squared gradient of a row.
        adam_beta2: f64 = 0.999, "", "at least 0, below 1", |x| (0.0..1.0).contains(x);
        /// What Adam adds to the root of the mean squared gradient.
        adam_eps: f64 = 1e-8, "", "above 0", |x| above_0(*x);
        /// Where a Gaussian's log standard deviation comes from.
        log_std: LogStd = LogStd::Free, "", "free (one number per action dimension) or outputs (of the trees)", |_| true;
        /// A Gaussian's log standard deviation at the start.
        log_std_init: f64 = -2.0, "nats", "-20 to 20", |x| (-20.0..=20.0).contains(x);
        /// Adam's learning rate of a free log standard deviation.
        #[serde(with = "super::knob::schedule")]
        log_std_lr: Schedule = Schedule::Linear { start: 0.0017, end: 0.000475 }, "", "0 to 3.4e38",
            |x| ends_hold(x, is_rate);
        /// Correlation ρ of the random numbers that actions are made of from one step of an episode to the next, for goals
        /// that a random walk does not find: 0.9 keeps pushing one way for about 10 steps, 0.98 for 50. How likely single
        /// actions are does not change. linear:0.9:0 lasts at first and is independent in the end; it moves between rollouts.
        #[serde(with = "super::knob::schedule")]
        noise_correlation: Schedule = Schedule::Constant(0.0), "", "at least 0, below 1",
            |x| ends_hold(x, |v| (0.0..1.0).contains(&v));
        /// Squash continuous actions into their bounds by tanh instead of clipping them.
        squash_actions: bool = false, "", "true or false", |_| true;
        /// Standardise numeric observations by their running mean and variance.
        norm_obs: bool = false, "", "true or false", |_| true;
        /// Divide rewards by the running standard deviation of the discounted return.
        norm_reward: bool = true, "", "true or false", |_| true;
        /// Largest size of a standardised observation.
        clip_obs: f64 = 10.0, "", "above 0", |x| above_0(*x);
        /// Largest size of a normalised reward.
        clip_reward: f64 = 10.0, "", "above 0", |x| above_0(*x);
    }
}

params! {
    /// Settings of proximal policy optimisation (PPO) alone.
    "ppo" PpoParams {
        /// Rows per minibatch, and so per tree; the last of an epoch may have fewer.
        batch_size: usize = 512, "rows", "at least 1", |x| *x >= 1;
        /// Passes over each rollout.
        n_epochs: usize = 10, "passes", "at least 1", |x| *x >= 1;
        /// How far the probability ratio may leave 1 before its gradient stops.
        #[serde(with = "super::knob::schedule")]
        clip_range: Schedule = Schedule::Constant(0.2), "", "above 0", |x| ends_hold(x, |v| v >= 0.0) && x.ends().0 > 0.0;
        /// How far the value may leave its old prediction before its gradient stops. Depends on the rewards' scale.
        #[serde(with = "super::knob::optional_schedule")]
        clip_range_vf: Option<Schedule> = None, "", "above 0, or none",
            |x| x.as_ref().is_none_or(|x| ends_hold(x, |v| v >= 0.0) && x.ends().0 > 0.0);
        /// Stop a rollout's updates before the one that would follow an approximate KL divergence of 1.5 times this.
        target_kl: Option<f64> = None, "nats", "above 0, or none", |x| x.is_none_or(above_0);
    }
}

params! {
    /// Settings of advantage-weighted regression (AWR) alone.
    "awr" AwrParams {
        /// Steps, over all copies, that the replay holds; whole rollouts are dropped, the oldest first.
        buffer_size: usize = 50_000, "steps", "1 to 67108864, at least a rollout",
            |x| (1..=MAX_ROLLOUT_ROWS).contains(x);
        /// Updates of the value after each rollout, each of which adds a tree.
        value_updates: usize = 25, "updates", "0 to 1000000", |x| *x <= MAX_UPDATES;
        /// Rows, drawn from the replay, of each of them.
        value_batch_size: usize = 1024, "rows", "at least 1", |x| *x >= 1;
        /// Updates of the policy after those of the value, each of which adds a tree.
        policy_updates: usize = 50, "updates", "0 to 1000000", |x| *x <= MAX_UPDATES;
        /// Rows, drawn from the replay, of each of them.
        policy_batch_size: usize = 1024, "rows", "at least 1", |x| *x >= 1;
        /// Temperature β of the weights exp(A/β): a small one copies only the best actions, a large one all alike.
        beta: f64 = 1.0, "", "above 0", |x| above_0(*x);
        /// Largest weight of a row.
        max_weight: f64 = 20.0, "", "above 0", |x| above_0(*x);
        /// Share of the weights' mean that is subtracted from each, where actions are discrete. 0 copies every action, those of
        /// older policies too; more lets go of them, and at 1 the policy runs away from the replay.
        weight_baseline: f64 = 0.5, "", "in [0, 1]", |x| unit(*x);
    }
}

/// More updates after one rollout than anybody waits for.
const MAX_UPDATES: usize = 1_000_000;

/// Where a Gaussian policy's log standard deviation comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStd {
    /// One free number per action dimension, trained by Adam.
    #[default]
    Free,
    /// Outputs of the trees, so that it depends on the state.
    Outputs,
}

/// How mean gradients of leaves become changes of outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// output −= rate · gradient: gradient boosting as it is.
    #[default]
    Sgd,
    /// Adam across trees; every prediction is a fold over all of them, which is slower than a sum.
    Adam,
}

words!(OptimizerKind, "word", "sgd" => OptimizerKind::Sgd, "adam" => OptimizerKind::Adam);

words!(LogStd, "word", "free" => LogStd::Free, "outputs" => LogStd::Outputs);

fn unit(x: f64) -> bool {
    (0.0..=1.0).contains(&x)
}

fn above_0(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// What learns from rollouts.
///
/// ```
/// use gbrl_core::config::Algorithm;
/// assert_eq!(Algorithm::parse("a2c")?, Algorithm::A2c);
/// assert!(Algorithm::parse("a3c").unwrap_err().to_string().starts_with("unknown algorithm 'a3c'"));
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// Proximal policy optimisation (Schulman et al. 2017).
    #[default]
    Ppo,
    /// Advantage actor-critic (Mnih et al. 2016), synchronous.
    A2c,
    /// Advantage-weighted regression (Peng et al. 2019).
    Awr,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Algorithm; 3] = [Algorithm::Ppo, Algorithm::A2c, Algorithm::Awr];

    /// Its name in files and on command lines; also that of the table of its own settings.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Ppo => "ppo",
            Algorithm::A2c => "a2c",
            Algorithm::Awr => "awr",
        }
    }

    /// Its name in headings.
    pub fn title(self) -> &'static str {
        match self {
            Algorithm::Ppo => "PPO",
            Algorithm::A2c => "A2C",
            Algorithm::Awr => "AWR",
        }
    }

    /// The algorithm of a name.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`](crate::error::ErrorKind::UnknownName) with the nearest names.
    pub fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or_else(|| Error::unknown_name("algorithm", name, Self::ALL.map(Algorithm::name)))
    }

    /// Settings that it alone has.
    pub fn defs(self) -> &'static [ParamDef] {
        match self {
            Algorithm::Ppo => PpoParams::DEFS,
            Algorithm::A2c => &[],
            Algorithm::Awr => AwrParams::DEFS,
        }
    }

    /// Shared settings whose default is another for this algorithm than in the table: names and values.
    pub const fn own_defaults(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Algorithm::Ppo => &[],
            Algorithm::A2c => &[("n_steps", "5"), ("gae_lambda", "1"), ("normalize_advantage", "false")],
            Algorithm::Awr => &[("vf_coef", "1")],
        }
    }
}

/// An algorithm with the settings that it alone has.
#[derive(Clone, Debug, PartialEq)]
pub enum AlgoParams {
    /// Proximal policy optimisation.
    Ppo(PpoParams),
    /// Advantage actor-critic, which has no settings of its own.
    A2c,
    /// Advantage-weighted regression.
    Awr(AwrParams),
}

impl Default for AlgoParams {
    fn default() -> Self {
        AlgoParams::new(Algorithm::default())
    }
}

impl AlgoParams {
    /// The defaults.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Ppo => AlgoParams::Ppo(PpoParams::default()),
            Algorithm::A2c => AlgoParams::A2c,
            Algorithm::Awr => AlgoParams::Awr(AwrParams::default()),
        }
    }

    /// Which algorithm it is.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            AlgoParams::Ppo(_) => Algorithm::Ppo,
            AlgoParams::A2c => Algorithm::A2c,
            AlgoParams::Awr(_) => Algorithm::Awr,
        }
    }

    /// Sets the setting `key` from text.
    ///
    /// # Errors
    /// As [`Settings::set`](super::Settings::set).
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match self {
            AlgoParams::Ppo(ppo) => ppo.set(key, value),
            AlgoParams::A2c => Err(Error::unknown_name("setting", key, [])),
            AlgoParams::Awr(awr) => awr.set(key, value),
        }
    }

    /// The setting `key` as text; `None` when there is none of that name.
    pub fn get(&self, key: &str) -> Option<String> {
        match self {
            AlgoParams::Ppo(ppo) => ppo.get(key),
            AlgoParams::A2c => None,
            AlgoParams::Awr(awr) => awr.get(key),
        }
    }

    /// Checks every setting against its rule, and that rollouts of `n_rows` fit into a replay.
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that breaks its rule.
    pub fn check(&self, n_rows: usize) -> Result<()> {
        match self {
            AlgoParams::Ppo(ppo) => ppo.check_each(),
            AlgoParams::A2c => Ok(()),
            AlgoParams::Awr(awr) => {
                awr.check_each()?;
                match awr.buffer_size >= n_rows {
                    true => Ok(()),
                    false => {
                        let rule = format!("at least {n_rows}, the steps of a rollout");
                        Err(Error::parameter("buffer_size", awr.buffer_size, rule))
                    }
                }
            }
        }
    }
}

impl AgentParams {
    /// The defaults of an algorithm.
    pub fn new(algorithm: Algorithm) -> Self {
        let mut params = AgentParams::default();
        for (name, value) in algorithm.own_defaults() {
            params.set(name, value).expect("a test sets all of them");
        }
        params
    }

    /// Checks every setting against its rule, and that a rollout of `n_envs` environments has at most
    /// [`MAX_ROLLOUT_ROWS`].
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that breaks its rule.
    pub fn check(&self, n_envs: usize) -> Result<()> {
        self.check_each()?;
        match self.n_steps.checked_mul(n_envs) {
            Some(rows) if rows <= MAX_ROLLOUT_ROWS => Ok(()),
            _ => {
                let rule = format!("at most {} with {n_envs} environments", MAX_ROLLOUT_ROWS / n_envs.max(1));
                Err(Error::parameter("n_steps", self.n_steps, rule))
            }
        }
    }
}

/// Both parts as one table, as files have it under the algorithm's name.
pub(crate) fn to_table(agent: &AgentParams, algo: &AlgoParams) -> Result<Map<String, Value>, serde_json::Error> {
    let mut table = Map::new();
    let own = match algo {
        AlgoParams::Ppo(ppo) => serde_json::to_value(ppo)?,
        AlgoParams::A2c => Value::Null,
        AlgoParams::Awr(awr) => serde_json::to_value(awr)?,
    };
    for part in [serde_json::to_value(agent)?, own] {
        if let Value::Object(part) = part {
            table.extend(part);
        }
    }
    Ok(table)
}

/// Reads what [`to_table`] wrote; what is missing has the algorithm's default. `strict` refuses names that are no
/// settings of this version, otherwise they are passed over.
pub(crate) fn from_table(
    algorithm: Algorithm,
    given: Map<String, Value>,
    strict: bool,
) -> Result<(AgentParams, AlgoParams), serde_json::Error> {
    let mut table = to_table(&AgentParams::new(algorithm), &AlgoParams::new(algorithm))?;
    for (name, value) in given {
        match table.get_mut(&name) {
            Some(known) => *known = value,
            None if strict => {
                let reason = format!("unknown setting '{name}' of {}", algorithm.name());
                return Err(serde_json::Error::custom(reason));
            }
            None => {}
        }
    }
    let mut part = |defs: &[ParamDef]| {
        let named = defs.iter().filter_map(|def| table.remove_entry(def.name));
        Value::Object(named.collect())
    };
    let agent = serde_json::from_value(part(AgentParams::DEFS))?;
    let algo = match algorithm {
        Algorithm::Ppo => AlgoParams::Ppo(serde_json::from_value(part(PpoParams::DEFS))?),
        Algorithm::A2c => AlgoParams::A2c,
        Algorithm::Awr => AlgoParams::Awr(serde_json::from_value(part(AwrParams::DEFS))?),
    };
    Ok((agent, algo))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn each_algorithm_has_its_defaults() {
        for algorithm in Algorithm::ALL {
            let settings = Settings::new(algorithm);
            settings.check().unwrap();
            assert_eq!(Algorithm::parse(algorithm.name()).unwrap(), algorithm);
            for (name, value) in algorithm.own_defaults() {
                assert_eq!(settings.get(name).as_deref(), Some(*value));
                assert_ne!(AgentParams::default().get(name).as_deref(), Some(*value), "{name} is no other default");
            }
            assert!(algorithm.defs().iter().all(|def| def.section == algorithm.name()));
        }
        let a2c = Settings::new(Algorithm::A2c).agent;
        assert_eq!((a2c.n_steps, a2c.gae_lambda, a2c.normalize_advantage), (5, 1.0, false));
    }

    #[test]
    fn settings_of_another_algorithm_are_refused() {
        let mut settings = Settings::new(Algorithm::A2c);
        let error = settings.set("clip_range", "0.1").unwrap_err();
        assert_eq!(error.to_string(), "clip_range: expected a setting of a2c, got one of ppo");
        assert_eq!(settings.get("clip_range"), None);
        settings.set("gamma", "0.5").unwrap();
        let mut settings = Settings::new(Algorithm::Awr);
        settings.set("beta", "0.05").unwrap();
        assert_eq!(settings.set("n_epochs", "3").unwrap_err().class(), crate::ErrorClass::Value);
        settings.set("buffer_size", "2000").unwrap();
        let error = settings.check().unwrap_err().to_string();
        assert_eq!(error, "buffer_size: expected at least 2048, the steps of a rollout, got 2000");
    }

    #[test]
    fn settings_survive_json_whatever_the_algorithm() {
        for algorithm in Algorithm::ALL {
            let mut settings = Settings::new(algorithm);
            settings.set("policy_lr", "lin_0.3").unwrap();
            let json = serde_json::to_value(&settings).unwrap();
            assert_eq!(json[algorithm.name()]["gamma"], 0.99);
            assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
            let short: Settings = serde_json::from_str(&format!(r#"{{"{}": {{}}}}"#, algorithm.name())).unwrap();
            assert_eq!(short, Settings::new(algorithm));
        }
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
        for bad in [r#"{"a2c": {"clip_range": 1}}"#, r#"{"a2c": {}, "ppo": {}}"#, r#"{"dqn": {}}"#] {
            assert!(serde_json::from_str::<Settings>(bad).is_err(), "{bad}");
        }
    }
}
