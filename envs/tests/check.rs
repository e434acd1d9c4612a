//! The checker passes every environment here and catches every kind of broken one.

use gbrl_core::data::FeatureSchema;
use gbrl_core::error::{ErrorClass, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_envs::toy::{ConstantReward, Ending, Identity, MaskedBandit};
use gbrl_envs::{Note, check};

#[test]
fn every_registered_environment_passes() {
    for id in gbrl_envs::ids() {
        let mut env = gbrl_envs::make(id).unwrap();
        let report = check(&mut env).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(report.name, id);
        assert!(report.episodes > 0 && report.steps >= 4_500, "{report:?}");
        // The rewards of tasks that are hard by chance may never vary; MiniGrid's empty rooms have one start and no
        // chance in them.
        let has_one_start = id.starts_with("MiniGrid-Empty-") && !id.contains("Random");
        let surprising = |note: &&Note| match note {
            Note::ConstantReward => false,
            Note::SeedsDoNotDiffer => !has_one_start,
            _ => true,
        };
        assert_eq!(report.notes.iter().find(surprising), None, "{report:?}");
    }
}

#[test]
fn the_masked_taxi_and_the_toys_pass() {
    let bounded = Space::bounded(&[-1.0, 0.0], &[1.0, 10.0]).unwrap();
    let spaces = [Space::discrete(4), Space::MultiDiscrete { nvec: vec![2, 5] }, Space::MultiBinary { n: 3 }, bounded];
    let mut envs: Vec<Box<dyn Env>> = vec![
        Box::new(gbrl_envs::taxi::Taxi::with_action_mask()),
        Box::new(MaskedBandit::new(4).unwrap()),
        Box::new(ConstantReward::new(0.5, 20, Ending::Truncated).unwrap()),
        Box::new(ConstantReward::new(0.5, 20, Ending::Terminated).unwrap()),
    ];
    for space in spaces {
        envs.push(Box::new(Identity::new(space, 30).unwrap()));
    }
    for env in &mut envs {
        check(&mut **env).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// What a [`Broken`] environment does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Flaw {
    None,
    NoName,
    FeaturesOfOtherKinds,
    ObservationSpace,
    ActionSpace,
    DictActions,
    SpacesChange,
    MaskAppears,
    NotWrittenByReset,
    NotWrittenByStep,
    OutsideAfterReset,
    OutsideAfterStep,
    NanCategory,
    NanReward,
    Nondeterministic,
    RewardsDrift,
    MaskOfBox,
    MaskNotWritten,
    MaskForbidsAll,
    AnyKind,
    RestoreRefuses,
    RestoreForgets,
    RestoreForgetsMask,
    RestoreTakesShort,
    // Allowed, but noted.
    IgnoresSeed,
    NeverEnds,
    NotSaved,
    MissingValues,
    Infinities,
    AnyIndex,
}

/// A counter that ends at 10: observation (count, noise); correct unless told otherwise.
struct Broken {
    flaw: Flaw,
    observation: Space,
    action: Space,
    count: u32,
    seed: u64,
    /// Survives `reset`, as nothing should.
    total: u32,
}

impl Broken {
    fn new(flaw: Flaw) -> Self {
        let mut observation =
            Space::Tuple(vec![Space::discrete(11), Space::Box { shape: vec![], low: vec![-1.0], high: vec![1.0] }]);
        let mut action = Space::MultiDiscrete { nvec: vec![2, 3] };
        match flaw {
            Flaw::ObservationSpace => observation = Space::discrete(0),
            Flaw::ActionSpace => action = Space::Box { shape: vec![1], low: vec![1.0], high: vec![0.0] },
            Flaw::DictActions => action = Space::Dict(vec![("a".into(), Space::discrete(2))]),
            Flaw::MaskOfBox => action = Space::unbounded(1),
            Flaw::Infinities | Flaw::NeverEnds => {
                observation = Space::Tuple(vec![Space::unbounded(1), Space::unbounded(1)]);
            }
            _ => {}
        }
        Broken { flaw, observation, action, count: 0, seed: 0, total: 0 }
    }

    fn observe(&self, observation: &mut [f32]) {
        let seed = if self.flaw == Flaw::IgnoresSeed { 0 } else { self.seed };
        observation[0] = self.count as f32;
        observation[1] = (seed % 97) as f32 / 97.0;
        match self.flaw {
            Flaw::Nondeterministic => observation[1] = (self.total % 89) as f32 / 97.0,
            Flaw::MissingValues if self.count == 3 => observation[1] = f32::NAN,
            Flaw::NanCategory if self.count == 3 => observation[0] = f32::NAN,
            Flaw::Infinities if self.count == 3 => observation[0] = f32::INFINITY,
            _ => {}
        }
    }
}

impl Env for Broken {
    fn name(&self) -> &str {
        if self.flaw == Flaw::NoName { "" } else { "Broken-v0" }
    }

    fn observation_space(&self) -> &Space {
        // The action space stands in for "another one".
        if self.flaw == Flaw::SpacesChange && self.total > 100 { &self.action } else { &self.observation }
    }

    fn action_space(&self) -> &Space {
        &self.action
    }

    fn features(&self) -> FeatureSchema {
        match self.flaw {
            Flaw::FeaturesOfOtherKinds => FeatureSchema::numeric(1),
            _ => self.observation_space().schema(),
        }
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        self.count = 0;
        self.seed = seed;
        self.total += 1;
        if self.flaw != Flaw::NotWrittenByReset {
            self.observe(observation);
        }
        if self.flaw == Flaw::OutsideAfterReset {
            observation[1] = 1.5;
        }
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        if self.flaw != Flaw::AnyKind {
            let indices = action.indices()?;
            if self.flaw != Flaw::AnyIndex && (indices.len() != 2 || indices[0] > 1 || indices[1] > 2) {
                return Err(gbrl_core::Error::parameter("action", format!("{indices:?}"), "indices in range"));
            }
        }
        self.count += 1;
        self.total += 1;
        if self.flaw != Flaw::NotWrittenByStep {
            self.observe(observation);
        } else {
            observation[0] = self.count as f32;
        }
        if self.flaw == Flaw::OutsideAfterStep && self.count == 5 {
            observation[0] = 11.0;
        }
        let reward = match self.flaw {
            Flaw::NanReward if self.count == 5 => f32::NAN,
            Flaw::RewardsDrift => self.total as f32,
            _ => self.count as f32,
        };
        Ok(Step { reward, terminated: self.count == 10 && self.flaw != Flaw::NeverEnds, truncated: false })
    }

    fn has_action_mask(&self) -> bool {
        match self.flaw {
            Flaw::MaskOfBox | Flaw::MaskNotWritten | Flaw::MaskForbidsAll | Flaw::RestoreForgetsMask => true,
            Flaw::MaskAppears => self.total > 100,
            _ => false,
        }
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        match self.flaw {
            Flaw::MaskNotWritten => allowed[..4].fill(true),
            Flaw::MaskForbidsAll => {
                allowed.fill(true);
                if self.count == 4 {
                    allowed[2..].fill(false);
                }
            }
            Flaw::RestoreForgetsMask => {
                allowed.fill(true);
                allowed[0] = !self.seed.is_multiple_of(2);
            }
            _ => allowed.fill(true),
        }
    }

    fn save(&self) -> Option<Vec<u8>> {
        let state = [u64::from(self.count).to_le_bytes(), self.seed.to_le_bytes()].concat();
        (self.flaw != Flaw::NotSaved).then_some(state)
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        if self.flaw == Flaw::RestoreTakesShort && state.len() == 15 {
            return Ok(());
        }
        if state.len() != 16 || self.flaw == Flaw::RestoreRefuses {
            return Err(gbrl_core::Error::format("state", "wrong length", 16, state.len()));
        }
        let number = |i: usize| u64::from_le_bytes(state[i..i + 8].try_into().unwrap());
        if self.flaw != Flaw::RestoreForgets {
            self.count = number(0) as u32;
        }
        // An even seed and the odd one after it give the same observations under `IgnoresSeed` only.
        self.seed = if self.flaw == Flaw::RestoreForgetsMask { number(8) + 97 } else { number(8) };
        Ok(())
    }
}

#[test]
fn every_broken_rule_is_caught() {
    let expected = [
        (Flaw::NoName, "no name"),
        (Flaw::FeaturesOfOtherKinds, "features of other kinds"),
        (Flaw::ObservationSpace, "invalid observation space"),
        (Flaw::ActionSpace, "invalid action space"),
        (Flaw::DictActions, "unsupported action space"),
        (Flaw::SpacesChange, "spaces changed"),
        (Flaw::MaskAppears, "spaces changed"),
        (Flaw::NotWrittenByReset, "observation not written"),
        (Flaw::NotWrittenByStep, "observation not written"),
        (Flaw::OutsideAfterReset, "observation outside its space"),
        (Flaw::OutsideAfterStep, "observation outside its space"),
        (Flaw::NanCategory, "observation outside its space"),
        (Flaw::NanReward, "reward not finite"),
        (Flaw::Nondeterministic, "not deterministic"),
        (Flaw::RewardsDrift, "not deterministic"),
        (Flaw::MaskOfBox, "mask of a continuous action"),
        (Flaw::MaskNotWritten, "mask not written"),
        (Flaw::MaskForbidsAll, "mask forbids everything"),
        (Flaw::AnyKind, "wrong kind of action accepted"),
        (Flaw::RestoreRefuses, "saved state refused"),
        (Flaw::RestoreForgets, "restored episode differs"),
        (Flaw::RestoreForgetsMask, "restored episode differs"),
        (Flaw::RestoreTakesShort, "truncated state accepted"),
    ];
    for (flaw, problem) in expected {
        let error = check(&mut Broken::new(flaw)).expect_err("a broken environment passed");
        assert_eq!(error.class(), ErrorClass::Environment, "{flaw:?}: {error}");
        assert!(error.to_string().contains(problem), "{flaw:?}: {error}");
    }
}

#[test]
fn what_is_only_suspicious_is_noted() {
    let notes = |flaw| check(&mut Broken::new(flaw)).unwrap_or_else(|error| panic!("{flaw:?}: {error}")).notes;
    assert_eq!(notes(Flaw::None), []);
    assert_eq!(notes(Flaw::IgnoresSeed), [Note::SeedsDoNotDiffer]);
    assert_eq!(notes(Flaw::NeverEnds), [Note::NeverEnded]);
    assert_eq!(notes(Flaw::NotSaved), [Note::CannotBeSaved]);
    assert_eq!(notes(Flaw::MissingValues), [Note::NanObserved]);
    assert_eq!(notes(Flaw::Infinities), [Note::InfinityObserved]);
    assert_eq!(notes(Flaw::AnyIndex), [Note::AcceptsActionsOutOfRange]);
}

#[test]
fn a_violation_says_what_was_expected_and_what_came() {
    let error = check(&mut Broken::new(Flaw::NanReward)).unwrap_err();
    assert_eq!(error.to_string(), "environment Broken-v0: reward not finite: expected a finite reward, got NaN");
}
