//! A rectangle of cells with the agent's kind of neighbourhood: outside it everything is wall.

use std::fmt;

use gbrl_core::error::{Error, Result};
use gbrl_core::rng::Stream;

use super::cell::Cell;

/// The shortest side of a grid.
pub const MIN_SIDE: u8 = 3;
/// The longest side of a grid: that of the package's largest task, MiniGrid-MultiRoom-N6.
pub const MAX_SIDE: u8 = 25;

/// Cells from one row to the next in memory.
const STRIDE: usize = 32;
/// Cells of wall around the grid, so that a view never leaves the array: it reaches six cells. Right of a row they are
/// the next row's left ones, and some more.
const MARGIN: usize = 6;
/// A power of two, so that an index is brought into range by a mask and not by a check; at least
/// (MAX_SIDE + 2 · MARGIN + 1) · STRIDE.
const LEN: usize = 2048;

/// Draws before the cells that fit are counted.
const BLIND_DRAWS: u64 = 30;

/// A cell's coordinates: x to the right, y downwards, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The column.
    pub x: u8,
    /// The row.
    pub y: u8,
}

impl Position {
    /// The position in column `x` and row `y`.
    pub const fn new(x: u8, y: u8) -> Self {
        Position { x, y }
    }

    /// The next position in a direction; beyond the left and upper edge of the plane it wraps, which is outside every
    /// grid.
    pub const fn ahead(self, direction: Direction) -> Self {
        let (dx, dy) = direction.vector();
        Position { x: self.x.wrapping_add_signed(dx), y: self.y.wrapping_add_signed(dy) }
    }

    /// Whether the two are one step apart.
    pub const fn is_beside(self, other: Position) -> bool {
        self.x.abs_diff(other.x) as u16 + self.y.abs_diff(other.y) as u16 == 1
    }
}

/// Where the agent looks; `as u8` is MiniGrid's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Towards larger x, index 0.
    Right,
    /// Towards larger y, index 1.
    Down,
    /// Towards smaller x, index 2.
    Left,
    /// Towards smaller y, index 3.
    Up,
}

impl Direction {
    /// All four, in the order of their indices, each to the right of the one before it.
    pub const ALL: [Direction; 4] = [Direction::Right, Direction::Down, Direction::Left, Direction::Up];

    /// The direction of an index modulo 4.
    pub const fn from_index(index: u32) -> Self {
        Direction::ALL[(index % 4) as usize]
    }

    /// What one step changes x and y by.
    pub const fn vector(self) -> (i8, i8) {
        match self {
            Direction::Right => (1, 0),
            Direction::Down => (0, 1),
            Direction::Left => (-1, 0),
            Direction::Up => (0, -1),
        }
    }

    /// What one step changes a [`Slot`] by.
    pub(super) const fn stride(self) -> i16 {
        let (dx, dy) = self.vector();
        dx as i16 + dy as i16 * STRIDE as i16
    }
}

/// A position and a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pose {
    /// Where.
    pub position: Position,
    /// Looking where.
    pub direction: Direction,
}

/// A rectangle of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// Its left column.
    pub x: u8,
    /// Its upper row.
    pub y: u8,
    /// Columns.
    pub width: u8,
    /// Rows.
    pub height: u8,
}

impl Area {
    /// The area of `width` columns and `height` rows in the upper left corner of the grid.
    pub const fn corner(width: u8, height: u8) -> Self {
        Area { x: 0, y: 0, width, height }
    }

    /// Row by row.
    pub fn positions(self) -> impl Iterator<Item = Position> + Clone {
        let columns = self.x..self.x.saturating_add(self.width);
        let rows = self.y..self.y.saturating_add(self.height);
        rows.flat_map(move |y| columns.clone().map(move |x| Position { x, y }))
    }
}

/// A cell's place in memory; arithmetic with [`Direction::stride`] walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot(u16);

impl Slot {
    #[inline]
    pub(super) const fn moved(self, by: i16) -> Slot {
        Slot(self.0.wrapping_add_signed(by) % LEN as u16)
    }

    const fn of(position: Position) -> Slot {
        Slot((position.y as u16 + MARGIN as u16) * STRIDE as u16 + position.x as u16 + MARGIN as u16)
    }

    pub(super) const fn position(self) -> Position {
        let (row, column) = (self.0 as usize / STRIDE, self.0 as usize % STRIDE);
        Position { x: (column as u8).wrapping_sub(MARGIN as u8), y: (row as u8).wrapping_sub(MARGIN as u8) }
    }
}

/// A grid of cells.
///
/// ```
/// use gbrl_envs::minigrid::grid::{Area, Grid, Position};
/// let mut grid = Grid::new(4, 3)?;
/// grid.wall_around(Area::corner(4, 3))?;
/// assert_eq!(grid.to_string(), "########/##....##/########");
/// assert_eq!(grid, Grid::from_text("########/##....##/########")?);
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Grid {
    width: u8,
    height: u8,
    /// [64][STRIDE]: cell (x, y) is in row y + MARGIN and column x + MARGIN; everything outside the grid is wall and
    /// is never written.
    cells: Box<[Cell; LEN]>,
}

impl Grid {
    /// An empty grid.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when a side is not from [`MIN_SIDE`] to
    /// [`MAX_SIDE`].
    pub fn new(width: u8, height: u8) -> Result<Self> {
        for (name, side) in [("width", width), ("height", height)] {
            if !(MIN_SIDE..=MAX_SIDE).contains(&side) {
                return Err(Error::parameter(name, side, format!("from {MIN_SIDE} to {MAX_SIDE}")));
            }
        }
        let mut grid = Grid { width, height, cells: Box::new([Cell::WALL; LEN]) };
        for row in grid.cells.chunks_exact_mut(STRIDE).skip(MARGIN).take(height.into()) {
            row[MARGIN..][..usize::from(width)].fill(Cell::EMPTY);
        }
        Ok(grid)
    }

    /// A grid written as rows of cells of two characters (see [`cell`](super::cell)), with `/` between rows.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when a side is not possible, rows differ in
    /// length or a cell is none.
    pub fn from_text(text: &str) -> Result<Self> {
        let side = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        let rows: Vec<&str> = text.split('/').collect();
        let width = rows[0].len() / 2;
        let mut grid = Grid::new(side(width), side(rows.len()))?;
        for (y, row) in rows.iter().enumerate() {
            if row.len() != 2 * width {
                return Err(Error::parameter("map", format!("'{row}'"), "rows of equal length"));
            }
            for x in 0..width {
                match row.get(2 * x..2 * x + 2).and_then(Cell::from_text) {
                    Some(cell) => grid.set(Position::new(side(x), side(y)), cell)?,
                    None => return Err(Error::parameter("map", format!("'{row}'"), "cells such as .., ## or Kr")),
                }
            }
        }
        Ok(grid)
    }

    /// Columns.
    pub fn width(&self) -> u8 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u8 {
        self.height
    }

    /// All of it.
    pub fn area(&self) -> Area {
        Area::corner(self.width, self.height)
    }

    /// The cell at a position; wall outside the grid.
    pub fn get(&self, position: Position) -> Cell {
        if self.contains(position) { self.at(Slot::of(position)) } else { Cell::WALL }
    }

    /// Writes a cell.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when the position is outside the grid.
    pub fn set(&mut self, position: Position, cell: Cell) -> Result<()> {
        let slot = self.slot(position)?;
        self.put(slot, cell);
        Ok(())
    }

    /// Writes walls around the rim of an area.
    ///
    /// # Errors
    /// As [`set`](Grid::set).
    pub fn wall_around(&mut self, area: Area) -> Result<()> {
        let Area { x, y, width, height } = area;
        for row in [y, y.saturating_add(height.saturating_sub(1))] {
            self.wall(Area { y: row, height: 1, ..area })?;
        }
        for column in [x, x.saturating_add(width.saturating_sub(1))] {
            self.wall(Area { x: column, width: 1, ..area })?;
        }
        Ok(())
    }

    /// Fills an area with walls.
    ///
    /// # Errors
    /// As [`set`](Grid::set).
    pub fn wall(&mut self, area: Area) -> Result<()> {
        area.positions().try_for_each(|position| self.set(position, Cell::WALL))
    }

    /// One of the empty cells of an area that `accept` takes, all equally likely.
    ///
    /// # Errors
    /// [`ErrorKind::Environment`](gbrl_core::error::ErrorKind::Environment) when there is none.
    pub fn choose_free(&self, area: Area, random: &mut Stream, accept: impl Fn(Position) -> bool) -> Result<Position> {
        let direction = Direction::Right;
        let pose = self.choose(area, &[direction], random, |pose| accept(pose.position))?;
        Ok(pose.position)
    }

    /// One of the poses on empty cells of an area that `accept` takes, all equally likely.
    ///
    /// # Errors
    /// [`ErrorKind::Environment`](gbrl_core::error::ErrorKind::Environment) when there is none.
    pub fn choose_pose(&self, area: Area, random: &mut Stream, accept: impl Fn(Pose) -> bool) -> Result<Pose> {
        self.choose(area, &Direction::ALL, random, accept)
    }

    /// Draws blindly, which is quick in a room, and counts what there is when that meets nothing.
    fn choose(
        &self,
        area: Area,
        directions: &[Direction],
        random: &mut Stream,
        accept: impl Fn(Pose) -> bool,
    ) -> Result<Pose> {
        let fits = |pose: &Pose| self.get(pose.position) == Cell::EMPTY && accept(*pose);
        let all = u64::from(area.width) * u64::from(area.height) * directions.len() as u64;
        let pose = |i: u64| {
            let (cell, direction) = (i / directions.len() as u64, directions[i as usize % directions.len()]);
            let (dx, dy) = (cell % u64::from(area.width), cell / u64::from(area.width));
            let position = Position::new(area.x.saturating_add(dx as u8), area.y.saturating_add(dy as u8));
            Pose { position, direction }
        };
        for _ in 0..BLIND_DRAWS.min(all) {
            let drawn = pose(random.below(all));
            if fits(&drawn) {
                return Ok(drawn);
            }
        }
        let fitting = (0..all).map(pose).filter(fits);
        let chosen = random.below(fitting.clone().count() as u64);
        fitting.into_iter().nth(chosen as usize).ok_or_else(|| {
            Error::environment("MiniGrid", "no room in a layout", format!("a free cell in {area:?}"), "none")
        })
    }

    pub(super) fn contains(&self, position: Position) -> bool {
        position.x < self.width && position.y < self.height
    }

    /// The place of a position inside the grid.
    pub(super) fn slot(&self, position: Position) -> Result<Slot> {
        if self.contains(position) {
            return Ok(Slot::of(position));
        }
        let rule = format!("inside {} columns and {} rows", self.width, self.height);
        Err(Error::parameter("position", format!("({}, {})", position.x, position.y), rule))
    }

    #[inline]
    pub(super) fn at(&self, slot: Slot) -> Cell {
        self.cells[usize::from(slot.0) % LEN]
    }

    #[inline]
    pub(super) fn put(&mut self, slot: Slot, cell: Cell) {
        self.cells[usize::from(slot.0) % LEN] = cell;
    }
}

impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for p in self.area().positions() {
            let end = if p.x + 1 == self.width && p.y + 1 < self.height { "/" } else { "" };
            write!(f, "{}{end}", self.get(p))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Grid({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_positions_and_walk_as_they_do() {
        let grid = Grid::new(MAX_SIDE, MAX_SIDE).unwrap();
        for position in grid.area().positions() {
            let slot = grid.slot(position).unwrap();
            assert_eq!(slot.position(), position);
            for direction in Direction::ALL {
                assert_eq!(slot.moved(direction.stride()).position(), position.ahead(direction));
            }
        }
    }

    #[test]
    fn every_reach_of_a_view_beyond_the_grid_is_wall() {
        let grid = Grid::new(MAX_SIDE, MAX_SIDE).unwrap();
        for position in grid.area().positions() {
            let slot = grid.slot(position).unwrap();
            for (dx, dy) in (-6i16..=6).flat_map(|dx| (-6i16..=6).map(move |dy| (dx, dy))) {
                let inside = |a: u8, d: i16| (0..MAX_SIDE.into()).contains(&(i16::from(a) + d));
                let expected = if inside(position.x, dx) && inside(position.y, dy) { Cell::EMPTY } else { Cell::WALL };
                assert_eq!(grid.at(slot.moved(dx + dy * STRIDE as i16)), expected, "{position:?} + ({dx}, {dy})");
            }
        }
    }

    #[test]
    fn rare_cells_are_found_and_equally_likely() {
        // Far more walls than blind draws: most of the time the two cells have to be counted.
        let mut grid = Grid::new(MAX_SIDE, MAX_SIDE).unwrap();
        grid.wall(grid.area()).unwrap();
        let free = [Position::new(3, 4), Position::new(20, 11)];
        for position in free {
            grid.set(position, Cell::EMPTY).unwrap();
        }
        let (mut random, mut counts) = (Stream::new(3, "test", 0), [0u32; 8]);
        for _ in 0..4_000 {
            let pose = grid.choose_pose(grid.area(), &mut random, |_| true).unwrap();
            let cell = free.iter().position(|&position| position == pose.position).unwrap();
            counts[4 * cell + pose.direction as usize] += 1;
        }
        // The standard deviation of each count is about 21.
        assert!(counts.iter().all(|&count| count.abs_diff(500) < 90), "{counts:?}");
        let right = |position: Position| position.x > 10;
        assert_eq!(grid.choose_free(grid.area(), &mut random, right).unwrap(), free[1]);
    }

    #[test]
    fn bad_grids_and_positions_are_refused() {
        for (width, height) in [(2, 5), (5, 2), (26, 5), (5, 26), (0, 0)] {
            assert!(Grid::new(width, height).is_err());
        }
        for text in
            ["", "......", "....../....../....", "....../..?../......", "...../...../.....", "é...../....../......"]
        {
            assert!(Grid::from_text(text).is_err(), "{text}");
        }
        let mut grid = Grid::new(3, 4).unwrap();
        for outside in [Position::new(3, 0), Position::new(0, 4), Position::new(255, 255)] {
            assert!(grid.set(outside, Cell::EMPTY).is_err());
            assert_eq!(grid.get(outside), Cell::WALL);
        }
        grid.wall_around(grid.area()).unwrap();
        assert!(grid.wall_around(Area { x: 1, y: 1, width: 3, height: 2 }).is_err());
        let mut random = Stream::new(0, "test", 0);
        assert!(grid.choose_free(Area::corner(1, 1), &mut random, |_| true).is_err());
        assert!(grid.choose_free(grid.area(), &mut random, |_| false).is_err());
        assert!(grid.choose_pose(grid.area(), &mut random, |_| false).is_err());
    }
}
