//! MiniGrid-Fetch: pick up the object that the mission names, out of several.
//!
//! Source: `FetchEnv` of the package `minigrid` 3.2.0.
//!
//! | | |
//! |---|---|
//! | ids | `MiniGrid-Fetch-5x5-N2-v0`, `-6x6-N2-`, `-8x8-N3-` |
//! | missions | `REQUEST COLOUR OBJECT`: (request · 6 + colour) · 2 + object, 60 in all |
//! | requests | 0 get a, 1 go get a, 2 fetch a, 3 go fetch a, 4 you must fetch a |
//! | colours | 0 red, 1 green, 2 blue, 3 purple, 4 yellow, 5 grey |
//! | objects | 0 key, 1 ball |
//! | sight | through everything |
//! | start | one room; N objects, each a key or a ball of any colour on any cell; the agent anywhere else; any of the objects is asked for in any of the five ways; all uniform |
//! | success | the agent carries an object of the kind and colour that is asked for |
//! | failure | it carries another |
//! | max steps | 5·size² |

use gbrl_core::error::{Error, Result};
use gbrl_core::rng::Stream;

use super::cell::{COLORS, Cell, Object};
use super::grid::Grid;
use super::task::{Layout, Quest, Task, Verdict};
use super::world::{Move, World};

const REQUESTS: [&str; 5] = ["get a", "go get a", "fetch a", "go fetch a", "you must fetch a"];
const OBJECTS: [(Object, &str); 2] = [(Object::Key, "key"), (Object::Ball, "ball")];
/// Things that can be asked for.
const THINGS: u32 = (COLORS.len() * OBJECTS.len()) as u32;

/// The task; the module's page describes it.
#[derive(Clone, Debug)]
pub struct Fetch {
    name: String,
    size: u8,
    n_objects: u8,
}

impl Fetch {
    /// A room of `size` cells on each side, walls included, with `n_objects` objects.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when the room is larger than a grid, or there
    /// is no object or no cell left for the agent.
    pub fn new(size: u8, n_objects: u8) -> Result<Self> {
        Grid::new(size, size)?;
        let cells = u32::from(size - 2).pow(2);
        if n_objects == 0 || u32::from(n_objects) >= cells {
            return Err(Error::parameter("n_objects", n_objects, format!("at least 1 and below {cells}, the cells")));
        }
        Ok(Fetch { name: format!("MiniGrid-Fetch-{size}x{size}-N{n_objects}-v0"), size, n_objects })
    }

    /// The step limit for a size.
    pub const fn max_steps_of(size: u8) -> u32 {
        5 * size as u32 * size as u32
    }
}

/// The thing of a number below [`THINGS`].
fn thing(number: u32) -> Cell {
    let (color, object) = (number as usize / OBJECTS.len(), number as usize % OBJECTS.len());
    Cell::new(OBJECTS[object].0, COLORS[color % COLORS.len()])
}

impl Task for Fetch {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> (u8, u8) {
        (self.size, self.size)
    }

    fn max_steps(&self) -> u32 {
        Fetch::max_steps_of(self.size)
    }

    fn sees_through_walls(&self) -> bool {
        true
    }

    fn missions(&self) -> Vec<String> {
        let mut missions = Vec::with_capacity(REQUESTS.len() * THINGS as usize);
        for request in REQUESTS {
            for color in COLORS {
                missions.extend(OBJECTS.iter().map(|(_, object)| format!("{request} {} {object}", color.name())));
            }
        }
        missions
    }

    fn generate(&self, random: &mut Stream) -> Result<Layout> {
        let mut grid = Grid::new(self.size, self.size)?;
        grid.wall_around(grid.area())?;
        let asked = random.below(self.n_objects.into());
        let mut mission = random.below(REQUESTS.len() as u64) as u32 * THINGS;
        for i in 0..self.n_objects {
            let number = random.below(THINGS.into()) as u32;
            let position = grid.choose_free(grid.area(), random, |_| true)?;
            grid.set(position, thing(number))?;
            if u64::from(i) == asked {
                mission += number;
            }
        }
        let agent = grid.choose_pose(grid.area(), random, |_| true)?;
        Ok(Layout { grid, agent, mission, target: None })
    }

    fn judge(&self, world: &World, quest: Quest, _action: Move, moved: Verdict) -> Verdict {
        match world.carrying() {
            Some(carried) if carried == thing(quest.mission % THINGS) => Verdict::Success,
            Some(_) => Verdict::Failure,
            None => moved,
        }
    }
}
