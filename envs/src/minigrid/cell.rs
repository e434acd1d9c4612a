//! What a cell can hold, and the number that an observation shows it by.
//!
//! Source: the package `minigrid` 3.2.0, `OBJECT_TO_IDX`, `COLOR_TO_IDX` and `STATE_TO_IDX`, whose triple (object,
//! colour, state) every number stands for.
//!
//! | code | cell | MiniGrid's triple |
//! |---|---|---|
//! | 0 | unseen | 0, 0, 0 |
//! | 1 | empty | 1, 0, 0 |
//! | 2 + colour | wall (all walls here are grey: 7) | 2, colour, 0 |
//! | 8 + colour | floor | 3, colour, 0 |
//! | 14 + colour | open door | 4, colour, 0 |
//! | 20 + colour | closed door | 4, colour, 1 |
//! | 26 + colour | locked door | 4, colour, 2 |
//! | 32 + colour | key | 5, colour, 0 |
//! | 38 + colour | ball | 6, colour, 0 |
//! | 44 + colour | box | 7, colour, 0 |
//! | 50 + colour | goal | 8, colour, 0 |
//! | 56 + colour | lava | 9, colour, 0 |
//!
//! Colours: 0 red, 1 green, 2 blue, 3 purple, 4 yellow, 5 grey.
//!
//! In text a cell is two characters: `..` empty, `##` a grey wall, otherwise a kind and a colour. Kinds are `#` wall,
//! `F` floor, `O`, `D`, `L` open, closed and locked door, `K` key, `B` ball, `X` box, `G` goal, `V` lava; colours are
//! `r`, `g`, `b`, `p`, `y` and `a` for grey.

use std::fmt;

/// Codes of cells: 0 unseen, 1 empty, ten kinds in six colours.
pub const N_CODES: u32 = FIRST as u32 + (KINDS.len() * COLORS.len()) as u32;
/// The code of a cell that the agent cannot see.
pub const UNSEEN: u8 = 0;

/// The code of the first kind in the first colour.
const FIRST: u8 = 2;
const KINDS: [Object; 10] = [
    Object::Wall,
    Object::Floor,
    Object::Door(Door::Open),
    Object::Door(Door::Closed),
    Object::Door(Door::Locked),
    Object::Key,
    Object::Ball,
    Object::Box,
    Object::Goal,
    Object::Lava,
];
const KIND_LETTERS: [u8; 10] = *b"#FODLKBXGV";
const COLOR_LETTERS: [u8; 6] = *b"rgbpya";

/// All colours, in the order of MiniGrid's indices.
pub const COLORS: [Color; 6] = [Color::Red, Color::Green, Color::Blue, Color::Purple, Color::Yellow, Color::Grey];

/// A colour; `as u8` is MiniGrid's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Color {
    /// Index 0.
    Red,
    /// Index 1.
    Green,
    /// Index 2.
    Blue,
    /// Index 3.
    Purple,
    /// Index 4.
    Yellow,
    /// Index 5.
    Grey,
}

impl Color {
    /// The word that missions use.
    pub fn name(self) -> &'static str {
        ["red", "green", "blue", "purple", "yellow", "grey"][self as usize]
    }
}

/// How a door stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Can be walked and seen through.
    Open,
    /// Opens when toggled.
    Closed,
    /// Opens when toggled by somebody who carries a key of its colour.
    Locked,
}

/// What stands in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// Stops walking and sight.
    Wall,
    /// A coloured tile to walk over; nothing can be dropped on it.
    Floor,
    /// A door; it stops walking and sight unless it is open.
    Door(Door),
    /// Can be carried; unlocks doors of its colour.
    Key,
    /// Can be carried.
    Ball,
    /// Can be carried; toggled, it gives way to what is in it.
    Box,
    /// Walking onto it is the usual success.
    Goal,
    /// Walking into it ends the episode.
    Lava,
}

impl Object {
    /// Its place among [`KINDS`].
    const fn kind(self) -> u8 {
        match self {
            Object::Wall => 0,
            Object::Floor => 1,
            Object::Door(door) => 2 + door as u8,
            Object::Key => 5,
            Object::Ball => 6,
            Object::Box => 7,
            Object::Goal => 8,
            Object::Lava => 9,
        }
    }

    /// The codes of this object in every colour, one bit each.
    const fn codes(self) -> u64 {
        0b11_1111 << (FIRST + 6 * self.kind())
    }
}

/// One bit per code.
const WALKABLE: u64 = 1 << Cell::EMPTY.code
    | Object::Floor.codes()
    | Object::Door(Door::Open).codes()
    | Object::Goal.codes()
    | Object::Lava.codes();
const PORTABLE: u64 = Object::Key.codes() | Object::Ball.codes() | Object::Box.codes();

/// The content of one cell of a grid.
///
/// ```
/// use gbrl_envs::minigrid::cell::{Cell, Color, Door, Object};
/// let door = Cell::new(Object::Door(Door::Locked), Color::Yellow);
/// assert_eq!((door.code(), door.triple()), (30, [4, 4, 2]));
/// assert_eq!((door.to_string().as_str(), Cell::from_text("Ly")), ("Ly", Some(door)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    code: u8,
    /// The code of what a box holds; 0 is nothing. No other object holds anything.
    inside: u8,
}

impl Cell {
    /// Nothing.
    pub const EMPTY: Cell = Cell { code: 1, inside: 0 };
    /// A grey wall, as every wall of the package's tasks and everything outside the grid.
    pub const WALL: Cell = Cell::new(Object::Wall, Color::Grey);

    /// A cell with an object; a box is empty.
    pub const fn new(object: Object, color: Color) -> Self {
        Cell { code: FIRST + 6 * object.kind() + color as u8, inside: 0 }
    }

    /// A box that holds an object (a box in a box is empty).
    pub const fn box_with(color: Color, object: Object, object_color: Color) -> Self {
        Cell { inside: Cell::new(object, object_color).code, ..Cell::new(Object::Box, color) }
    }

    /// The cell of a code; `None` for [`UNSEEN`] and beyond the table.
    pub const fn from_code(code: u8) -> Option<Self> {
        if code == UNSEEN || code as u32 >= N_CODES { None } else { Some(Cell { code, inside: 0 }) }
    }

    /// The number that an observation shows.
    pub const fn code(self) -> u8 {
        self.code
    }

    /// The object and its colour.
    pub fn object(self) -> Option<(Object, Color)> {
        let i = usize::from(self.code.checked_sub(FIRST)?);
        Some((KINDS[i / COLORS.len()], COLORS[i % COLORS.len()]))
    }

    /// What a box gives way to when toggled; empty for everything else.
    pub fn content(self) -> Cell {
        Cell::from_code(self.inside).unwrap_or(Cell::EMPTY)
    }

    /// MiniGrid's (object, colour, state).
    pub fn triple(self) -> [u8; 3] {
        let Some((object, color)) = self.object() else { return [self.code, 0, 0] };
        let (index, state) = match object {
            Object::Wall => (2, 0),
            Object::Floor => (3, 0),
            Object::Door(door) => (4, door as u8),
            Object::Key => (5, 0),
            Object::Ball => (6, 0),
            Object::Box => (7, 0),
            Object::Goal => (8, 0),
            Object::Lava => (9, 0),
        };
        [index, color as u8, state]
    }

    /// Whether it hides what is behind it.
    pub const fn is_opaque(self) -> bool {
        hides(self.code)
    }

    /// Whether the agent can stand on it.
    pub const fn is_walkable(self) -> bool {
        WALKABLE >> self.code & 1 == 1
    }

    /// Whether the agent can pick it up.
    pub const fn is_portable(self) -> bool {
        PORTABLE >> self.code & 1 == 1
    }

    /// The cell written as two characters, as the module's page says; a box is empty.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b".." => Some(Cell::EMPTY),
            b"##" => Some(Cell::WALL),
            [kind, color] => {
                let kind = KIND_LETTERS.iter().position(|letter| letter == kind)?;
                let color = COLOR_LETTERS.iter().position(|letter| letter == color)?;
                Some(Cell::new(KINDS[kind], COLORS[color]))
            }
            _ => None,
        }
    }

    /// Code and content, for a saved state.
    pub(super) fn to_bytes(self) -> [u8; 2] {
        [self.code, self.inside]
    }

    /// What [`to_bytes`](Cell::to_bytes) gave; `None` for anything else.
    pub(super) fn from_bytes([code, inside]: [u8; 2]) -> Option<Self> {
        let cell = Cell::from_code(code)?;
        if inside == 0 {
            return Some(cell);
        }
        let is_box = matches!(cell.object(), Some((Object::Box, _)));
        let holds_object = Cell::from_code(inside)?.object().is_some();
        (is_box && holds_object).then_some(Cell { code, inside })
    }
}

/// What a code is called, as in "locked yellow door".
pub fn label(code: u8) -> String {
    let Some((object, color)) = Cell::from_code(code).and_then(Cell::object) else {
        return if code == UNSEEN { "unseen" } else { "empty" }.to_owned();
    };
    let (before, word) = match object {
        Object::Wall => ("", "wall"),
        Object::Floor => ("", "floor"),
        Object::Door(Door::Open) => ("open ", "door"),
        Object::Door(Door::Closed) => ("closed ", "door"),
        Object::Door(Door::Locked) => ("locked ", "door"),
        Object::Key => ("", "key"),
        Object::Ball => ("", "ball"),
        Object::Box => ("", "box"),
        Object::Goal => ("", "goal"),
        Object::Lava => ("", "lava"),
    };
    format!("{before}{} {word}", color.name())
}

/// Whether a cell of this code hides what is behind it: a wall, or a door that is closed or locked, whose codes follow
/// each other. Two comparisons, so that many cells are compared at once.
#[inline]
pub(super) const fn hides(code: u8) -> bool {
    const N_COLORS: u8 = COLORS.len() as u8;
    const WALL: u8 = FIRST + N_COLORS * Object::Wall.kind();
    const CLOSED: u8 = FIRST + N_COLORS * Object::Door(Door::Closed).kind();
    code.wrapping_sub(WALL) < N_COLORS || code.wrapping_sub(CLOSED) < 2 * N_COLORS
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.object() {
            None => f.write_str(".."),
            Some((Object::Wall, Color::Grey)) => f.write_str("##"),
            Some((object, color)) => {
                let kind = KIND_LETTERS[usize::from(object.kind())];
                write!(f, "{}{}", char::from(kind), char::from(COLOR_LETTERS[color as usize]))
            }
        }
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inside {
            0 => write!(f, "{self}"),
            _ => write!(f, "{self}({})", self.content()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Cell> {
        (0..=u8::MAX).filter_map(Cell::from_code)
    }

    #[test]
    fn codes_objects_texts_and_triples_are_one_to_one() {
        assert_eq!((N_CODES, all().count()), (62, 61));
        let mut triples: Vec<_> = all().map(Cell::triple).collect();
        triples.sort_unstable();
        triples.dedup();
        assert_eq!(triples.len(), 61);
        for cell in all() {
            assert_eq!(Cell::from_text(&cell.to_string()), Some(cell));
            assert_eq!(Cell::from_bytes(cell.to_bytes()), Some(cell));
            if let Some((object, color)) = cell.object() {
                assert_eq!(Cell::new(object, color), cell);
                assert_eq!(cell.code(), FIRST + 6 * object.kind() + color as u8);
            }
        }
    }

    #[test]
    fn every_object_stops_what_it_should() {
        for cell in all() {
            let object = cell.object().map(|(object, _)| object);
            let walkable =
                matches!(object, None | Some(Object::Floor | Object::Goal | Object::Lava | Object::Door(Door::Open)));
            let portable = matches!(object, Some(Object::Key | Object::Ball | Object::Box));
            let opaque = matches!(object, Some(Object::Wall | Object::Door(Door::Closed | Door::Locked)));
            assert_eq!((cell.is_walkable(), cell.is_portable(), cell.is_opaque()), (walkable, portable, opaque));
        }
    }

    #[test]
    fn only_boxes_hold_something() {
        let full = Cell::box_with(Color::Red, Object::Key, Color::Blue);
        assert_eq!((full.content(), full.triple()), (Cell::new(Object::Key, Color::Blue), [7, 0, 0]));
        assert_eq!(Cell::from_bytes(full.to_bytes()), Some(full));
        for bytes in [[0, 0], [62, 0], [7, 32], [44, 62], [44, 1], [255, 255]] {
            assert_eq!(Cell::from_bytes(bytes), None, "{bytes:?}");
        }
        for text in ["", ".", "K", "Kx", "rK", "Kr ", "é"] {
            assert_eq!(Cell::from_text(text), None, "{text:?}");
        }
    }
}
