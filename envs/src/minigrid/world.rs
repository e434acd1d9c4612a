//! The rules of movement that all tasks share: where the agent is, what it carries, what its actions change.
//!
//! Source: the package `minigrid` 3.2.0, `MiniGridEnv.step`.

use gbrl_core::error::{Error, Result};

use super::cell::{Cell, Door, Object};
use super::grid::{Direction, Grid, Pose, Slot};
use super::task::Verdict;

/// An action; `as u32` is its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Turn left.
    Left,
    /// Turn right.
    Right,
    /// Walk one cell, where the cell ahead can be walked on.
    Forward,
    /// Take what is ahead, with empty hands.
    PickUp,
    /// Put what is carried onto the empty cell ahead.
    Drop,
    /// Open or close the door ahead, unlock it with the right key, or open a box.
    Toggle,
    /// Say that the task is done.
    Done,
}

impl Move {
    /// All seven, in the order of their indices.
    pub const ALL: [Move; 7] =
        [Move::Left, Move::Right, Move::Forward, Move::PickUp, Move::Drop, Move::Toggle, Move::Done];
}

/// A grid with the agent in it.
#[derive(Clone, Debug, PartialEq)]
pub struct World {
    grid: Grid,
    slot: Slot,
    direction: Direction,
    carrying: Option<Cell>,
}

impl World {
    /// Puts the agent into a grid, with empty hands.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when it cannot stand there.
    pub fn new(grid: Grid, agent: Pose) -> Result<Self> {
        let slot = grid.slot(agent.position)?;
        if !grid.at(slot).is_walkable() {
            let rule = format!("on a cell that can be walked on, not {}", grid.at(slot));
            return Err(Error::parameter("agent", format!("{:?}", agent.position), rule));
        }
        Ok(World { grid, slot, direction: agent.direction, carrying: None })
    }

    /// The cells.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Where the agent is and looks.
    pub fn agent(&self) -> Pose {
        Pose { position: self.slot.position(), direction: self.direction }
    }

    /// Where the agent looks.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// What the agent carries.
    pub fn carrying(&self) -> Option<Cell> {
        self.carrying
    }

    /// Puts something into the agent's hands, or takes it away.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when it cannot be carried.
    pub fn set_carrying(&mut self, carrying: Option<Cell>) -> Result<()> {
        if let Some(cell) = carrying.filter(|cell| !cell.is_portable()) {
            return Err(Error::parameter("carrying", cell, "a key, a ball or a box"));
        }
        self.carrying = carrying;
        Ok(())
    }

    pub(super) fn slot(&self) -> Slot {
        self.slot
    }

    /// Does an action. Walking onto a goal is a success and into lava a failure; the rest is the task's to judge.
    #[inline]
    pub fn act(&mut self, action: Move) -> Verdict {
        let slot = self.slot.moved(self.direction.stride());
        let ahead = self.grid.at(slot);
        match action {
            Move::Left => self.direction = Direction::from_index(self.direction as u32 + 3),
            Move::Right => self.direction = Direction::from_index(self.direction as u32 + 1),
            Move::Forward if ahead.is_walkable() => {
                self.slot = slot;
                match ahead.object() {
                    Some((Object::Goal, _)) => return Verdict::Success,
                    Some((Object::Lava, _)) => return Verdict::Failure,
                    _ => {}
                }
            }
            Move::PickUp if ahead.is_portable() && self.carrying.is_none() => {
                self.carrying = Some(ahead);
                self.grid.put(slot, Cell::EMPTY);
            }
            Move::Drop if ahead == Cell::EMPTY => {
                if let Some(carried) = self.carrying.take() {
                    self.grid.put(slot, carried);
                }
            }
            Move::Toggle => self.grid.put(slot, self.toggled(ahead)),
            Move::Forward | Move::PickUp | Move::Drop | Move::Done => {}
        }
        Verdict::GoesOn
    }

    /// What toggling makes of a cell.
    fn toggled(&self, cell: Cell) -> Cell {
        match cell.object() {
            Some((Object::Door(door), color)) => {
                let has_key = self.carrying == Some(Cell::new(Object::Key, color));
                Cell::new(
                    Object::Door(match door {
                        Door::Open => Door::Closed,
                        Door::Locked if !has_key => Door::Locked,
                        Door::Closed | Door::Locked => Door::Open,
                    }),
                    color,
                )
            }
            Some((Object::Box, _)) => cell.content(),
            _ => cell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::minigrid::cell::Color;
    use crate::minigrid::grid::Position;

    fn world(text: &str) -> World {
        let agent = Pose { position: Position::new(0, 1), direction: Direction::Right };
        World::new(Grid::from_text(text).unwrap(), agent).unwrap()
    }

    fn acted(text: &str, moves: &[Move]) -> World {
        let mut world = world(text);
        for &action in moves {
            world.act(action);
        }
        world
    }

    #[test]
    fn a_key_opens_only_doors_of_its_colour() {
        for (door, opened) in [("Lr", "Or"), ("Lb", "Lb"), ("Dr", "Or"), ("Or", "Dr")] {
            let text = format!("....../..Kr{door}/......");
            let world = acted(&text, &[Move::PickUp, Move::Forward, Move::Toggle]);
            assert_eq!(world.grid().get(Position::new(2, 1)).to_string(), opened);
            assert_eq!(world.carrying(), Cell::from_text("Kr"), "the key stays");
        }
    }

    #[test]
    fn hands_hold_one_thing_and_drop_it_on_empty_cells() {
        let world = acted("....../..KrBb/......", &[Move::PickUp, Move::Forward, Move::PickUp, Move::Drop]);
        assert_eq!((world.carrying(), world.grid().get(Position::new(2, 1))), {
            (Cell::from_text("Kr"), Cell::from_text("Bb").unwrap())
        });
        let world = acted("....../..Kr../......", &[Move::PickUp, Move::Right, Move::Drop]);
        assert_eq!((world.carrying(), world.grid().to_string()), (None, "....../....../Kr....".to_owned()));
        let world = acted("....../..Fr../......", &[Move::Forward, Move::Left, Move::Left]);
        assert_eq!(world.agent(), Pose { position: Position::new(1, 1), direction: Direction::Left });
    }

    #[test]
    fn a_box_gives_way_to_what_it_holds() {
        let mut grid = Grid::from_text("....../....../......").unwrap();
        grid.set(Position::new(1, 1), Cell::box_with(Color::Red, Object::Ball, Color::Blue)).unwrap();
        let agent = Pose { position: Position::new(0, 1), direction: Direction::Right };
        let mut world = World::new(grid, agent).unwrap();
        world.act(Move::Toggle);
        assert_eq!(world.grid().get(Position::new(1, 1)), Cell::from_text("Bb").unwrap());
    }

    #[test]
    fn the_edge_of_the_world_is_a_wall() {
        let mut world = acted("....../....../......", &[Move::Left, Move::Left]);
        for action in Move::ALL {
            world.act(action);
            assert!(world.grid().contains(world.agent().position));
        }
        let grid = Grid::from_text("....../..##../......").unwrap();
        for (x, y) in [(1, 1), (3, 0), (0, 3)] {
            let agent = Pose { position: Position::new(x, y), direction: Direction::Up };
            assert!(World::new(grid.clone(), agent).is_err());
        }
        assert!(world.set_carrying(Some(Cell::WALL)).is_err());
    }
}
