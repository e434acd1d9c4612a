//! What `gbrl train` puts into a model file besides the trees, and how a policy comes out again.

use std::path::{Path, PathBuf};

use gbrl_core::config::{PpoParams, Settings};
use gbrl_core::ensemble::Ensemble;
use gbrl_core::io::{Model, model};
use gbrl_core::rl::policy::{Policy, PolicyHead};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::settings::ALGO;

/// The model file's `extra`: which task the policy is for and how trees become actions. Nothing in it depends on when,
/// where or on how many threads the run took place, so equal runs write equal files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// Id of the environment.
    pub env: String,
    /// Algorithm.
    pub algo: String,
    /// Environment steps of training.
    pub timesteps: u64,
    /// The algorithm's settings.
    pub ppo: PpoParams,
    /// From outputs to actions.
    pub policy: PolicyHead,
}

/// A model of a policy.
pub fn to_model(
    env_id: &str,
    timesteps: u64,
    settings: &Settings,
    head: &PolicyHead,
    ensemble: Ensemble,
) -> Result<Model, Failure> {
    let about = About {
        env: env_id.to_owned(),
        algo: ALGO.to_owned(),
        timesteps,
        ppo: settings.ppo.clone(),
        policy: head.clone(),
    };
    let extra = serde_json::to_value(&about).map_err(|error| Failure::new(format!("model: {error}")))?;
    Ok(Model { params: Some(settings.tree.clone()), extra, ..Model::new(ensemble) })
}

/// The model file that `path` means: itself, or the one in a run folder.
pub fn locate(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("model.gbrl") } else { path.to_owned() }
}

/// Reads a model file; [`About`] is there if it holds a policy.
pub fn load(path: &Path) -> Result<(Model, Option<About>), Failure> {
    let model = model::load(path)?;
    let about = serde_json::from_value(model.extra.clone()).ok();
    Ok((model, about))
}

/// Reads a policy.
pub fn load_policy(path: &Path, n_threads: usize) -> Result<(Policy, About), Failure> {
    match load(path)? {
        (model, Some(about)) => Ok((Policy::new(model.ensemble, about.policy.clone(), n_threads)?, about)),
        (_, None) => {
            let what = path.display().to_string();
            Err(Failure::expected(&what, "a model that `gbrl train` wrote", "one that holds no policy"))
        }
    }
}
