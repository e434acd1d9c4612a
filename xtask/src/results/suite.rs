//! Which environments belong together, and what the paper reached on them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Deserialize;

/// Environments of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Suite {
    /// Classic control and LunarLander.
    Classic,
    /// MiniGrid, as 51 categorical columns.
    Minigrid,
    /// Linear equations.
    Equation,
}

/// Who steps an environment, and whose loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// This project.
    Rust,
    /// The package gymnasium: ours is close to it, but not the same task.
    Gymnasium,
    /// This project, for the reference's trees.
    Reference,
}

impl Suite {
    pub const ALL: [Suite; 3] = [Suite::Classic, Suite::Minigrid, Suite::Equation];

    /// A heading.
    pub fn title(self) -> &'static str {
        match self {
            Suite::Classic => "Classic control",
            Suite::Minigrid => "MiniGrid",
            Suite::Equation => "Linear equations",
        }
    }

    /// A word for file names.
    pub fn word(self) -> &'static str {
        match self {
            Suite::Classic => "classic",
            Suite::Minigrid => "minigrid",
            Suite::Equation => "equation",
        }
    }

    /// Its environments, in the order of the page.
    pub fn envs(self) -> &'static [(&'static str, Home)] {
        match self {
            Suite::Classic => &[
                ("Acrobot-v1", Home::Rust),
                ("CartPole-v1", Home::Rust),
                ("LunarLander-v3", Home::Gymnasium),
                ("MountainCar-v0", Home::Rust),
                ("MountainCarContinuous-v0", Home::Rust),
                ("Pendulum-v1", Home::Rust),
            ],
            Suite::Minigrid => &[
                ("MiniGrid-DoorKey-5x5-v0", Home::Rust),
                ("MiniGrid-Empty-Random-5x5-v0", Home::Rust),
                ("MiniGrid-Fetch-5x5-N2-v0", Home::Rust),
                ("MiniGrid-GoToDoor-5x5-v0", Home::Rust),
                ("MiniGrid-Unlock-v0", Home::Rust),
            ],
            Suite::Equation => &[("LinearEquation-v0", Home::Rust)],
        }
    }
}

/// Mean and standard deviation.
pub type Published = (f64, f64);

/// The paper's cells of one algorithm and environment; it has not all of them.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    pub trees: Option<Published>,
    pub networks: Option<Published>,
}

/// The paper's numbers, by algorithm and environment.
pub struct Paper(BTreeMap<String, BTreeMap<String, Reached>>);

impl Paper {
    pub fn read() -> Result<Self> {
        Ok(Paper(toml::from_str(include_str!("paper.toml")).context("paper.toml")?))
    }

    pub fn of(&self, algo: &str, env: &str) -> Reached {
        self.0.get(algo).and_then(|envs| envs.get(env)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_numbers_are_of_environments_of_the_suites() {
        let paper = Paper::read().unwrap();
        for (algo, envs) in &paper.0 {
            assert!(["ppo", "a2c", "awr"].contains(&algo.as_str()));
            for env in envs.keys() {
                let known = |suite: Suite| suite.envs().iter().any(|(id, _)| id == env);
                assert!(Suite::ALL.into_iter().any(known), "{env}");
            }
        }
        assert_eq!(paper.of("a2c", "Pendulum-v1").trees, Some((-538.83, 66.25)));
        assert_eq!(paper.of("awr", "MiniGrid-Unlock-v0").networks, None);
    }
}
