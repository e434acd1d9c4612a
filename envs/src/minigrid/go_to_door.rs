//! MiniGrid-GoToDoor: walk to the door of the colour named in the mission and say that it is done.
//!
//! Source: `GoToDoorEnv` of the package `minigrid` 3.2.0.
//!
//! | | |
//! |---|---|
//! | ids | `MiniGrid-GoToDoor-5x5-v0`, `-6x6-`, `-8x8-` |
//! | missions | `go to the COLOUR door`: 0 red, 1 green, 2 blue, 3 purple, 4 yellow, 5 grey |
//! | sight | through everything |
//! | start | a room of 5 to size cells in width and in height, at the upper left of the grid; a closed door in each of its walls, in column 2 to width − 3 or row 2 to height − 3; the doors of four colours; the agent anywhere in the room; the mission asks for one of the doors; all uniform |
//! | success | the action done, with the agent beside the door, whichever way it looks |
//! | failure | the action done anywhere else, or toggle |
//! | max steps | 4·size² |

use gbrl_core::error::{Error, Result};
use gbrl_core::rng::Stream;

use super::cell::{COLORS, Cell, Door, Object};
use super::grid::{Area, Grid, Position};
use super::task::{Layout, Quest, Task, Verdict};
use super::world::{Move, World};

/// The shortest side of a room.
const MIN_ROOM: u8 = 5;

/// The task; the module's page describes it.
#[derive(Clone, Debug)]
pub struct GoToDoor {
    name: String,
    size: u8,
}

impl GoToDoor {
    /// Rooms of up to `size` cells on each side, walls included.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when `size` is below 5 or larger than a grid.
    pub fn new(size: u8) -> Result<Self> {
        if size < MIN_ROOM {
            return Err(Error::parameter("size", size, format!("at least {MIN_ROOM}")));
        }
        Grid::new(size, size)?;
        Ok(GoToDoor { name: format!("MiniGrid-GoToDoor-{size}x{size}-v0"), size })
    }

    /// The step limit for a size.
    pub const fn max_steps_of(size: u8) -> u32 {
        4 * size as u32 * size as u32
    }
}

impl Task for GoToDoor {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> (u8, u8) {
        (self.size, self.size)
    }

    fn max_steps(&self) -> u32 {
        GoToDoor::max_steps_of(self.size)
    }

    fn sees_through_walls(&self) -> bool {
        true
    }

    fn missions(&self) -> Vec<String> {
        COLORS.iter().map(|color| format!("go to the {} door", color.name())).collect()
    }

    fn generate(&self, random: &mut Stream) -> Result<Layout> {
        let mut between = |low: u8, high: u8| low + random.below(u64::from(high - low)) as u8;
        let (width, height) = (between(MIN_ROOM, self.size + 1), between(MIN_ROOM, self.size + 1));
        let doors = [
            Position::new(between(2, width - 2), 0),
            Position::new(between(2, width - 2), height - 1),
            Position::new(0, between(2, height - 2)),
            Position::new(width - 1, between(2, height - 2)),
        ];
        let mut colors = COLORS;
        random.shuffle(&mut colors);

        let mut grid = Grid::new(self.size, self.size)?;
        let room = Area::corner(width, height);
        grid.wall_around(room)?;
        for (door, color) in doors.into_iter().zip(colors) {
            grid.set(door, Cell::new(Object::Door(Door::Closed), color))?;
        }
        let agent = grid.choose_pose(room, random, |_| true)?;
        let asked = random.below(doors.len() as u64) as usize;
        Ok(Layout { grid, agent, mission: colors[asked] as u32, target: Some(doors[asked]) })
    }

    fn judge(&self, world: &World, quest: Quest, action: Move, moved: Verdict) -> Verdict {
        match action {
            Move::Done if quest.target.is_some_and(|door| door.is_beside(world.agent().position)) => Verdict::Success,
            Move::Done | Move::Toggle => Verdict::Failure,
            _ => moved,
        }
    }
}
