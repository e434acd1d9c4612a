//! PPO on the CartPole of gymnasium-rs: `cargo run --release`.

use gbrl_core::config::Settings;
use gbrl_core::error::Result;
use gbrl_core::rl::algo::Trainer;
use gbrl_core::rl::env::{Env, TimeLimit};
use gbrl_core::rl::eval::evaluate;
use gbrl_core::rl::event::{Control, Event};
use gbrl_gymnasium_rs::Gymnasium;
use gymnasium_rs::envs::cartpole::CartPole;

const STEPS: u64 = 50_000;

fn make() -> Result<Box<dyn Env>> {
    // The crate's own task has no end for who never drops the pole.
    Ok(Box::new(TimeLimit::new(Gymnasium::new("gymnasium-rs/CartPole", CartPole::new())?, 500)?))
}

fn main() -> Result<()> {
    let mut settings = Settings::default();
    settings.set("total_timesteps", &STEPS.to_string())?;
    let envs = (0..settings.run.n_envs).map(|_| make()).collect::<Result<Vec<_>>>()?;
    let mut trainer = Trainer::new(envs, &settings)?;
    trainer.run(STEPS, &mut |event: &Event<'_>| {
        if let Event::UpdateFinished { timesteps, metrics } = event {
            println!("{timesteps:>6} steps: return {:.1}", metrics.get("rollout/ep_rew_mean").unwrap_or(f64::NAN));
        }
        Control::Continue
    })?;
    let report = evaluate(&trainer.policy()?, &mut [make()?], 20, true, 0)?;
    println!("evaluation: return {:.1} ± {:.1} of 500", report.mean(), report.std());
    Ok(())
}
