//! An environment of your own: implement `Env`, check it, train on it, act with what was learnt.
//!
//! `cargo run --release -p gbrl-examples --example custom_env`

#![allow(clippy::print_stdout)]

use gbrl_core::config::Settings;
use gbrl_core::error::Result;
use gbrl_core::rl::algo::Trainer;
use gbrl_core::rl::env::{Action, Env, Step, TimeLimit};
use gbrl_core::rl::event::{Control, Event};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

/// Keep a room at 21 degrees: heat or not, once a minute.
struct Thermostat {
    observation: Space,
    action: Space,
    weather: Stream,
    temperature: f64,
    outside: f64,
}

impl Thermostat {
    fn new() -> Result<Self> {
        Ok(Thermostat {
            observation: Space::Dict(vec![
                ("inside".into(), Space::bounded(&[-50.0], &[80.0])?),
                ("outside".into(), Space::bounded(&[-50.0], &[80.0])?),
            ]),
            action: Space::discrete(2),
            weather: Stream::new(0, "weather", 0),
            temperature: 0.0,
            outside: 0.0,
        })
    }
}

impl Env for Thermostat {
    fn name(&self) -> &str {
        "Thermostat-v0"
    }

    fn observation_space(&self) -> &Space {
        &self.observation
    }

    fn action_space(&self) -> &Space {
        &self.action
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.weather = Stream::new(seed, "weather", 0);
        self.temperature = self.weather.range(10.0, 30.0);
        self.outside = self.weather.range(-10.0, 15.0);
        observation.copy_from_slice(&[self.temperature as f32, self.outside as f32]);
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        let heat = if action.discrete()? == 1 { 1.5 } else { 0.0 };
        self.temperature += heat - 0.04 * (self.temperature - self.outside);
        self.outside = (self.outside + 0.2 * self.weather.normal()).clamp(-20.0, 20.0);
        observation.copy_from_slice(&[self.temperature as f32, self.outside as f32]);
        let reward = -(self.temperature - 21.0).abs() as f32;
        // The task has no end of its own; the time limit below truncates it, and the value function bridges the cut.
        Ok(Step { reward, terminated: false, truncated: false })
    }
}

fn make() -> Result<Box<dyn Env>> {
    Ok(Box::new(TimeLimit::new(Thermostat::new()?, 120)?))
}

fn main() -> Result<()> {
    // Does it keep the contract? Determinism, spaces, episodes: an error names the first rule that is broken.
    let report = gbrl_envs::check(&mut *make()?)?;
    println!("{} keeps the contract: {} steps in {} episodes", report.name, report.steps, report.episodes);

    let mut settings = Settings::default();
    settings.set("total_timesteps", "100000")?;
    settings.set("gamma", "0.95")?;
    let envs = (0..settings.run.n_envs).map(|_| make()).collect::<Result<Vec<_>>>()?;
    let mut trainer = Trainer::new(envs, &settings)?;
    let mut rollouts = 0;
    trainer.run(100_000, &mut |event: &Event<'_>| {
        if let Event::UpdateFinished { timesteps, metrics } = event {
            rollouts += 1;
            if rollouts % 10 == 0 {
                let mean = metrics.get("rollout/ep_rew_mean").unwrap_or(f64::NAN);
                println!("{timesteps:>7} steps: return {mean:.1}");
            }
        }
        Control::Continue
    })?;

    // What it learnt: heat below about 21 degrees, a little earlier when it is cold outside.
    let policy = trainer.policy()?;
    let mut stream = Stream::new(0, "acting", 0);
    for inside in [15.0, 19.0, 20.5, 21.5, 25.0] {
        let mut action = [0.0];
        policy.act(&[inside, 0.0], &[], true, &mut stream, &mut action)?;
        println!("{inside:>5.1} degrees inside, 0 outside: {}", if action[0] == 1.0 { "heat" } else { "wait" });
    }
    Ok(())
}
