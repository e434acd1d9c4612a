//! A policy alone, as an agent that can predict and learn on.

use gbrl_core::config::{OptimizerKind, Settings};
use gbrl_core::ensemble::Optimizer;
use gbrl_core::error::{Error, Result};
use gbrl_core::io::Model;
use gbrl_core::rl::algo::Agent;
use gbrl_core::rl::policy::About;
use serde_json::json;

/// An agent for one environment around a policy that another program trained, with the settings that its file tells, and a
/// note that says what came of it: `{"policy": {"env_id", "timesteps", "observation_space", "action_space"}}`.
pub fn agent(model: Model, n_threads: Option<usize>, device: &str) -> Result<(Agent, String)> {
    let Some(About { policy: head, training: Some(training) }) = About::of(&model)? else {
        let expected = "a policy that says how it was trained";
        return Err(Error::format("model", "no policy", expected, "trees without one"));
    };
    let tree = model.params.clone().unwrap_or_default();
    let mut settings = Settings { agent: training.agent, algo: training.algo, tree, ..Settings::default() };
    settings.run.n_envs = 1;
    settings.run.n_threads = n_threads.unwrap_or(settings.run.n_threads);
    settings.set("device", device)?;
    // A compressed policy is a plain sum, whatever grew the trees that it was fitted to.
    let kinds = [&mut settings.agent.policy_optimizer, &mut settings.agent.value_optimizer];
    for (kind, group) in kinds.into_iter().zip(model.ensemble.groups()) {
        let is_adam = matches!(group.optimizer, Optimizer::Adam { .. });
        *kind = if is_adam { OptimizerKind::Adam } else { OptimizerKind::Sgd };
    }
    let note = json!({"policy": {
        "env_id": training.env,
        "timesteps": training.timesteps,
        "observation_space": head.observation_space,
        "action_space": head.action_space,
    }});
    let backend = gbrl_cuda::backend(settings.run.device);
    let spaces = (&head.observation_space, &head.action_space);
    let mut agent = Agent::new_on(&backend, &training.env, spaces, false, &settings)?;
    agent.set_policy(model)?;
    Ok((agent, note.to_string()))
}
