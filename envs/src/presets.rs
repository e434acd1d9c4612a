//! Preset files, embedded: settings for each environment, as TOML with their provenance.
//!
//! A file holds a table per preset and algorithm, `[paper.ppo]`, `[default.ppo]`: plain `setting = value` lines and
//! `source`, where the values come from. What the settings mean is the trainer's business.

/// Sorted by environment.
static PRESETS: [(&str, &str); 12] = [
    ("Acrobot-v1", include_str!("../presets/Acrobot-v1.toml")),
    ("CartPole-v1", include_str!("../presets/CartPole-v1.toml")),
    ("LinearEquation-v0", include_str!("../presets/LinearEquation-v0.toml")),
    ("LunarLander-v3", include_str!("../presets/LunarLander-v3.toml")),
    ("MiniGrid-DoorKey-5x5-v0", MINIGRID_1M),
    ("MiniGrid-Empty-Random-5x5-v0", MINIGRID_1M),
    ("MiniGrid-Fetch-5x5-N2-v0", include_str!("../presets/MiniGrid-10M.toml")),
    ("MiniGrid-GoToDoor-5x5-v0", MINIGRID_1M),
    ("MiniGrid-Unlock-v0", MINIGRID_1M),
    ("MountainCar-v0", include_str!("../presets/MountainCar-v0.toml")),
    ("MountainCarContinuous-v0", include_str!("../presets/MountainCarContinuous-v0.toml")),
    ("Pendulum-v1", include_str!("../presets/Pendulum-v1.toml")),
];

const MINIGRID_1M: &str = include_str!("../presets/MiniGrid-1M.toml");

/// The presets `generic` of every environment, which stand in for `default` where it has none for an algorithm.
pub const GENERIC: &str = include_str!("../presets/generic.toml");

/// The preset file of an environment, where it has one.
///
/// ```
/// assert!(gbrl_envs::presets::of("CartPole-v1").unwrap().contains("[paper.ppo]"));
/// assert!(gbrl_envs::presets::of("Taxi-v3").is_none());
/// ```
pub fn of(env_id: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(id, _)| *id == env_id).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_of_a_registered_environment() {
        assert!(PRESETS.is_sorted());
        for (id, _) in PRESETS {
            assert!(crate::spec(id).is_ok(), "{id}");
        }
    }
}
