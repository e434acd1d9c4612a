//! Environments of gymnasium-rs for gbrl.

#![allow(clippy::disallowed_types, reason = "gymnasium-rs takes a HashMap")]

use std::collections::HashMap;
use std::marker::PhantomData;

use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gymnasium_rs::core::{Env as GymEnv, Space as GymSpace};
use ndarray::Array1;

/// An environment of gymnasium-rs with observations `Array1<f32>` and actions `A`, as one of ours.
///
/// It passes on what the other says, rewards and spaces included. Time limits are for
/// [`TimeLimit`](gbrl_core::rl::env::TimeLimit): the other crate's wrapper borrows its environment and cannot be sent
/// to a thread.
pub struct Gymnasium<E, A> {
    env: E,
    name: String,
    observation_space: Space,
    action_space: Space,
    action: PhantomData<fn(A)>,
}

/// What gymnasium-rs takes as an action.
pub trait GymAction: Sized {
    /// From one of ours.
    ///
    /// # Errors
    /// Class `Value` for an action of another kind.
    fn from_action(action: Action<'_>) -> Result<Self>;
}

impl GymAction for i32 {
    fn from_action(action: Action<'_>) -> Result<Self> {
        // Spaces have at most i32::MAX choices there.
        Ok(action.discrete()? as i32)
    }
}

impl GymAction for Array1<f32> {
    fn from_action(action: Action<'_>) -> Result<Self> {
        Ok(Array1::from_vec(action.continuous()?.to_vec()))
    }
}

impl<E: GymEnv<Array1<f32>, A>, A: GymAction> Gymnasium<E, A> {
    /// `env` under the name that files and messages will have, such as "CartPole-v0".
    ///
    /// # Errors
    /// Class `Value` for spaces that make no sense.
    pub fn new(name: impl Into<String>, env: E) -> Result<Self> {
        let (observation_space, action_space) = (space(&env.observation_space())?, space(&env.action_space())?);
        Ok(Gymnasium { env, name: name.into(), observation_space, action_space, action: PhantomData })
    }

    fn write(&self, from: &Array1<f32>, to: &mut [f32]) -> Result<()> {
        if from.len() != to.len() {
            return Err(Error::environment(&self.name, "observation of another length", to.len(), from.len()));
        }
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        Ok(())
    }
}

/// The same space in our words; the largest and smallest `f32` mean no bound there.
fn space(space: &GymSpace) -> Result<Space> {
    match space {
        GymSpace::Discrete(n) => {
            let rule = || Error::parameter("Discrete", n, "at least one value");
            let space = Space::discrete(u32::try_from(*n).map_err(|_| rule())?);
            space.check("space")?;
            Ok(space)
        }
        GymSpace::Box { low, high } => {
            let low: Vec<f32> = low.iter().map(|&x| if x == f32::MIN { f32::NEG_INFINITY } else { x }).collect();
            let high: Vec<f32> = high.iter().map(|&x| if x == f32::MAX { f32::INFINITY } else { x }).collect();
            Space::bounded(&low, &high)
        }
    }
}

impl<E: GymEnv<Array1<f32>, A> + Send, A: GymAction> Env for Gymnasium<E, A> {
    fn name(&self) -> &str {
        &self.name
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        // Their seeds have 32 bits: ours are folded, not cut, so that all of their bits count.
        let folded = (seed ^ (seed >> 32)) as i32;
        let (first, _) = self.env.reset(Some(folded), HashMap::new());
        self.write(&first, observation)
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        let (next, reward, terminated, truncated, _) = self.env.step(A::from_action(action)?);
        self.write(&next, observation)?;
        Ok(Step { reward, terminated, truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gymnasium_rs::envs::cartpole::CartPole;

    /// Follows every force, ends when it is beyond 1, and says so in a space of its own.
    struct Follow(f32);

    impl GymEnv<Array1<f32>, Array1<f32>> for Follow {
        fn observation_space(&self) -> GymSpace {
            GymSpace::Box { low: Array1::from_vec(vec![f32::MIN]), high: Array1::from_vec(vec![2.0]) }
        }
        fn action_space(&self) -> GymSpace {
            GymSpace::Box { low: Array1::from_vec(vec![-0.5]), high: Array1::from_vec(vec![0.5]) }
        }
        fn reset(&mut self, _: Option<i32>, _: gymnasium_rs::core::Options) -> (Array1<f32>, gymnasium_rs::core::Info) {
            self.0 = 0.0;
            (Array1::from_vec(vec![self.0]), HashMap::new())
        }
        fn step(&mut self, action: Array1<f32>) -> (Array1<f32>, f32, bool, bool, gymnasium_rs::core::Info) {
            self.0 += action[0];
            (Array1::from_vec(vec![self.0]), self.0, self.0 > 1.0, self.0 < -1.0, HashMap::new())
        }
        fn render(&self) -> Option<ndarray::Array3<u8>> {
            None
        }
        fn close(&mut self) {}
    }

    #[test]
    fn spaces_keep_their_meaning() {
        let env = Gymnasium::new("Follow", Follow(0.0)).unwrap();
        assert_eq!(env.observation_space(), &Space::bounded(&[f32::NEG_INFINITY], &[2.0]).unwrap());
        assert_eq!(env.action_space(), &Space::bounded(&[-0.5], &[0.5]).unwrap());
        assert_eq!(space(&GymSpace::Discrete(3)).unwrap(), Space::discrete(3));
        assert!([0, -1].into_iter().all(|n| space(&GymSpace::Discrete(n)).is_err()));
    }

    #[test]
    fn steps_are_passed_on_and_actions_of_another_kind_are_not() {
        let mut env = Gymnasium::new("Follow", Follow(0.0)).unwrap();
        let mut observation = [0.0];
        env.reset(0, &mut observation).unwrap();
        for (action, terminated, truncated) in [(0.5, false, false), (0.25, false, false), (0.5, true, false)] {
            let step = env.step(Action::Box(&[action]), &mut observation).unwrap();
            assert_eq!((step.reward, step.terminated, step.truncated), (observation[0], terminated, truncated));
        }
        assert_eq!(observation, [1.25]);
        assert!(env.step(Action::Discrete(1), &mut observation).is_err());
        assert!(env.step(Action::Box(&[0.0]), &mut [0.0; 2]).is_err());
    }

    #[test]
    fn a_seed_fixes_an_episode() {
        let episode = |seed| {
            let mut env = Gymnasium::new("CartPole", CartPole::new()).unwrap();
            let mut row = [0.0; 4];
            env.reset(seed, &mut row).unwrap();
            let mut rows = vec![row];
            for action in [0, 1, 1, 0] {
                env.step(Action::Discrete(action), &mut row).unwrap();
                rows.push(row);
            }
            rows
        };
        assert_eq!(episode(1 << 40), episode(1 << 40));
        assert_ne!(episode(1 << 40), episode(1 << 41));
    }
}
