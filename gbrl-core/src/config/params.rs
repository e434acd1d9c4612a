//! Settings of a run, and all settings together.

use std::fmt::Write;

use serde::de::Error as _;
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::algo::{AgentParams, AlgoParams, Algorithm, AwrParams, OptimizerKind, PpoParams, from_table, to_table};
use super::knob::{ParamDef, ParamValue, params};
use super::tree::TreeParams;
use crate::error::{Error, Result};

/// More copies of an environment than any machine steps.
pub const MAX_ENVS: usize = 65_536;
/// Most rows of a rollout, over all copies: more would only fail after they have taken all memory.
pub const MAX_ROLLOUT_ROWS: usize = 1 << 26;
/// Most episodes of one evaluation, and of a window of statistics.
pub const MAX_EPISODES: usize = 10_000_000;
/// Most states that an ensemble is distilled on.
const MAX_COMPACTION_STATES: usize = 1 << 20;
/// Most states times trees of a distillation, which keeps 4 bytes for each.
const MAX_COMPACTION: usize = 1 << 30;

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
        /// Most trees after an update: an ensemble that has more is distilled into fewer, between two rollouts, and goes
        /// on learning from there.
        max_trees: Option<usize> = None, "trees", "at least 2, or none", |x| x.is_none_or(|x| x >= 2);
        /// Visited states that an ensemble is distilled on, a quarter of which only judges the outcome.
        compaction_states: usize = 8192, "states", "16 to 1048576", |x| (16..=MAX_COMPACTION_STATES).contains(x);
        /// Largest change of an output of the policy by a compaction: root mean square in units of the output's standard
        /// deviation. A mean KL divergence of 0.01 nats is near enough, too. More trees are kept where it takes more, and
        /// all of them where max_trees are too few for it.
        max_compaction_change: f64 = 0.6, "", "above 0", |x| *x > 0.0 && x.is_finite();
    }
}

/// Where trees are grown, and large predictions made.
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

impl RunParams {
    /// Checks every setting against its rule.
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that breaks its rule.
    pub fn check(&self) -> Result<()> {
        self.check_each()
    }
}

/// All settings of a run together: what `--set key=value` and preset files change.
///
/// A file holds the tables `run`, `tree`, and one of the algorithm's name with everything it goes by.
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The run.
    pub run: RunParams,
    /// What all algorithms go by.
    pub agent: AgentParams,
    /// Which algorithm, and what it alone goes by.
    pub algo: AlgoParams,
    /// The tree learner.
    pub tree: TreeParams,
}

/// Every setting there is, table by table.
pub const ALL: &[ParamDef] =
    &join([RunParams::DEFS, AgentParams::DEFS, PpoParams::DEFS, AwrParams::DEFS, TreeParams::DEFS]);

const N_PARAMS: usize = RunParams::DEFS.len()
    + AgentParams::DEFS.len()
    + PpoParams::DEFS.len()
    + AwrParams::DEFS.len()
    + TreeParams::DEFS.len();

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
    /// The defaults of an algorithm.
    pub fn new(algorithm: Algorithm) -> Self {
        let (agent, algo) = (AgentParams::new(algorithm), AlgoParams::new(algorithm));
        Settings { agent, algo, ..Settings::default() }
    }

    /// The algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algo.algorithm()
    }

    /// Sets the setting `key` from text, whichever table it belongs to.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`](crate::error::ErrorKind::UnknownName) with the nearest names, or
    /// [`ErrorKind::Parameter`](crate::error::ErrorKind::Parameter) with the rule that `value` breaks, and for a setting
    /// that another algorithm has.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let own = self.algorithm().name();
        match ALL.iter().find(|def| def.name == key).map(|def| def.section) {
            Some("run") => self.run.set(key, value),
            Some("agent") => self.agent.set(key, value),
            Some("tree") => self.tree.set(key, value),
            Some(section) if section == own => self.algo.set(key, value),
            Some(section) => Err(Error::parameter(key, format!("one of {section}"), format!("a setting of {own}"))),
            None => Err(Error::unknown_name("setting", key, self.defs().map(|def| def.name))),
        }
    }

    /// Checks everything that can be checked before the environment is known, limits of memory included.
    ///
    /// # Errors
    /// Class `Value`, naming the first setting that breaks its rule; class `Unsupported` for `max_trees` beside what it
    /// cannot be combined with.
    pub fn check(&self) -> Result<()> {
        self.run.check()?;
        self.agent.check(self.run.n_envs)?;
        self.algo.check(self.agent.n_steps * self.run.n_envs)?;
        let Some(max_trees) = self.run.max_trees else { return Ok(()) };
        if self.run.compaction_states.saturating_mul(max_trees) > MAX_COMPACTION {
            let rule = format!("at most {} with max_trees {max_trees}", MAX_COMPACTION / max_trees);
            return Err(Error::parameter("compaction_states", self.run.compaction_states, rule));
        }
        let adam = [self.agent.policy_optimizer, self.agent.value_optimizer].contains(&OptimizerKind::Adam);
        let refused = |condition: &str, reason: &'static str| Err(Error::unsupported("max_trees", condition, reason));
        match (adam, self.tree.control_variates) {
            (true, _) => refused("with Adam", "its outputs are folds over all trees, not sums that fewer could have"),
            (_, true) => refused("with control variates", "distilled trees hold no gradients of earlier steps"),
            _ => Ok(()),
        }
    }

    /// The setting `key` as text that [`set`](Settings::set) reads back; `None` when there is none of that name.
    pub fn get(&self, key: &str) -> Option<String> {
        let (run, agent) = (self.run.get(key), self.agent.get(key));
        run.or(agent).or_else(|| self.algo.get(key)).or_else(|| self.tree.get(key))
    }

    /// The settings that a run with this algorithm has, in order.
    pub fn defs(&self) -> impl Iterator<Item = &'static ParamDef> {
        let own = self.algorithm().name();
        ALL.iter().filter(move |def| ["run", "agent", own, "tree"].contains(&def.section))
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry(self.algorithm().name(), &to_table(&self.agent, &self.algo).map_err(S::Error::custom)?)?;
        map.serialize_entry("tree", &self.tree)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Settings {
    /// What is missing has its default; a file that names no algorithm means PPO.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut tables = Map::<String, Value>::deserialize(deserializer)?;
        let named = Algorithm::ALL.into_iter().find(|algorithm| tables.contains_key(algorithm.name()));
        let algorithm = named.unwrap_or_default();
        let mut table = |name| tables.remove(name).unwrap_or_else(|| Value::Object(Map::new()));
        let (run, tree, learning) = (table("run"), table("tree"), table(algorithm.name()));
        if let Some(name) = tables.keys().next() {
            return Err(D::Error::custom(format!("unknown table '{name}' of settings")));
        }
        let learning = serde_json::from_value(learning).map_err(D::Error::custom)?;
        let (agent, algo) = from_table(algorithm, learning, true).map_err(D::Error::custom)?;
        Ok(Settings {
            run: serde_json::from_value(run).map_err(D::Error::custom)?,
            agent,
            algo,
            tree: serde_json::from_value(tree).map_err(D::Error::custom)?,
        })
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
    for (section, title) in
        [("run", "Run"), ("agent", "All algorithms"), ("ppo", "PPO"), ("a2c", "A2C"), ("awr", "AWR"), ("tree", "Trees")]
    {
        let _ = write!(text, "\n## {title}\n\n");
        let mut defs = ALL.iter().filter(|def| def.section == section).peekable();
        if defs.peek().is_none() {
            text.push_str("No settings of its own.\n");
            continue;
        }
        text.push_str("| name | value | default | allowed | unit | what it does |\n|---|---|---|---|---|---|\n");
        for def in defs {
            let (name, kind, rule, unit, doc) = (def.name, def.kind, def.rule, def.unit, def.doc.trim());
            let default = default_text(def);
            let _ = writeln!(text, "| `{name}` | {kind} | {default} | {rule} | {unit} | {doc} |");
        }
    }
    text
}

/// A default, and the algorithms that have another one.
fn default_text(def: &ParamDef) -> String {
    let default = (def.default)();
    let mut text = if default.is_empty() { "(nothing)".to_owned() } else { format!("`{default}`") };
    for algorithm in Algorithm::ALL {
        if let Some((_, value)) = algorithm.own_defaults().iter().find(|(name, _)| *name == def.name) {
            let _ = write!(text, ", {} `{value}`", algorithm.title());
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
        assert!(ALL.iter().all(|def| !def.doc.trim().is_empty() && !def.rule.is_empty()));
        let mut named = 0;
        for algorithm in Algorithm::ALL {
            let mut settings = Settings::new(algorithm);
            for def in Settings::new(algorithm).defs() {
                let own = algorithm.own_defaults().iter().find(|(name, _)| *name == def.name);
                let default = own.map_or_else(def.default, |(_, value)| (*value).to_owned());
                assert_eq!(settings.get(def.name).as_ref(), Some(&default), "{}", def.name);
                settings.set(def.name, &default).unwrap();
                named += usize::from(def.section == algorithm.name());
            }
            assert_eq!(settings, Settings::new(algorithm));
            settings.check().unwrap();
            settings.tree.check(3, 2).unwrap();
        }
        assert_eq!(named, PpoParams::DEFS.len() + AwrParams::DEFS.len());
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
        let agent = AgentParams { gae_lambda: f64::NAN, ..AgentParams::default() };
        assert_eq!(agent.check(1).unwrap_err().to_string(), "gae_lambda: expected in [0, 1], got NaN");
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
        assert!(AgentParams { n_steps: usize::MAX, ..AgentParams::default() }.check(2).is_err());
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
        assert!(serde_json::from_str::<AgentParams>(r#"{"gama": 1}"#).is_err());
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
