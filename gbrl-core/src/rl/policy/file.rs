//! A policy in a model file: what [`Model::extra`] says beside the trees, and how a policy goes in and comes out.

use std::borrow::Cow;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Policy, PolicyHead};
use crate::config::algo::{from_table, to_table};
use crate::config::{AgentParams, AlgoParams, Algorithm};
use crate::error::{Error, Result};
use crate::io::load_model;
use crate::io::model::{self, Model, ModelRef};
use crate::rl::normalize::RewardNormalizer;

/// What makes a model file a policy; the file's `extra` is this as JSON.
///
/// Nothing in it depends on when, where or on how many threads the training took place, so equal runs write equal files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// From outputs to actions.
    pub policy: PolicyHead,
    /// Where the policy comes from, where known.
    pub training: Option<Training>,
}

/// How a policy was trained: for whoever finds its file. It changes nothing about what the policy does.
///
/// A file has the settings under the algorithm's name. Names that this version does not know are passed over: a policy
/// outlives settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Training {
    /// Name of the environment.
    pub env: String,
    /// Environment steps of training, over all copies.
    pub timesteps: u64,
    /// Settings that all algorithms have.
    pub agent: AgentParams,
    /// The algorithm, with its own settings.
    pub algo: AlgoParams,
    /// The scale of the rewards that the value is in, where they were normalised.
    pub reward_normalizer: Option<RewardNormalizer>,
}

impl Training {
    /// The setting `key` of the algorithm as text; `None` when there is none of that name.
    pub fn get(&self, key: &str) -> Option<String> {
        self.agent.get(key).or_else(|| self.algo.get(key))
    }
}

/// [`Training`] as files have it.
#[derive(Serialize, Deserialize)]
struct Written {
    env: String,
    algo: String,
    timesteps: u64,
    #[serde(default)]
    reward_normalizer: Option<RewardNormalizer>,
    #[serde(flatten)]
    settings: Map<String, Value>,
}

impl From<Training> for Written {
    fn from(training: Training) -> Self {
        let Training { env, timesteps, agent, algo, reward_normalizer } = training;
        let name = algo.algorithm().name();
        let table = to_table(&agent, &algo).unwrap_or_default();
        let settings = [(name.to_owned(), Value::Object(table))].into_iter().collect();
        Written { env, algo: name.to_owned(), timesteps, reward_normalizer, settings }
    }
}

impl TryFrom<Written> for Training {
    type Error = String;

    fn try_from(mut written: Written) -> std::result::Result<Self, String> {
        let algorithm = Algorithm::parse(&written.algo).map_err(|error| error.to_string())?;
        let table = match written.settings.remove(algorithm.name()) {
            Some(Value::Object(table)) => table,
            other => return Err(format!("expected a table '{}' of settings, got {other:?}", algorithm.name())),
        };
        if let Some(key) = written.settings.keys().next() {
            return Err(format!("unknown field '{key}'"));
        }
        let (agent, algo) = from_table(algorithm, table, false).map_err(|error| error.to_string())?;
        let Written { env, timesteps, reward_normalizer, .. } = written;
        reward_normalizer.as_ref().map_or(Ok(()), RewardNormalizer::check).map_err(|error| error.to_string())?;
        Ok(Training { env, timesteps, agent, algo, reward_normalizer })
    }
}

impl About {
    /// What a model says of its policy; `None` for trees without one. Whether trees and policy fit together is
    /// [`Policy::from_model`]'s business.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when the model claims a policy that is none.
    pub fn of(model: &Model) -> Result<Option<Self>> {
        Self::read(&model.extra, "model")
    }

    fn read(extra: &Value, what: &str) -> Result<Option<Self>> {
        if extra.get("policy").is_none() {
            return Ok(None);
        }
        Self::deserialize(extra)
            .map(Some)
            .map_err(|error| Error::format(what, "broken policy", "a policy's description of this version", error))
    }

    /// As [`Model::extra`].
    ///
    /// # Errors
    /// Class `Value` for a head that JSON cannot hold, which no head that passes [`PolicyHead::check`] is.
    pub fn to_extra(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::parameter("policy", error, "a value that JSON can hold"))
    }
}

impl Policy {
    /// The policy that a model holds; prediction uses up to `n_threads` threads, 0 for one per processor.
    ///
    /// # Errors
    /// Class `Format` when the model holds no policy, or head and trees do not fit together.
    pub fn from_model(model: Model, n_threads: usize) -> Result<Self> {
        Self::from_named(model, "model", n_threads)
    }

    fn from_named(model: Model, what: &str, n_threads: usize) -> Result<Self> {
        let Some(about) = About::read(&model.extra, what)? else {
            return Err(Error::format(what, "no policy", "a policy's description in `extra`", "trees without one"));
        };
        let mut policy = Policy::grown_by(model.params, model.ensemble, about.policy, n_threads)?;
        policy.training = about.training;
        policy.booster.set_fixed_edges(model.fixed_edges)?;
        Ok(policy)
    }

    /// The model that holds this policy: the trees, how they were grown, and [`About`].
    ///
    /// # Errors
    /// As [`About::to_extra`].
    pub fn model(&self) -> Result<ModelRef<'_>> {
        let about = About { policy: self.head.clone(), training: self.training.clone() };
        Ok(ModelRef {
            ensemble: self.ensemble(),
            params: self.params_known.then(|| self.booster.params()),
            fixed_edges: self.booster.fixed_edges(),
            extra: Cow::Owned(about.to_extra()?),
        })
    }

    /// Reads a policy from a model file or a checkpoint; the file is treated as hostile.
    ///
    /// # Errors
    /// As [`model::load`] and [`Policy::from_model`].
    pub fn load(path: impl AsRef<Path>, n_threads: usize) -> Result<Self> {
        let what = path.as_ref().display().to_string();
        Policy::from_named(load_model(path)?, &what, n_threads)
    }

    /// Writes a model file that [`load`](Policy::load) reads back, in one step.
    ///
    /// # Errors
    /// As [`model::save`].
    ///
    /// ```no_run
    /// # fn example(trainer: &gbrl_core::rl::algo::Trainer) -> gbrl_core::Result<()> {
    /// use gbrl_core::rl::policy::Policy;
    /// trainer.policy()?.save("model.gbrl")?;
    /// let policy = Policy::load("model.gbrl", 0)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        model::save(path, self.model()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;
    use crate::config::Settings;
    use crate::ensemble::Ensemble;
    use crate::rl::algo::Trainer;
    use crate::rl::env::Env;
    use crate::rl::event::Control;
    use crate::rl::test_envs::Walk;
    use crate::rng::Stream;

    fn policy() -> Policy {
        let mut settings = Settings::default();
        for (key, value) in [("n_envs", "2"), ("n_steps", "32"), ("norm_obs", "true"), ("n_threads", "1")] {
            settings.set(key, value).unwrap();
        }
        let envs = (0..2).map(|_| Box::new(Walk::new()) as Box<dyn Env>).collect();
        let mut trainer = Trainer::new(envs, &settings).unwrap();
        trainer.run(128, &mut |_| Control::Continue).unwrap();
        trainer.policy().unwrap()
    }

    #[test]
    fn a_policy_is_read_back_whole() {
        let policy = policy();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gbrl");
        policy.save(&path).unwrap();
        let read = Policy::load(&path, 1).unwrap();
        let whole = |policy: &Policy| policy.model().unwrap().to_model();
        assert_eq!(whole(&read), whole(&policy));
        assert_eq!(model::to_bytes(&whole(&read)).unwrap(), std::fs::read(&path).unwrap());
        let training = read.training().unwrap();
        assert_eq!(
            (training.env.as_str(), training.algo.algorithm(), training.timesteps),
            ("Walk-v0", Algorithm::Ppo, 128)
        );
        assert_eq!(training.agent.n_steps, 32);
        let act = |policy: &Policy| {
            let mut actions = [0.0];
            policy.act(&[0.5, -1.0], &[], false, &mut Stream::new(1, "test", 0), &mut actions).unwrap();
            actions
        };
        assert_eq!(act(&read), act(&policy));
    }

    #[test]
    fn rewards_have_their_scale_in_the_file() {
        let policy = policy();
        let scale = policy.training().unwrap().reward_normalizer.clone().unwrap();
        assert_eq!(scale.n_envs(), 0);
        let read = Policy::from_model(policy.model().unwrap().to_model(), 1).unwrap();
        let apply = |policy: &Policy| {
            let mut rewards = [0.25];
            policy.training().unwrap().reward_normalizer.as_ref().unwrap().apply(&mut rewards);
            rewards
        };
        assert_ne!(apply(&policy), [0.25]);
        assert_eq!(apply(&read), apply(&policy));
    }

    #[test]
    fn a_file_of_another_time_is_read() {
        let whole = policy().model().unwrap().to_model();
        // From before rewards had their scale there, and with a setting that is no more.
        let mut old = whole.clone();
        let training = old.extra["training"].as_object_mut().unwrap();
        training.remove("reward_normalizer").unwrap();
        training["ppo"]["annealing"] = 0.5.into();
        let read = Policy::from_model(old, 1).unwrap();
        let training = read.training().unwrap();
        assert_eq!((training.agent.n_steps, &training.reward_normalizer), (32, &None));
        assert_eq!(read.ensemble(), &whole.ensemble);
    }

    #[test]
    fn a_policy_from_parts_needs_no_training() {
        let policy = policy();
        let bare = Policy::new(policy.ensemble().clone(), policy.head().clone(), 1).unwrap();
        let model = bare.model().unwrap().to_model();
        assert_eq!((&model.params, About::of(&model).unwrap().unwrap().training), (&None, None));
        assert!(Policy::from_model(model, 1).unwrap().training().is_none());
    }

    #[test]
    fn what_is_no_policy_is_refused_with_the_name_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trees.gbrl");
        let refusal = |model: &Model| {
            model::save(&path, model).unwrap();
            let error = Policy::load(&path, 1).err().unwrap();
            assert_eq!(error.class(), ErrorClass::Format);
            error.to_string()
        };
        let whole = policy().model().unwrap().to_model();
        let trees = Model { extra: Value::Null, ..whole.clone() };
        assert!(About::of(&trees).unwrap().is_none());
        assert!(
            refusal(&trees)
                .ends_with("trees.gbrl: no policy: expected a policy's description in `extra`, got trees without one")
        );
        let mut broken = whole.clone();
        broken.extra["policy"]["log_std"] = "none".into();
        assert!(refusal(&broken).contains("trees.gbrl: broken policy"));
        let mut broken = whole.clone();
        broken.extra["training"]["ppo"]["gamma"] = "high".into();
        let message = refusal(&broken);
        assert!(message.contains("trees.gbrl: broken policy") && message.contains("\"high\""), "{message}");
        let ensemble = Ensemble::new(whole.ensemble.schema().clone(), whole.ensemble.groups()[..1].to_vec()).unwrap();
        assert!(refusal(&Model { ensemble, ..whole }).contains("trees for another head"));
    }
}
