//! What the agent sees: 7 x 7 cells, turned so that it looks upwards from the middle of the lowest row.
//!
//! Source: the package `minigrid` 3.2.0, `gen_obs` and `process_vis`.
//!
//! Cell (i, j) of the view, i from left to right and j from top to bottom, is column 7·i + j of an observation (the
//! package's first image axis is i). The agent is at (3, 6); there it sees what it carries, or nothing.
//!
//! Where walls hide what is behind them, sight spreads row by row from the agent's upwards: within a row to the right
//! and then to the left, through cells that let it pass, and from each of those to the cell above it and to the one
//! above on the side of the spreading.
//!
//! Cells are gathered through a table of offsets for each direction; visibility is computed for a whole row at once
//! with one bit per cell.

use super::cell::{Cell, UNSEEN, hides};
use super::grid::Direction;
use super::world::World;

/// Cells on one side of the view.
pub const SIDE: usize = 7;
/// Cells in a view.
pub const CELLS: usize = SIDE * SIDE;
/// The view's cell that the agent stands on.
pub const AGENT: usize = SIDE * (SIDE / 2) + SIDE - 1;

/// From the agent's slot to each cell of the view, [direction][7·i + j].
static OFFSETS: [[i16; CELLS]; 4] =
    [offsets(Direction::Right), offsets(Direction::Down), offsets(Direction::Left), offsets(Direction::Up)];

const fn offsets(direction: Direction) -> [i16; CELLS] {
    let (ahead, right) = (direction.stride(), Direction::from_index(direction as u32 + 1).stride());
    let (mut offsets, mut k) = ([0; CELLS], 0);
    while k < CELLS {
        let (i, j) = ((k / SIDE) as i16, (k % SIDE) as i16);
        offsets[k] = (SIDE as i16 - 1 - j) * ahead + (i - SIDE as i16 / 2) * right;
        k += 1;
    }
    offsets
}

const ALL: u64 = (1 << CELLS) - 1;
/// Bits of row 0 of the view; bit 7·i + j is cell (i, j).
const ROW: u64 = 0b1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28 | 1 << 35 | 1 << 42;

/// Which cells are seen, given those that let sight pass.
///
/// The package spreads to the right from all columns but the last and to the left from all but the first. Those two
/// need no exception: what the last column lights in the row above, the way back lights, and what the first would, its
/// neighbour has.
fn visible(clear: u64) -> u64 {
    let mut seen = 1u64 << AGENT;
    for j in (0..SIDE).rev() {
        let passes = clear & ROW << j;
        seen |= lit(seen & passes, passes, j, |cells, by| cells << by);
        seen |= lit(seen & passes, passes, j, |cells, by| cells >> by);
    }
    // Beyond the last column there is nothing.
    seen & ALL
}

/// The cells of row `j` and of the row above that `sources` light on one side, through runs of cells that let it pass.
#[inline(always)]
fn lit(sources: u64, passes: u64, j: usize, move_by: impl Fn(u64, usize) -> u64) -> u64 {
    let (mut spread, mut run) = (sources, passes);
    // Filling by doubling: after each round `spread` reaches 1, 3, 7 columns.
    for columns in [1, 2, 4] {
        spread |= run & move_by(spread, SIDE * columns);
        run &= move_by(run, SIDE * columns);
    }
    let row = spread | move_by(spread, SIDE);
    if j > 0 { row | row >> 1 } else { row }
}

/// Cells in whole words of eight; those past [`CELLS`] are never looked at.
const PADDED: usize = CELLS.next_multiple_of(8);

/// One bit for each cell whose byte is 1 (the others are 0). Multiplying moves the eight bits of a word side by side.
fn bits_of(flags: &[u8; PADDED]) -> u64 {
    let words = flags.as_chunks::<8>().0.iter();
    let byte = |word: &[u8; 8]| u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    words.enumerate().fold(0, |bits, (i, word)| bits | byte(word) << (8 * i))
}

/// Sets the bytes of cells without a bit to 0.
fn keep(codes: &mut [u8; PADDED], bits: u64) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    for (i, word) in codes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        // Bit k of the byte alone in byte k, then 1 in each byte that is not 0, then 0xFF.
        let spread = (((bits >> (8 * i)) & 0xFF) * ONES) & 0x8040_2010_0804_0201;
        let mask = (((spread + 0x7F * ONES) >> 7) & ONES) * 0xFF;
        *word = (u64::from_le_bytes(*word) & mask).to_le_bytes();
    }
}

/// Writes the codes of what the agent sees.
pub(super) fn observe(world: &World, sees_through_walls: bool, out: &mut [f32; CELLS]) {
    let (grid, slot) = (world.grid(), world.slot());
    let mut codes = [UNSEEN; PADDED];
    for (code, &offset) in codes.iter_mut().zip(&OFFSETS[world.direction() as usize]) {
        *code = grid.at(slot.moved(offset)).code();
    }
    if !sees_through_walls {
        let clear = codes.map(|code| u8::from(!hides(code)));
        // UNSEEN is 0.
        keep(&mut codes, visible(bits_of(&clear)));
    }
    codes[AGENT] = world.carrying().unwrap_or(Cell::EMPTY).code();
    for (out, code) in out.iter_mut().zip(codes) {
        *out = f32::from(code);
    }
}

#[cfg(test)]
mod tests {
    use gbrl_core::rng::Stream;

    use super::*;

    /// The same rule, cell by cell.
    fn visible_slowly(clear: u64) -> u64 {
        let clear = |i: usize, j: usize| clear >> (SIDE * i + j) & 1 == 1;
        let mut seen = [[false; SIDE]; SIDE];
        seen[SIDE / 2][SIDE - 1] = true;
        for j in (0..SIDE).rev() {
            let rightwards = (0..SIDE - 1).map(|i| (i, i + 1));
            let leftwards = (1..SIDE).rev().map(|i| (i, i - 1));
            for (i, next) in rightwards.chain(leftwards) {
                if seen[i][j] && clear(i, j) {
                    seen[next][j] = true;
                    if j > 0 {
                        seen[next][j - 1] = true;
                        seen[i][j - 1] = true;
                    }
                }
            }
        }
        (0..CELLS).fold(0, |bits, k| bits | u64::from(seen[k / SIDE][k % SIDE]) << k)
    }

    #[test]
    fn bits_and_bytes_are_the_same_cells() {
        let mut random = Stream::new(6, "test", 0);
        for _ in 0..1_000 {
            let bits = random.bits() >> (64 - PADDED);
            let flags = std::array::from_fn(|k| (bits >> k & 1) as u8);
            assert_eq!(bits_of(&flags), bits);
            let codes: [u8; PADDED] = std::array::from_fn(|_| random.bits() as u8);
            let mut kept = codes;
            keep(&mut kept, bits);
            assert_eq!(kept, std::array::from_fn(|k| codes[k] * flags[k]));
        }
    }

    #[test]
    fn sight_by_rows_equals_sight_by_cells() {
        let mut random = Stream::new(5, "test", 0);
        for round in 0..200_000 {
            // From dense walls to a few.
            let bits = match round % 4 {
                0 => random.bits(),
                1 => random.bits() | random.bits(),
                2 => random.bits() & random.bits(),
                _ => random.bits() | random.bits() | random.bits() | random.bits(),
            };
            assert_eq!(visible(bits & ALL), visible_slowly(bits & ALL), "{bits:049b}");
        }
        assert_eq!((visible(ALL), visible(0)), (ALL, 1 << AGENT));
    }
}
