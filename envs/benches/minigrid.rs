//! Steps per second of the MiniGrid tasks on one core, through the `Env` trait, resets included.
//!
//!     cargo bench -p gbrl-envs --bench minigrid
//!
//! Prints the best of several rounds, since other work on the machine only ever makes a round slower. Two sorts of
//! actions: uniform over all seven, which end an episode of GoToDoor after some three steps, and turns and steps
//! forward alone. Without `--bench` (as under `cargo test --benches`) it plays a few steps only.

#![allow(clippy::print_stdout, reason = "a bench reports")]

use std::hint::black_box;
use std::time::Instant;

use gbrl_core::error::Result;
use gbrl_core::rl::env::{Action, Env};
use gbrl_core::rng::Stream;

const TASKS: [&str; 5] = [
    "MiniGrid-DoorKey-5x5-v0",
    "MiniGrid-Empty-Random-5x5-v0",
    "MiniGrid-Fetch-5x5-N2-v0",
    "MiniGrid-GoToDoor-5x5-v0",
    "MiniGrid-Unlock-v0",
];
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let (steps, rounds) = if std::env::args().any(|arg| arg == "--bench") { (1_000_000, ROUNDS) } else { (1_000, 1) };
    println!("{:30} {:>14} {:>14}", "million steps per second", "all actions", "moves only");
    for id in TASKS {
        let mut env = gbrl_envs::make(id)?;
        let all = best_rate(&mut *env, 7, steps, rounds)?;
        let moves = best_rate(&mut *env, 3, steps, rounds)?;
        println!("{id:30} {all:>14.2} {moves:>14.2}");
    }
    Ok(())
}

/// Millions of steps per second with uniform actions below `n_actions`.
fn best_rate(env: &mut dyn Env, n_actions: u64, steps: usize, rounds: usize) -> Result<f64> {
    let mut random = Stream::new(0, "bench", 0);
    let actions: Vec<u32> = (0..steps).map(|_| random.below(n_actions) as u32).collect();
    let mut observation = vec![0.0; env.observation_space().flat_len()];
    let mut best = 0.0f64;
    for _ in 0..rounds {
        let (start, mut seed) = (Instant::now(), 0);
        env.reset(seed, &mut observation)?;
        for &action in &actions {
            let step = env.step(Action::Discrete(action), &mut observation)?;
            black_box(&observation);
            if step.terminated || step.truncated {
                seed += 1;
                env.reset(seed, &mut observation)?;
            }
        }
        best = best.max(steps as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
    Ok(best)
}
