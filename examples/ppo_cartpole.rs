//! Proximal policy optimisation with boosted trees, the whole truth in one file: collect, advantages, loss, tree.
//!
//! Only the learner (`Booster`), the environment and the mathematics come from the library; the loop is here. The
//! library's `Trainer` does the same and more (checkpoints, normalisation, every kind of space).
//!
//! `cargo run --release -p gbrl-examples --example ppo_cartpole -- [seed]`

#![allow(clippy::print_stdout)]

use gbrl_core::boost::Booster;
use gbrl_core::config::TreeParams;
use gbrl_core::data::FeatureSchema;
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::rl::advantage::{Trajectories, gae};
use gbrl_core::rl::dist::Categorical;
use gbrl_core::rl::dist::RowDistribution;
use gbrl_core::rl::env::{Action, Env};
use gbrl_core::rl::loss::{clipped_surrogate, standardize_advantages, value_loss};
use gbrl_core::rng::{Stream, derive_seed};

/// Environment steps in all.
const TOTAL: usize = 150_000;
/// Copies of the environment, stepped side by side.
const N_ENVS: usize = 16;
/// Steps of each copy between updates.
const N_STEPS: usize = 128;
/// Rows per minibatch: each becomes one tree.
const BATCH: usize = 512;
/// Passes over a rollout.
const EPOCHS: usize = 10;
/// Discount per step, and the weight of longer returns.
const GAMMA: f64 = 0.99;
const LAMBDA: f64 = 0.95;
/// How far a probability ratio may leave 1 before its gradient stops.
const CLIP: f64 = 0.2;
/// Weight of the value loss.
const VF_COEF: f64 = 0.5;
/// CartPole: 4 numbers in, 2 actions; the trees' outputs are 2 logits and 1 value.
const FEATURES: usize = 4;
const ACTIONS: usize = 2;
const OUTPUTS: usize = ACTIONS + 1;

fn main() -> gbrl_core::Result<()> {
    let seed = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut envs = (0..N_ENVS).map(|_| gbrl_envs::make("CartPole-v1")).collect::<gbrl_core::Result<Vec<_>>>()?;
    let groups = vec![
        OutputGroup::sgd("policy", 0..ACTIONS, Schedule::Linear { start: 0.15, end: 0.01 }),
        OutputGroup::sgd("value", ACTIONS..OUTPUTS, Schedule::Constant(0.05)),
    ];
    let ensemble = Ensemble::new(FeatureSchema::numeric(FEATURES), groups)?;
    let mut booster = Booster::new(ensemble, TreeParams::default(), seed, 1)?;
    let policy = Categorical::new(ACTIONS);
    let mut dice = Stream::new(seed, "actions", 0);
    let mut shuffle = Stream::new(seed, "minibatches", 0);

    let mut observations = vec![0.0f32; N_ENVS * FEATURES];
    let (mut episodes, mut returns_now, mut recent) = (0u64, [0.0f32; N_ENVS], Vec::new());
    for (env, observation) in envs.iter_mut().zip(observations.chunks_mut(FEATURES)) {
        env.reset(derive_seed(seed, "episode", episodes), observation)?;
        episodes += 1;
    }

    let n = N_ENVS * N_STEPS;
    let mut data = booster.dataset();
    let mut work = vec![0.0; policy.work_len()];
    for rollout in 0..TOTAL / n {
        booster.set_progress(rollout as f64 * n as f64 / TOTAL as f64);

        // Collect. Row t · N_ENVS + env of the dataset is what `env` saw at step t.
        data.clear();
        let mut actions = vec![0.0f32; n];
        let mut old_log_probs = vec![0.0; n];
        let mut rewards = vec![0.0f32; n];
        let mut discounts = vec![GAMMA; n];
        let mut ends = vec![false; n];
        let mut finals = vec![f32::NAN; n * FEATURES];
        for t in 0..N_STEPS {
            let mut logits = [0.0f32; N_ENVS * ACTIONS];
            booster.append(&mut data, &observations, 0..ACTIONS, &mut logits)?;
            for e in 0..N_ENVS {
                let row = t * N_ENVS + e;
                let params: Vec<f64> = logits[e * ACTIONS..][..ACTIONS].iter().map(|&x| f64::from(x)).collect();
                let action = &mut actions[row..row + 1];
                old_log_probs[row] = policy.sample(&params, &[], &mut dice, &mut work, action)?.log_prob;
                let observation = &mut observations[e * FEATURES..][..FEATURES];
                let step = envs[e].step(Action::Discrete(action[0] as u32), observation)?;
                rewards[row] = step.reward;
                returns_now[e] += step.reward;
                if step.terminated {
                    discounts[row] = 0.0; // no future
                }
                if step.terminated || step.truncated {
                    ends[row] = true;
                    finals[row * FEATURES..][..FEATURES].copy_from_slice(observation);
                    recent.push(std::mem::take(&mut returns_now[e]));
                    envs[e].reset(derive_seed(seed, "episode", episodes), observation)?;
                    episodes += 1;
                }
            }
        }

        // Values of all rows at once, from the cache that the updates below keep up to date.
        booster.complete(&mut data)?;
        let values: Vec<f32> = (0..n).map(|row| data.output(row, ACTIONS)).collect();
        let mut last = [0.0f32; N_ENVS];
        booster.predict(&observations, ACTIONS..OUTPUTS, &mut last)?;
        // What each step's successor is worth: the next row, or the final observation where an episode was cut off.
        let mut bootstraps = vec![0.0f32; n];
        for row in 0..n {
            bootstraps[row] = match (ends[row], values.get(row + N_ENVS)) {
                (true, _) => {
                    let mut value = [0.0];
                    booster.predict(&finals[row * FEATURES..][..FEATURES], ACTIONS..OUTPUTS, &mut value)?;
                    value[0]
                }
                (false, Some(&next)) => next,
                (false, None) => last[row % N_ENVS],
            };
        }
        let steps = Trajectories {
            n_envs: N_ENVS,
            rewards: &rewards,
            values: &values,
            bootstraps: &bootstraps,
            discounts: &discounts,
            ends: &ends,
        };
        let (mut advantages, mut returns) = (vec![0.0; n], vec![0.0; n]);
        gae(&steps, LAMBDA, &mut advantages, &mut returns)?;

        // Learn: one tree per minibatch.
        let mut order: Vec<u32> = (0..n as u32).collect();
        for _ in 0..EPOCHS {
            shuffle.shuffle(&mut order);
            for rows in order.chunks(BATCH) {
                let mut outputs = vec![0.0f32; rows.len() * OUTPUTS];
                data.gather(rows, 0..OUTPUTS, &mut outputs);
                let mut batch: Vec<f64> = rows.iter().map(|&row| advantages[row as usize]).collect();
                standardize_advantages(&mut batch);
                let mut gradients = vec![0.0f32; rows.len() * OUTPUTS];
                for (i, &row) in rows.iter().enumerate() {
                    let row = row as usize;
                    let now: Vec<f64> = outputs[i * OUTPUTS..][..OUTPUTS].iter().map(|&x| f64::from(x)).collect();
                    let action = &actions[row..row + 1];
                    let log_prob = policy.evaluate(&now[..ACTIONS], &[], action, &mut work)?.log_prob;
                    let loss = clipped_surrogate(log_prob, old_log_probs[row], batch[i], CLIP);
                    let mut d_logits = [0.0; ACTIONS];
                    policy.gradients(&now[..ACTIONS], &[], action, &work, loss.d_log_prob, 0.0, &mut d_logits);
                    let d_value = VF_COEF * value_loss(now[ACTIONS], returns[row]).d_value;
                    for (g, d) in gradients[i * OUTPUTS..].iter_mut().zip(d_logits.into_iter().chain([d_value])) {
                        *g = d as f32;
                    }
                }
                booster.step(&mut data, rows, &gradients)?;
            }
        }
        if (rollout + 1) % 10 == 0 {
            let window = &recent[recent.len().saturating_sub(100)..];
            let mean = window.iter().sum::<f32>() / window.len().max(1) as f32;
            println!("{:>7} steps  {:>4} trees  return {mean:.1}", (rollout + 1) * n, booster.n_trees());
        }
    }
    Ok(())
}
