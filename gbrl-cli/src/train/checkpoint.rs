//! Checkpoints of a run: the learner's state and ours.

use std::collections::BTreeMap;
use std::path::Path;

use gbrl_core::Error;
use gbrl_core::io::{Checkpoint, Model, ModelRef};
use gbrl_core::rl::algo::TrainerState;
use gbrl_core::rl::policy::About;
use gbrl_core::rl::visited::{from_blobs, to_blobs};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::states::SavedStates;
use crate::failure::Failure;

/// What a resumed run starts from.
pub struct Saved {
    pub env_id: String,
    pub trainer: TrainerState,
    pub model: Model,
    pub program: ProgramState,
    pub states: SavedStates,
}

/// What the program itself keeps over a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramState {
    /// Name of the preset, and settings that were changed.
    pub preset: String,
    #[serde(default)]
    pub changes: BTreeMap<String, String>,
    /// Bits of the last episodes' returns.
    pub returns: Vec<u64>,
    /// Episodes so far.
    pub episodes: u64,
}

const STATES: &str = "states";

/// Writes a checkpoint in one step.
pub fn save(
    path: &Path,
    (trainer, model): (&TrainerState, ModelRef<'_>),
    program: &ProgramState,
    states: &SavedStates,
) -> Result<(), Failure> {
    let failed = |error: serde_json::Error| Failure::new(format!("{}: {error}", path.display()));
    let state = json!({
        "trainer": serde_json::to_value(trainer).map_err(failed)?,
        "program": serde_json::to_value(program).map_err(failed)?,
    });
    let mut checkpoint = Checkpoint::new(model, state);
    checkpoint.blobs.extend(to_blobs(states, STATES)?);
    Ok(checkpoint.save(path)?)
}

/// Reads a checkpoint.
pub fn load(path: &Path) -> Result<Saved, Failure> {
    let mut checkpoint = Checkpoint::load(path)?;
    if checkpoint.state.get("agent").is_some() {
        let folder = path.parent().and_then(Path::parent).unwrap_or(path).display();
        let got = format!("one of the Python package; go on with it by `python -m gbrl_rs train --resume {folder}`");
        return Err(Failure::expected(&format!("--resume {folder}"), "a run of this program", &got));
    }
    let what = path.display().to_string();
    let failed = |part: &str, error: serde_json::Error| {
        Error::format(what.clone(), "not of a training run", format!("a valid {part}"), error)
    };
    let part = |name: &str, value: &mut Value| value.get_mut(name).map(Value::take).unwrap_or_default();
    let trainer = serde_json::from_value(part("trainer", &mut checkpoint.state)).map_err(|e| failed("trainer", e))?;
    let program = serde_json::from_value(part("program", &mut checkpoint.state)).map_err(|e| failed("program", e))?;
    let Some(states) = from_blobs(&mut checkpoint.blobs, STATES)? else {
        return Err(Error::format(what, "not of a training run", "a valid sample of states", "none").into());
    };
    let env_id = match About::of(&checkpoint.model)?.and_then(|about| about.training) {
        Some(training) => training.env,
        None => return Err(Error::format(what, "not of a training run", "the name of an environment", "none").into()),
    };
    Ok(Saved { env_id, trainer, model: checkpoint.model, program, states })
}

#[cfg(test)]
mod tests {
    use gbrl_core::data::FeatureSchema;
    use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};

    use super::*;

    #[test]
    fn a_run_of_the_other_program_is_told_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = folder.path().join("checkpoints");
        std::fs::create_dir(&checkpoints).unwrap();
        let groups = vec![OutputGroup::sgd("value", 0..1, Schedule::Constant(0.1))];
        let model = Model::new(Ensemble::new(FeatureSchema::numeric(1), groups).unwrap());
        let path = checkpoints.join("64.gbrl");
        Checkpoint::new(model, json!({"agent": {}, "note": ""})).save(&path).unwrap();
        let Err(Failure::Told(message)) = load(&path) else { panic!("not refused") };
        let go_on = format!("`python -m gbrl_rs train --resume {}`", folder.path().display());
        assert!(message.contains("expected a run of this program, got one of the Python") && message.contains(&go_on));
    }
}
