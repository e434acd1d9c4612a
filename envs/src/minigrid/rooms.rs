//! Rooms of one size in rows and columns, neighbours sharing a wall that can have a door.
//!
//! Source: `RoomGrid` of the package `minigrid` 3.2.0.

use gbrl_core::error::{Error, Result};
use gbrl_core::rng::Stream;

use super::cell::Cell;
use super::grid::{Area, Grid, Pose, Position};

/// The side of a room that a door is in; the opposite sides are the neighbour's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Towards the room on the right.
    Right,
    /// Towards the room below.
    Below,
}

/// A grid of rooms.
///
/// ```
/// use gbrl_core::rng::Stream;
/// use gbrl_envs::minigrid::rooms::{Rooms, Side};
/// let rooms = Rooms::new(2, 1, 4, &mut Stream::new(0, "rooms", 0))?;
/// assert_eq!(rooms.grid.to_string(), "##############/##....##....##/##....##....##/##############");
/// assert_eq!(rooms.doorway(0, 0, Side::Right)?.x, 3);
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The cells, rooms walled in.
    pub grid: Grid,
    columns: u8,
    rows: u8,
    size: u8,
    /// Rows of the doorways to the right and columns of those below, [rows][columns]; those of the last column and
    /// row lead nowhere.
    doorways: Vec<[u8; 2]>,
}

impl Rooms {
    /// Rooms of `size` cells on each side, walls included, and a place for a door in every shared wall, uniform over
    /// the wall without its ends.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when a room has no cell inside, or there are
    /// no rooms or more than a grid holds.
    pub fn new(columns: u8, rows: u8, size: u8, random: &mut Stream) -> Result<Self> {
        if size < 3 {
            return Err(Error::parameter("size", size, "at least 3"));
        }
        let side = |n: u8| (size - 1).saturating_mul(n).saturating_add(1);
        let grid = Grid::new(side(columns), side(rows))?;
        let mut place = || 1 + random.below(u64::from(size - 2)) as u8;
        let doorways = (0..u16::from(columns) * u16::from(rows)).map(|_| [place(), place()]).collect();
        let mut rooms = Rooms { grid, columns, rows, size, doorways };
        for room in Area::corner(columns, rows).positions() {
            let area = rooms.area(room.x, room.y);
            rooms.grid.wall_around(area)?;
        }
        Ok(rooms)
    }

    /// The cells of a room, walls included.
    pub fn area(&self, column: u8, row: u8) -> Area {
        let corner = |i: u8| i.saturating_mul(self.size - 1);
        Area { x: corner(column), y: corner(row), width: self.size, height: self.size }
    }

    /// Where a door to a neighbour goes.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when there is no such room or no neighbour.
    pub fn doorway(&self, column: u8, row: u8, side: Side) -> Result<Position> {
        let (next_column, next_row) = match side {
            Side::Right => (column.saturating_add(1), row),
            Side::Below => (column, row.saturating_add(1)),
        };
        if next_column >= self.columns || next_row >= self.rows {
            let rule = format!("with a neighbour in {} columns and {} rows", self.columns, self.rows);
            return Err(Error::parameter("room", format!("({column}, {row}) {side:?}"), rule));
        }
        let Area { x, y, .. } = self.area(column, row);
        let [right, below] = self.doorways[usize::from(row) * usize::from(self.columns) + usize::from(column)];
        Ok(match side {
            Side::Right => Position::new(x + self.size - 1, y + right),
            Side::Below => Position::new(x + below, y + self.size - 1),
        })
    }

    /// A place for the agent in a room, looking at an empty cell or a wall, all poses equally likely.
    ///
    /// # Errors
    /// [`ErrorKind::Environment`](gbrl_core::error::ErrorKind::Environment) when there is none.
    pub fn choose_agent(&self, column: u8, row: u8, random: &mut Stream) -> Result<Pose> {
        self.grid.choose_pose(self.area(column, row), random, |pose| {
            let ahead = self.grid.get(pose.position.ahead(pose.direction));
            ahead == Cell::EMPTY || ahead == Cell::WALL
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doorways_are_in_the_walls_that_rooms_share() {
        for seed in 0..50 {
            let rooms = Rooms::new(3, 2, 6, &mut Stream::new(seed, "test", 0)).unwrap();
            assert_eq!((rooms.grid.width(), rooms.grid.height()), (16, 11));
            for room in Area::corner(3, 2).positions() {
                for (side, exists) in [(Side::Right, room.x < 2), (Side::Below, room.y < 1)] {
                    let doorway = rooms.doorway(room.x, room.y, side);
                    assert_eq!(doorway.is_ok(), exists);
                    let Ok(doorway) = doorway else { continue };
                    assert_eq!(rooms.grid.get(doorway), Cell::WALL);
                    let next = if side == Side::Right { (room.x + 1, room.y) } else { (room.x, room.y + 1) };
                    for (x, y) in [(room.x, room.y), next] {
                        assert!(rooms.area(x, y).positions().any(|p| p == doorway));
                    }
                }
            }
        }
    }

    #[test]
    fn impossible_rooms_are_refused() {
        let mut random = Stream::new(0, "test", 0);
        for (columns, rows, size) in [(0, 1, 5), (1, 0, 5), (1, 1, 2), (9, 1, 5), (1, 255, 5), (255, 1, 255)] {
            assert!(Rooms::new(columns, rows, size, &mut random).is_err(), "{columns} {rows} {size}");
        }
    }
}
