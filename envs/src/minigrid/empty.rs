//! MiniGrid-Empty: walk to the goal in the corner of an empty room.
//!
//! Source: `EmptyEnv` of the package `minigrid` 3.2.0.
//!
//! | | |
//! |---|---|
//! | ids | `MiniGrid-Empty-5x5-v0`, `-6x6-`, `-8x8-`, `-16x16-`, `MiniGrid-Empty-Random-5x5-v0`, `-6x6-` |
//! | missions | 0 get to the green goal square |
//! | sight | through everything |
//! | start | the agent in the upper left corner looking right; Random: on any cell but the goal, looking anywhere |
//! | success | the agent on the goal, in the lower right corner |
//! | max steps | 4·size² |

use gbrl_core::error::{Error, Result};
use gbrl_core::rng::Stream;

use super::cell::{Cell, Color, Object};
use super::grid::{Direction, Grid, Pose, Position};
use super::task::{Layout, Task};

/// The task; the module's page describes it.
#[derive(Clone, Debug)]
pub struct Empty {
    name: String,
    size: u8,
    starts_anywhere: bool,
}

impl Empty {
    /// `size` cells on each side, walls included; the agent starts in the corner.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when the room has not two cells or is larger
    /// than a grid.
    pub fn new(size: u8) -> Result<Self> {
        if size < 4 {
            return Err(Error::parameter("size", size, "at least 4"));
        }
        Grid::new(size, size)?;
        Ok(Empty { name: format!("MiniGrid-Empty-{size}x{size}-v0"), size, starts_anywhere: false })
    }

    /// The same, but the agent starts anywhere.
    ///
    /// # Errors
    /// As [`new`](Empty::new).
    pub fn random(size: u8) -> Result<Self> {
        let name = format!("MiniGrid-Empty-Random-{size}x{size}-v0");
        Ok(Empty { name, starts_anywhere: true, ..Empty::new(size)? })
    }

    /// The step limit for a size.
    pub const fn max_steps_of(size: u8) -> u32 {
        4 * size as u32 * size as u32
    }
}

impl Task for Empty {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> (u8, u8) {
        (self.size, self.size)
    }

    fn max_steps(&self) -> u32 {
        Empty::max_steps_of(self.size)
    }

    fn sees_through_walls(&self) -> bool {
        true
    }

    fn missions(&self) -> Vec<String> {
        vec!["get to the green goal square".to_owned()]
    }

    fn generate(&self, random: &mut Stream) -> Result<Layout> {
        let mut grid = Grid::new(self.size, self.size)?;
        grid.wall_around(grid.area())?;
        grid.set(Position::new(self.size - 2, self.size - 2), Cell::new(Object::Goal, Color::Green))?;
        let agent = if self.starts_anywhere {
            grid.choose_pose(grid.area(), random, |_| true)?
        } else {
            Pose { position: Position::new(1, 1), direction: Direction::Right }
        };
        Ok(Layout { grid, agent, mission: 0, target: None })
    }
}
