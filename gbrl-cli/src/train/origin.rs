//! Where a run's settings come from: a preset, and what was changed by hand.

use std::collections::BTreeMap;
use std::path::Path;

use gbrl_core::config::Settings;

use crate::failure::Failure;
use crate::settings::Preset;

/// More changes than these do not fit into a name.
const NAMED: usize = 3;

/// A preset's name, and the settings that decide what is learnt and differ from it.
#[derive(Clone, Debug)]
pub struct Origin {
    pub preset: String,
    pub changes: BTreeMap<String, String>,
}

impl Origin {
    pub fn new(preset: &Preset, settings: &Settings) -> Result<Self, Failure> {
        let mut origin = Origin { preset: preset.name.clone(), changes: BTreeMap::new() };
        origin.change(&preset.settings()?, settings);
        Ok(origin)
    }

    /// Notes what differs and makes another experiment.
    pub fn change(&mut self, from: &Settings, to: &Settings) {
        for def in to.defs().filter(|def| def.decides()) {
            let value = to.get(def.name).unwrap_or_default();
            if from.get(def.name).as_ref() != Some(&value) {
                self.changes.insert(def.name.to_owned(), value);
            }
        }
    }

    /// For people, the preset named by `preset`.
    fn described(&self, preset: &str) -> String {
        let changes = self.changes.iter().map(|(key, value)| format!(", {key} {value}"));
        format!("preset {preset}{}", changes.collect::<String>())
    }

    /// "preset default, max_depth 3".
    pub fn text(&self) -> String {
        self.described(&self.preset)
    }

    /// The same for a picture's title: of a preset that is a file its name is enough.
    pub fn title(&self) -> String {
        self.described(&Path::new(&self.preset).file_name().unwrap_or_default().to_string_lossy())
    }

    /// For a folder's name: "default-max_depth-3".
    pub fn stem(&self) -> String {
        let preset = Path::new(&self.preset).file_stem().unwrap_or_default().to_string_lossy();
        let changes: String = match self.changes.len() {
            0..=NAMED => self.changes.iter().map(|(key, value)| format!("-{key}-{value}")).collect(),
            n => format!("-{n}-changes"),
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        format!("{preset}{}", changes.chars().map(plain).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_another_experiment_is_named() {
        let from = Settings::default();
        let mut to = from.clone();
        let mut origin = Origin { preset: "mine/quick.toml".into(), changes: BTreeMap::new() };
        for (key, value) in [("max_depth", "7"), ("policy_lr", "linear:0.2:0"), ("seed", "9"), ("total_timesteps", "5")]
        {
            to.set(key, value).unwrap();
        }
        origin.change(&from, &to);
        assert_eq!(origin.text(), "preset mine/quick.toml, max_depth 7, policy_lr linear:0.2:0");
        assert_eq!(origin.title(), "preset quick.toml, max_depth 7, policy_lr linear:0.2:0");
        assert_eq!(origin.stem(), "quick-max_depth-7-policy_lr-linear_0.2_0");
        let before = to.clone();
        for (key, value) in [("max_depth", "2"), ("gamma", "0.5"), ("n_envs", "3")] {
            to.set(key, value).unwrap();
        }
        origin.change(&before, &to);
        assert_eq!((origin.changes["max_depth"].as_str(), origin.stem().as_str()), ("2", "quick-4-changes"));
        let mut bounded = Settings::default();
        bounded.set("max_trees", "24").unwrap();
        let mut origin = Origin { preset: "default".into(), changes: BTreeMap::new() };
        origin.change(&Settings::default(), &bounded);
        assert_eq!(origin.stem(), "default-max_trees-24");
    }
}
