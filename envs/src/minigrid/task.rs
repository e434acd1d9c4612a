//! What makes a task: a size, its missions, where things stand at the start, and when it is done.

use gbrl_core::error::Result;
use gbrl_core::rng::Stream;

use super::grid::{Grid, Pose, Position};
use super::world::{Move, World};

/// A task on a grid. `generate` draws the start of an episode and `judge` says what an action came to; movement, sight
/// and the environment around them are shared.
///
/// ```
/// use gbrl_core::error::Result;
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_core::rng::Stream;
/// use gbrl_envs::minigrid::cell::{Cell, Color, Object};
/// use gbrl_envs::minigrid::grid::{Direction, Grid, Pose, Position};
/// use gbrl_envs::minigrid::task::{Layout, Task};
/// use gbrl_envs::minigrid::MiniGrid;
///
/// /// Two steps to the goal, past lava.
/// struct Ledge;
///
/// impl Task for Ledge {
///     fn name(&self) -> &str {
///         "Ledge-v0"
///     }
///     fn size(&self) -> (u8, u8) {
///         (3, 3)
///     }
///     fn max_steps(&self) -> u32 {
///         10
///     }
///     fn missions(&self) -> Vec<String> {
///         vec!["get to the green goal square".into()]
///     }
///     fn generate(&self, _random: &mut Stream) -> Result<Layout> {
///         let mut grid = Grid::from_text("....../....Gg/......")?;
///         grid.set(Position::new(0, 2), Cell::new(Object::Lava, Color::Red))?;
///         let agent = Pose { position: Position::new(0, 1), direction: Direction::Right };
///         Ok(Layout { grid, agent, mission: 0, target: None })
///     }
/// }
///
/// let mut env = MiniGrid::new(Ledge)?;
/// let mut observation = vec![0.0; env.observation_space().flat_len()];
/// env.reset(0, &mut observation)?;
/// env.step(Action::Discrete(2), &mut observation)?;
/// let step = env.step(Action::Discrete(2), &mut observation)?;
/// assert_eq!((step.reward, step.terminated), (0.82, true));
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
pub trait Task: Send {
    /// The environment's name, which is also the name of its random stream.
    fn name(&self) -> &str;

    /// Columns and rows of every grid that `generate` gives.
    fn size(&self) -> (u8, u8);

    /// The steps that the reward of a success is scaled by; the registry truncates after as many.
    fn max_steps(&self) -> u32;

    /// Whether the agent sees everything in its view, as it does in tasks without inner walls.
    fn sees_through_walls(&self) -> bool {
        false
    }

    /// Every sentence that an episode can be asked by; a mission is an index into it.
    fn missions(&self) -> Vec<String>;

    /// The start of an episode.
    ///
    /// # Errors
    /// [`ErrorKind::Environment`](gbrl_core::error::ErrorKind::Environment) when something finds no room.
    fn generate(&self, random: &mut Stream) -> Result<Layout>;

    /// What `action`, already done in `world`, came to. `moved` is what the movement alone came to: success on a goal,
    /// failure in lava.
    fn judge(&self, world: &World, quest: Quest, action: Move, moved: Verdict) -> Verdict {
        let _ = (world, quest, action);
        moved
    }
}

/// The start of an episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// What stands where.
    pub grid: Grid,
    /// Where the agent starts.
    pub agent: Pose,
    /// The mission, an index into [`Task::missions`].
    pub mission: u32,
    /// The place that the mission is about, for tasks that need one.
    pub target: Option<Position>,
}

/// What an episode asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quest {
    /// The mission, an index into [`Task::missions`].
    pub mission: u32,
    /// The place that the mission is about.
    pub target: Option<Position>,
}

/// What an action came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The episode goes on.
    GoesOn,
    /// It ends, with a reward.
    Success,
    /// It ends, without.
    Failure,
}
