//! Taxi-v3: fetch a passenger at one of four stands and set them down at another.
//!
//! Source: Gymnasium's `Taxi-v3` (called `Taxi-v4` from Gymnasium 1.3 on; with its default settings the task is the
//! same); Dietterich, *Hierarchical reinforcement learning with the MAXQ value function decomposition*, 2000.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | ((row · 5 + column) · 5 + passenger) · 4 + destination, a category | | 0 | 499 |
//!
//! Passenger: 0 red, 1 green, 2 yellow, 3 blue stand, 4 in the taxi. Destination: 0 to 3 likewise.
//!
//! | | |
//! |---|---|
//! | actions | `Discrete(6)`: 0 down (south), 1 up, 2 right (east), 3 left, 4 pick up, 5 drop off |
//! | reward | −1 per step; 20 for setting the passenger down at the destination; −10 for a pick-up or drop-off that is not possible |
//! | start | taxi on any of the 25 squares, passenger at any stand, destination at any other, all 300 cases equally likely |
//! | terminated | the passenger is set down at the destination |
//! | truncated | after 200 steps (by the registry) |
//! | solved | mean return 8 |
//! | constants | the map below; a move into a wall costs its step and does nothing; dropping off at a wrong stand is possible and costs 1 |
//!
//! ```text
//! +---------+
//! |R: | : :G|     R (0,0)   G (0,4)
//! | : | : : |     Y (4,0)   B (4,3)
//! | : : : : |
//! | | : | : |     | is a wall, : is none
//! |Y| : |B: |
//! +---------+
//! ```
//!
//! Gymnasium reports beside each observation which actions would change anything. [`Taxi::with_action_mask`] gives
//! the same as the environment's action mask; the registered task has none.

use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Phase, StateReader, StateWriter, discrete_action, row, words};

const NAME: &str = "Taxi-v3";
const STATES: u32 = 500;
const SIDE: u32 = 5;
const IN_TAXI: u32 = 4;
/// Row and column of the red, green, yellow and blue stand.
const STANDS: [(u32, u32); 4] = [(0, 0), (0, 4), (4, 0), (4, 3)];
/// Bit c of entry r: a wall on the east side of square (r, c).
const EAST_WALLS: [u32; 5] = [0b1_0010, 0b1_0010, 0b1_0000, 0b1_0101, 0b1_0101];

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::taxi::{Situation, Taxi};
/// let (mut env, mut observation) = (Taxi::new(), [0.0]);
/// env.set_state(Situation { row: 4, column: 3, passenger: 4, destination: 3 }.code())?;
/// let step = env.step(Action::Discrete(5), &mut observation)?;
/// assert_eq!((step.reward, step.terminated), (20.0, true));
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Taxi {
    observation_space: Space,
    action_space: Space,
    has_action_mask: bool,
    state: u32,
    phase: Phase,
}

/// What a state's code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Situation {
    /// The taxi's row, 0 to 4 from the top.
    pub row: u32,
    /// The taxi's column, 0 to 4 from the left.
    pub column: u32,
    /// Where the passenger is: a stand 0 to 3, or 4 in the taxi.
    pub passenger: u32,
    /// The stand 0 to 3 to go to.
    pub destination: u32,
}

impl Situation {
    /// The situation of a code below 500.
    pub fn from_code(code: u32) -> Self {
        Situation { row: code / 100, column: code / 20 % SIDE, passenger: code / 4 % 5, destination: code % 4 }
    }

    /// The state's code, as observed.
    pub fn code(self) -> u32 {
        ((self.row * SIDE + self.column) * 5 + self.passenger) * 4 + self.destination
    }

    /// The stand that the taxi is at.
    fn stand(self) -> Option<u32> {
        STANDS.iter().position(|&stand| stand == (self.row, self.column)).map(|i| i as u32)
    }

    fn wall_east(self) -> bool {
        EAST_WALLS[self.row as usize] >> self.column & 1 == 1
    }

    fn wall_west(self) -> bool {
        self.column == 0 || EAST_WALLS[self.row as usize] >> (self.column - 1) & 1 == 1
    }

    /// Which actions would change something; at least one move always would.
    fn useful(self) -> [bool; 6] {
        let waits_here = self.passenger < IN_TAXI && self.stand() == Some(self.passenger);
        let can_leave = self.passenger == IN_TAXI && self.stand().is_some();
        [self.row < SIDE - 1, self.row > 0, !self.wall_east(), !self.wall_west(), waits_here, can_leave]
    }

    /// The situation after an action below 6, its reward, and whether the task ended.
    fn after(mut self, action: u32) -> (Self, f32, bool) {
        if !self.useful()[action as usize] {
            return (self, if action < 4 { -1.0 } else { -10.0 }, false);
        }
        match action {
            0 => self.row += 1,
            1 => self.row -= 1,
            2 => self.column += 1,
            3 => self.column -= 1,
            4 => self.passenger = IN_TAXI,
            _ => {
                // `useful` has made sure that the taxi is at a stand.
                self.passenger = self.stand().unwrap_or(IN_TAXI);
                if self.passenger == self.destination {
                    return (self, 20.0, true);
                }
            }
        }
        (self, -1.0, false)
    }
}

impl Taxi {
    /// The registered task, without an action mask.
    pub fn new() -> Self {
        Taxi {
            observation_space: Space::discrete(STATES),
            action_space: Space::discrete(6),
            has_action_mask: false,
            state: 0,
            phase: Phase::NeedsReset,
        }
    }

    /// The task with an action mask that allows only actions that change something.
    pub fn with_action_mask() -> Self {
        Taxi { has_action_mask: true, ..Taxi::new() }
    }

    /// The state's code; see [`Situation`].
    pub fn state(&self) -> u32 {
        self.state
    }

    /// Starts an episode in the state with this code.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when it is not below 500.
    pub fn set_state(&mut self, state: u32) -> Result<()> {
        if state >= STATES {
            return Err(Error::parameter("state", state, "a code below 500"));
        }
        (self.state, self.phase) = (state, Phase::Running);
        Ok(())
    }
}

impl Default for Taxi {
    fn default() -> Self {
        Taxi::new()
    }
}

impl Env for Taxi {
    fn name(&self) -> &str {
        NAME
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn features(&self) -> FeatureSchema {
        let stand = |i: u32| ["red", "green", "yellow", "blue", "the taxi"][i as usize];
        let label = |code| {
            let Situation { row, column, passenger, destination } = Situation::from_code(code);
            format!("taxi at ({row},{column}), passenger in {}, to {}", stand(passenger), stand(destination))
        };
        FeatureSchema::new(vec![Feature::labelled("situation", (0..STATES).map(label).collect::<Vec<_>>())])
    }

    fn choices(&self) -> Vec<String> {
        words(&["down", "up", "right", "left", "pick up", "drop off"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let [out] = row::<1>(observation)?;
        let mut stream = Stream::new(seed, NAME, 0);
        let (row, column) = (stream.below(5) as u32, stream.below(5) as u32);
        let passenger = stream.below(4) as u32;
        let destination = (passenger + 1 + stream.below(3) as u32) % 4;
        self.state = Situation { row, column, passenger, destination }.code();
        self.phase = Phase::Running;
        *out = self.state as f32;
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(NAME)?;
        let action = discrete_action(action, 6)?;
        let [out] = row::<1>(observation)?;
        let (next, reward, terminated) = Situation::from_code(self.state).after(action);
        self.state = next.code();
        self.phase = Phase::after(terminated);
        *out = self.state as f32;
        Ok(Step { reward, terminated, truncated: false })
    }

    fn has_action_mask(&self) -> bool {
        self.has_action_mask
    }

    fn action_mask(&self, allowed: &mut [bool]) {
        allowed.fill(true);
        if self.has_action_mask {
            for (flag, useful) in allowed.iter_mut().zip(Situation::from_code(self.state).useful()) {
                *flag = useful;
            }
        }
    }

    fn save(&self) -> Option<Vec<u8>> {
        StateWriter::new(NAME).phase(self.phase).u32(self.state).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(NAME, state)?;
        let (phase, state) = (reader.phase()?, reader.below(STATES)?);
        reader.finish()?;
        (self.state, self.phase) = (state, phase);
        Ok(())
    }
}
