//! MiniGrid-DoorKey: fetch the key, unlock the door in the wall and walk to the goal behind it.
//!
//! Source: `DoorKeyEnv` of the package `minigrid` 3.2.0.
//!
//! | | |
//! |---|---|
//! | ids | `MiniGrid-DoorKey-5x5-v0`, `-6x6-`, `-8x8-`, `-16x16-` |
//! | missions | 0 use the key to open the door and then get to the goal |
//! | sight | stopped by walls and closed doors |
//! | start | a wall from top to bottom in column 2 to size − 3, with a locked yellow door in row 1 to size − 3; the agent and a yellow key on cells to the left of it; all uniform |
//! | success | the agent on the goal, in the lower right corner |
//! | max steps | 10·size² |

use gbrl_core::error::{Error, Result};
use gbrl_core::rng::Stream;

use super::cell::{Cell, Color, Door, Object};
use super::grid::{Area, Grid, Position};
use super::task::{Layout, Task};

/// The task; the module's page describes it.
#[derive(Clone, Debug)]
pub struct DoorKey {
    name: String,
    size: u8,
}

impl DoorKey {
    /// `size` cells on each side, walls included.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when `size` is below 5 or larger than a grid.
    pub fn new(size: u8) -> Result<Self> {
        if size < 5 {
            return Err(Error::parameter("size", size, "at least 5"));
        }
        Grid::new(size, size)?;
        Ok(DoorKey { name: format!("MiniGrid-DoorKey-{size}x{size}-v0"), size })
    }

    /// The step limit for a size.
    pub const fn max_steps_of(size: u8) -> u32 {
        10 * size as u32 * size as u32
    }
}

impl Task for DoorKey {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> (u8, u8) {
        (self.size, self.size)
    }

    fn max_steps(&self) -> u32 {
        DoorKey::max_steps_of(self.size)
    }

    fn missions(&self) -> Vec<String> {
        vec!["use the key to open the door and then get to the goal".to_owned()]
    }

    fn generate(&self, random: &mut Stream) -> Result<Layout> {
        let size = self.size;
        let mut between = |low: u8, high: u8| low + random.below(u64::from(high - low)) as u8;
        let (wall, door) = (between(2, size - 2), between(1, size - 2));

        let mut grid = Grid::new(size, size)?;
        grid.wall_around(grid.area())?;
        grid.wall(Area { x: wall, y: 0, width: 1, height: size })?;
        grid.set(Position::new(size - 2, size - 2), Cell::new(Object::Goal, Color::Green))?;
        grid.set(Position::new(wall, door), Cell::new(Object::Door(Door::Locked), Color::Yellow))?;

        let left = Area::corner(wall, size);
        let agent = grid.choose_pose(left, random, |_| true)?;
        let key = grid.choose_free(left, random, |position| position != agent.position)?;
        grid.set(key, Cell::new(Object::Key, Color::Yellow))?;
        Ok(Layout { grid, agent, mission: 0, target: None })
    }
}
