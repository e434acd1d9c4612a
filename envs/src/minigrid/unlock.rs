//! MiniGrid-Unlock: fetch the key and unlock the door between two rooms.
//!
//! Source: `UnlockEnv` of the package `minigrid` 3.2.0.
//!
//! | | |
//! |---|---|
//! | ids | `MiniGrid-Unlock-v0` |
//! | missions | 0 open the door |
//! | sight | stopped by walls and closed doors |
//! | start | two rooms of 4x4 cells side by side; a locked door of any colour anywhere in the wall between; its key on any cell of the left room; the agent there too, in any pose that looks neither at the key nor at the door |
//! | success | the agent toggles and the door is open |
//! | max steps | 288 |

use gbrl_core::error::Result;
use gbrl_core::rng::Stream;

use super::cell::{COLORS, Cell, Door, Object};
use super::rooms::{Rooms, Side};
use super::task::{Layout, Quest, Task, Verdict};
use super::world::{Move, World};

const ROOM: u8 = 6;

/// The task; the module's page describes it.
#[derive(Clone, Debug, Default)]
pub struct Unlock;

impl Unlock {
    /// The step limit.
    pub const MAX_STEPS: u32 = 8 * ROOM as u32 * ROOM as u32;
}

impl Task for Unlock {
    fn name(&self) -> &str {
        "MiniGrid-Unlock-v0"
    }

    fn size(&self) -> (u8, u8) {
        (2 * ROOM - 1, ROOM)
    }

    fn max_steps(&self) -> u32 {
        Unlock::MAX_STEPS
    }

    fn missions(&self) -> Vec<String> {
        vec!["open the door".to_owned()]
    }

    fn generate(&self, random: &mut Stream) -> Result<Layout> {
        let mut rooms = Rooms::new(2, 1, ROOM, random)?;
        let door = rooms.doorway(0, 0, Side::Right)?;
        let color = COLORS[random.below(COLORS.len() as u64) as usize];
        rooms.grid.set(door, Cell::new(Object::Door(Door::Locked), color))?;
        let key = rooms.grid.choose_free(rooms.area(0, 0), random, |_| true)?;
        rooms.grid.set(key, Cell::new(Object::Key, color))?;
        let agent = rooms.choose_agent(0, 0, random)?;
        Ok(Layout { grid: rooms.grid, agent, mission: 0, target: Some(door) })
    }

    fn judge(&self, world: &World, quest: Quest, action: Move, moved: Verdict) -> Verdict {
        let door = quest.target.and_then(|door| world.grid().get(door).object());
        match (action, door) {
            (Move::Toggle, Some((Object::Door(Door::Open), _))) => Verdict::Success,
            _ => moved,
        }
    }
}
