//! Settings of a run and of the algorithms, and the table of all settings.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::knob::{ParamDef, ParamValue, ends_hold, params, words};
use super::tree::TreeParams;
use crate::config::Schedule;
use crate::config::schedule::is_rate;
use crate::error::{Error, Result};

/// More copies of an environment than any machine steps.
pub const MAX_ENVS: usize = 65_536;
/// Most rows of a rollout, over all copies: more would only fail after they have taken all memory.
pub const MAX_ROLLOUT_ROWS: usize = 1 << 26;
/// Most episodes of one evaluation, and of a window of statistics.
pub const MAX_EPISODES: usize = 10_000_000;

params! {
    /// Settings of a run, whatever the algorithm.
    "run" RunParams {
        /// Environment steps of the whole run, over all copies; schedules end there.
        total_timesteps: u64 = 1_000_000, "steps", "at least 1", |x| *x >= 1;
        /// Copies of the environment.
        n_envs: usize = 16, "environments", "1 to 65536", |x| (1..=MAX_ENVS).contains(x);
        /// Root of every random stream.
        seed: u64 = 0, "", "any", |_| true;
        /// Threads of the tree learner; 0 means one per processor. Results do not depend on it.
        n_threads: usize = 0, "threads", "0 to 1024", |x| *x <= 1024;
        /// Where trees are grown: on the processor, or on the first or n-th NVIDIA GPU; auto gives a GPU only steps and
        /// predictions so large that it is sure to pay. Results do not depend on it.
        device: Device = Device::Cpu, "", "auto, cpu, cuda or cuda:N", |_| true;
        /// Threads that step environments; worth it only where a step takes many microseconds. Results do not depend
        /// on it.
        env_threads: usize = 1, "threads", "1 to 1024", |x| (1..=1024).contains(x);
        /// Steps between evaluations; 0 means never.
        eval_every: u64 = 0, "steps", "at least 0", |_| true;
        /// Episodes of each evaluation during training. The one that `gbrl train` ends with has 100, likeliest actions.
        eval_episodes: usize = 10, "episodes", "1 to 10000000", |x| (1..=MAX_EPISODES).contains(x);
        /// Evaluate the most likely action during training instead of a sampled one.
        eval_deterministic: bool = true, "", "true or false", |_| true;
        /// Steps between checkpoints; 0 means never.
        checkpoint_every: u64 = 0, "steps", "at least 0", |_| true;
        /// Episodes over which rollout/ep_rew_mean and rollout/ep_len_mean are taken.
        stats_window: usize = 100, "episodes", "1 to 10000000", |x| (1..=MAX_EPISODES).contains(x);
    }
}

params! {
    /// Settings of proximal policy optimisation (PPO).
    "ppo" PpoParams {
        /// Steps per environment between updates.
        n_steps: usize = 128, "steps", "1 to 67108864, in all copies together", |x| (1..=MAX_ROLLOUT_ROWS).contains(x);
        /// Rows per minibatch, and so per tree; the last of an epoch may have fewer.
        batch_size: usize = 512, "rows", "at least 1", |x| *x >= 1;
        /// Passes over each rollout.
        n_epochs: usize = 10, "passes", "at least 1", |x| *x >= 1;
        /// Discount of the future per step.
        gamma: f64 = 0.99, "", "in [0, 1]", |x| unit(*x);
        /// Weight of longer returns in generalised advantage estimation; 0 is one step, 1 is Monte Carlo.
        gae_lambda: f64 = 0.95, "", "in [0, 1]", |x| unit(*x);
        /// How far the probability ratio may leave 1 before its gradient stops.
        #[serde(with = "super::knob::schedule")]
        clip_range: Schedule = Schedule::Constant(0.2), "", "above 0", |x| ends_hold(x, |v| v >= 0.0) && x.ends().0 > 0.0;
        /// How far the value may leave its old prediction before its gradient stops. Depends on the rewards' scale.
        #[serde(with = "super::knob::optional_schedule")]
        clip_range_vf: Option<Schedule> = None, "", "above 0, or none",
            |x| x.as_ref().is_none_or(|x| ends_hold(x, |v| v >= 0.0) && x.ends().0 > 0.0);
        /// Weight of the entropy bonus.
        ent_coef: f64 = 0.0, "", "at least 0", |x| *x >= 0.0 && x.is_finite();
        /// Weight of the value loss ½(V − R)². Stable-Baselines3's vf_coef is of (V − R)²: double it here.
        vf_coef: f64 = 0.5, "", "at least 0", |x| *x >= 0.0 && x.is_finite();
        /// Standardise advantages within each minibatch.
        normalize_advantage: bool = true, "", "true or false", |_| true;
        /// Stop a rollout's updates before the one that would follow an approximate KL divergence of 1.5 times this.
        target_kl: Option<f64> = None, "nats", "above 0, or none", |x| x.is_none_or(above_0);
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

/// Where trees are grown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Device {
    /// On the processor.
    #[default]
    Cpu,
    /// On the processor or a GPU, by the size of the work.
    Auto,
    /// On the NVIDIA GPU of this number.
    Cuda(usize),
}

impl ParamValue for Device {
    const KIND: &'static str = "word";

    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "cpu" => Some(Device::Cpu),
            None if text == "auto" => Some(Device::Auto),
            None if text == "cuda" => Some(Device::Cuda(0)),
            Some(("cuda", ordinal)) => ordinal.parse().ok().map(Device::Cuda),
            _ => None,
        }
    }

    fn print(&self) -> String {
        match self {
            Device::Cpu => "cpu".to_owned(),
            Device::Auto => "auto".to_owned(),
            Device::Cuda(0) => "cuda".to_owned(),
            Device::Cuda(ordinal) => format!("cuda:{ordinal}"),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.print()
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        Device::parse(&text).ok_or_else(|| format!("expected auto, cpu, cuda or cuda:N, got {text}"))
    }
}

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

impl RunParams {
    /// Checks every setting against its rule.
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that breaks its rule.
    pub fn check(&self) -> Result<()> {
        self.check_each()
    }
}

impl PpoParams {
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

/// All settings of a PPO run together: what `--set key=value` and preset files change.
///
/// ```
/// use gbrl_core::config::Settings;
/// let mut settings = Settings::default();
/// settings.set("policy_lr", "lin_0.1")?;
/// settings.set("max_depth", "5")?;
/// assert_eq!(settings.get("policy_lr").as_deref(), Some("linear:0.1:0"));
/// let error = settings.set("batchsize", "64").unwrap_err();
/// assert_eq!(error.to_string(), "unknown setting 'batchsize'; did you mean 'batch_size'?");
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The run.
    pub run: RunParams,
    /// The algorithm.
    pub ppo: PpoParams,
    /// The tree learner.
    pub tree: TreeParams,
}

const N_PARAMS: usize = RunParams::DEFS.len() + PpoParams::DEFS.len() + TreeParams::DEFS.len();

/// Every setting there is, table by table.
pub const ALL: &[ParamDef] = &join([RunParams::DEFS, PpoParams::DEFS, TreeParams::DEFS]);

const fn join<const N: usize>(tables: [&[ParamDef]; N]) -> [ParamDef; N_PARAMS] {
    let mut all = [RunParams::DEFS[0]; N_PARAMS];
    let (mut at, mut table) = (0, 0);
    while table < N {
        let mut i = 0;
        while i < tables[table].len() {
            all[at] = tables[table][i];
            at += 1;
            i += 1;
        }
        table += 1;
    }
    all
}

impl Settings {
    /// Sets the setting `key` from text, whichever table it belongs to.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`](crate::error::ErrorKind::UnknownName) with the nearest names, or
    /// [`ErrorKind::Parameter`](crate::error::ErrorKind::Parameter) with the rule that `value` breaks.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match ALL.iter().find(|def| def.name == key).map(|def| def.section) {
            Some("run") => self.run.set(key, value),
            Some("ppo") => self.ppo.set(key, value),
            Some(_) => self.tree.set(key, value),
            None => Err(Error::unknown_name("setting", key, ALL.iter().map(|def| def.name))),
        }
    }

    /// Checks everything that can be checked before the environment is known, limits of memory included.
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that breaks its rule.
    pub fn check(&self) -> Result<()> {
        self.run.check()?;
        self.ppo.check(self.run.n_envs)
    }

    /// The setting `key` as text that [`set`](Settings::set) reads back; `None` when there is none of that name.
    pub fn get(&self, key: &str) -> Option<String> {
        self.run.get(key).or_else(|| self.ppo.get(key)).or_else(|| self.tree.get(key))
    }
}

/// The text of docs/parameters.md.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Parameters\n\nGenerated from `gbrl-core/src/config`; a test compares. Rewrite with \
         `GBRL_REWRITE=1 cargo test -p gbrl-core parameters_md`.\n\n\
         Every parameter is set by `--set name=value` or in a preset file. A *schedule* is a number, `lin_0.01` \
         (0.01 to 0 in a straight line over the run), `linear:0.01:0.001` or `cosine:0.01:0.001`.\n",
    );
    for (section, title) in [("run", "Run"), ("ppo", "PPO"), ("tree", "Trees")] {
        let _ = write!(text, "\n## {title}\n\n| name | value | default | allowed | unit | what it does |\n");
        text.push_str("|---|---|---|---|---|---|\n");
        for def in ALL.iter().filter(|def| def.section == section) {
            let default = (def.default)();
            let default = if default.is_empty() { "(nothing)".to_owned() } else { format!("`{default}`") };
            let (name, kind, rule, unit, doc) = (def.name, def.kind, def.rule, def.unit, def.doc.trim());
            let _ = writeln!(text, "| `{name}` | {kind} | {default} | {rule} | {unit} | {doc} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_follow_their_own_rules() {
        let mut names: Vec<_> = ALL.iter().map(|def| def.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), N_PARAMS);
        let mut settings = Settings::default();
        for def in ALL {
            let default = (def.default)();
            assert_eq!(settings.get(def.name).as_ref(), Some(&default), "{}", def.name);
            settings.set(def.name, &default).unwrap();
            assert!(!def.doc.trim().is_empty() && !def.rule.is_empty());
        }
        assert_eq!(settings, Settings::default());
        settings.check().unwrap();
        settings.tree.check(3, 2).unwrap();
    }

    #[test]
    fn a_bad_value_is_refused_with_the_rule_and_changes_nothing() {
        let mut settings = Settings::default();
        for (key, value, message) in [
            ("gamma", "1.5", "gamma: expected in [0, 1] (number), got 1.5"),
            ("n_epochs", "0", "n_epochs: expected at least 1 (whole number), got 0"),
            ("n_epochs", "many", "n_epochs: expected at least 1 (whole number), got many"),
            ("clip_range", "0", "clip_range: expected above 0 (schedule), got 0"),
            ("grow_policy", "deep", "grow_policy: expected oblivious, depthwise or bestfirst (word), got deep"),
            ("target_kl", "-1", "target_kl: expected above 0, or none (number or none), got -1"),
        ] {
            assert_eq!(settings.set(key, value).unwrap_err().to_string(), message);
        }
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn fields_set_by_hand_are_checked_too() {
        let ppo = PpoParams { gae_lambda: f64::NAN, ..PpoParams::default() };
        assert_eq!(ppo.check(1).unwrap_err().to_string(), "gae_lambda: expected in [0, 1], got NaN");
        let tree = TreeParams { max_depth: 13, ..TreeParams::default() };
        assert_eq!(
            tree.check(1, 1).unwrap_err().to_string(),
            "max_depth: expected 1 to 12 for oblivious trees, got 13"
        );
    }

    #[test]
    fn what_would_not_fit_into_memory_is_refused() {
        let mut settings = Settings::default();
        for (key, most) in [
            ("n_envs", MAX_ENVS),
            ("n_steps", MAX_ROLLOUT_ROWS),
            ("eval_episodes", MAX_EPISODES),
            ("stats_window", MAX_EPISODES),
        ] {
            settings.set(key, &most.to_string()).unwrap();
            let error = settings.set(key, &(most + 1).to_string()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key}: expected 1 to {most}")), "{error}");
        }
        let error = settings.check().unwrap_err().to_string();
        assert_eq!(error, "n_steps: expected at most 1024 with 65536 environments, got 67108864");
        settings.set("n_steps", "1024").unwrap();
        settings.check().unwrap();
        assert!(PpoParams { n_steps: usize::MAX, ..PpoParams::default() }.check(2).is_err());
    }

    #[test]
    fn settings_survive_json_and_name_what_they_do_not_know() {
        let mut settings = Settings::default();
        settings.set("clip_range", "cosine:0.3:0.1").unwrap();
        settings.set("clip_range_vf", "0.2").unwrap();
        settings.set("monotone", "0:1:rising,2:0:falling").unwrap();
        let json = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings);
        assert_eq!(settings.get("monotone").as_deref(), Some("0:1:rising,2:0:falling"));
        assert!(serde_json::from_str::<PpoParams>(r#"{"gama": 1}"#).is_err());
        assert_eq!(serde_json::from_str::<PpoParams>("{}").unwrap(), PpoParams::default());
    }

    #[test]
    fn parameters_md_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/parameters.md");
        if std::env::var_os("GBRL_REWRITE").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert!(written == markdown(), "run GBRL_REWRITE=1 cargo test -p gbrl-core parameters_md");
    }
}
