//! FrozenLake-v1 and FrozenLake8x8-v1: cross slippery ice to the goal without falling into a hole.
//!
//! Source: Gymnasium's `FrozenLake-v1` and `FrozenLake8x8-v1`.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 | tile, row · columns + column, a category | | 0 | 15 (4x4) or 63 (8x8) |
//!
//! | | |
//! |---|---|
//! | actions | `Discrete(4)`: 0 left, 1 down, 2 right, 3 up |
//! | reward | 1 on reaching the goal, otherwise 0 |
//! | start | the tile `S`, top left; several such tiles are equally likely |
//! | terminated | on a hole `H` or the goal `G` |
//! | truncated | after 100 steps (4x4) or 200 (8x8), by the registry |
//! | solved | mean return 0.70 (4x4) or 0.85 (8x8) |
//! | constants | the move goes where it is meant to with probability ⅓, and to either side with ⅓ each; off the edge means staying |
//!
//! ```text
//! 4x4:  SFFF    8x8:  SFFFFFFF
//!       FHFH          FFFFFFFF
//!       FFFH          FFFHFFFF
//!       HFFG          FFFFFHFF
//!                     FFFHFFFF
//!                     FHHFFFHF
//!                     FHFFHFHF
//!                     FFFHFFFG
//! ```

use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use crate::common::{Draws, Phase, StateReader, StateWriter, discrete_action, row, words};

const NAME_4X4: &str = "FrozenLake-v1";
const NAME_8X8: &str = "FrozenLake8x8-v1";
const MAP_4X4: [&str; 4] = ["SFFF", "FHFH", "FFFH", "HFFG"];
const MAP_8X8: [&str; 8] =
    ["SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF", "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG"];
/// Larger maps would not fit a categorical column.
const MAX_TILES: usize = 65_534;

/// The environment; the module's page describes the task.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::frozen_lake::FrozenLake;
/// let mut env = FrozenLake::from_map("Corridor-v0", &["SFG"], false)?;
/// let mut observation = [0.0];
/// env.reset(1, &mut observation)?;
/// env.step(Action::Discrete(2), &mut observation)?;
/// let step = env.step(Action::Discrete(2), &mut observation)?;
/// assert_eq!((observation[0], step.reward, step.terminated), (2.0, 1.0, true));
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrozenLake {
    name: String,
    observation_space: Space,
    action_space: Space,
    is_slippery: bool,
    tiles: Vec<Tile>,
    columns: usize,
    /// Where each direction leads, [tiles][4].
    next: Vec<[u32; 4]>,
    starts: Vec<u32>,
    tile: u32,
    phase: Phase,
    slips: Draws,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tile {
    Ice,
    Hole,
    Goal,
}

/// One possible result of an action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transition {
    /// How likely it is.
    pub probability: f64,
    /// The tile reached.
    pub tile: u32,
    /// The reward for reaching it.
    pub reward: f32,
    /// Whether it ends the task.
    pub terminated: bool,
}

impl FrozenLake {
    /// FrozenLake-v1: four by four tiles, slippery.
    pub fn new() -> Self {
        FrozenLake::build(NAME_4X4, &MAP_4X4, true)
    }

    /// FrozenLake8x8-v1: eight by eight tiles, slippery.
    pub fn large() -> Self {
        FrozenLake::build(NAME_8X8, &MAP_8X8, true)
    }

    /// A map of one's own: rows of equal length of `S` (start), `F` (ice), `H` (hole) and `G` (goal).
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when the map is empty, ragged or too large,
    /// has another letter or no start.
    pub fn from_map(name: &str, map: &[&str], is_slippery: bool) -> Result<Self> {
        let columns = map.first().map_or(0, |row| row.len());
        let refuse = |got: &str, rule: &str| Err(Error::parameter("map", format!("'{got}'"), rule));
        if columns == 0 || columns.saturating_mul(map.len()) > MAX_TILES {
            return refuse(&format!("{} x {columns}", map.len()), "1 to 65534 tiles");
        }
        for row in map {
            if row.len() != columns {
                return refuse(row, "rows of equal length");
            }
            if row.bytes().any(|letter| !b"SFHG".contains(&letter)) {
                return refuse(row, "only the letters S, F, H and G");
            }
        }
        if !map.iter().any(|row| row.contains('S')) {
            return refuse(&map.join("/"), "at least one start S");
        }
        Ok(FrozenLake::build(name, map, is_slippery))
    }

    /// Builds from a map that is known to be good.
    fn build(name: &str, map: &[&str], is_slippery: bool) -> Self {
        let (rows, columns) = (map.len(), map[0].len());
        let letters: Vec<u8> = map.iter().flat_map(|row| row.bytes()).collect();
        let tile = |&letter: &u8| match letter {
            b'H' => Tile::Hole,
            b'G' => Tile::Goal,
            _ => Tile::Ice,
        };
        let code = |row: usize, column: usize| (row * columns + column) as u32;
        let neighbours = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            [
                code(row, column.saturating_sub(1)),
                code((row + 1).min(rows - 1), column),
                code(row, (column + 1).min(columns - 1)),
                code(row.saturating_sub(1), column),
            ]
        };
        FrozenLake {
            name: name.to_owned(),
            observation_space: Space::discrete(letters.len() as u32),
            action_space: Space::discrete(4),
            is_slippery,
            tiles: letters.iter().map(tile).collect(),
            columns,
            next: (0..letters.len()).map(neighbours).collect(),
            starts: (0..letters.len() as u32).filter(|&i| letters[i as usize] == b'S').collect(),
            tile: 0,
            phase: Phase::NeedsReset,
            slips: Draws::default(),
        }
    }

    /// The tile stood on.
    pub fn state(&self) -> u32 {
        self.tile
    }

    /// Starts an episode on `tile`; slips come from `seed`.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when there is no such tile, or it is a hole or
    /// the goal, where no episode goes on.
    pub fn set_state(&mut self, tile: u32, seed: u64) -> Result<()> {
        if self.tiles.get(tile as usize) != Some(&Tile::Ice) {
            return Err(Error::parameter("tile", tile, "a tile of ice"));
        }
        (self.tile, self.phase, self.slips) = (tile, Phase::Running, Draws::new(seed));
        Ok(())
    }

    /// Everything that `action` can lead to from `tile`: three equally likely results on slippery ice (some may be
    /// the same tile), otherwise one.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when `tile` is not one of ice or `action` is
    /// not below 4.
    pub fn transitions(&self, tile: u32, action: u32) -> Result<Vec<Transition>> {
        if self.tiles.get(tile as usize) != Some(&Tile::Ice) {
            return Err(Error::parameter("tile", tile, "a tile of ice"));
        }
        let action = discrete_action(Action::Discrete(action), 4)?;
        let turns: &[u32] = if self.is_slippery { &[3, 0, 1] } else { &[0] };
        let result = |turn: &u32| {
            let next = self.next[tile as usize][((action + turn) % 4) as usize];
            let (reward, terminated) = self.outcome(next);
            Transition { probability: 1.0 / turns.len() as f64, tile: next, reward, terminated }
        };
        Ok(turns.iter().map(result).collect())
    }

    fn outcome(&self, tile: u32) -> (f32, bool) {
        match self.tiles[tile as usize] {
            Tile::Ice => (0.0, false),
            Tile::Hole => (0.0, true),
            Tile::Goal => (1.0, true),
        }
    }
}

impl Default for FrozenLake {
    fn default() -> Self {
        FrozenLake::new()
    }
}

impl Env for FrozenLake {
    fn name(&self) -> &str {
        &self.name
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn features(&self) -> FeatureSchema {
        let label = |i| format!("({},{})", i / self.columns, i % self.columns);
        FeatureSchema::new(vec![Feature::labelled("tile", (0..self.tiles.len()).map(label).collect::<Vec<_>>())])
    }

    fn choices(&self) -> Vec<String> {
        words(&["left", "down", "right", "up"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        let [out] = row::<1>(observation)?;
        let start = Stream::new(seed, &self.name, 0).below(self.starts.len() as u64);
        self.tile = self.starts[start as usize];
        (self.phase, self.slips) = (Phase::Running, Draws::new(seed));
        *out = self.tile as f32;
        Ok(())
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(&self.name)?;
        let mut direction = discrete_action(action, 4)?;
        let [out] = row::<1>(observation)?;
        if self.is_slippery {
            // One of the three directions that are not straight back.
            direction = (direction + 3 + self.slips.next(&self.name).below(3) as u32) % 4;
        }
        self.tile = self.next[self.tile as usize][direction as usize];
        let (reward, terminated) = self.outcome(self.tile);
        self.phase = Phase::after(terminated);
        *out = self.tile as f32;
        Ok(Step { reward, terminated, truncated: false })
    }

    fn save(&self) -> Option<Vec<u8>> {
        StateWriter::new(&self.name).phase(self.phase).u32(self.tile).draws(self.slips).finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(&self.name, state)?;
        let (phase, tile) = (reader.phase()?, reader.below(self.tiles.len() as u32)?);
        if phase == Phase::Running && self.tiles[tile as usize] != Tile::Ice {
            return Err(reader.invalid("impossible tile", "a tile of ice", tile));
        }
        let slips = reader.draws()?;
        reader.finish()?;
        (self.tile, self.phase, self.slips) = (tile, phase, slips);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_go_to_either_side_a_third_of_the_time() {
        let mut env = FrozenLake::from_map("Plain-v0", &["FFF", "FSF", "FFF"], true).unwrap();
        let (mut counts, mut observation) = ([0u32; 9], [0.0]);
        for seed in 0..30_000 {
            env.reset(seed, &mut observation).unwrap();
            env.step(Action::Discrete(2), &mut observation).unwrap();
            counts[observation[0] as usize] += 1;
        }
        // Right, up and down; the standard deviation of each count is about 82.
        for tile in [5, 1, 7] {
            assert!(counts[tile].abs_diff(10_000) < 400, "{counts:?}");
        }
        assert_eq!(counts[3], 0, "never straight back");
    }

    #[test]
    fn bad_maps_are_refused() {
        for map in [&[][..], &[""], &["SF", "F"], &["SX"], &["FG"], &["Sé"]] {
            assert!(FrozenLake::from_map("Bad-v0", map, true).is_err(), "{map:?}");
        }
    }

    #[test]
    fn starts_are_equally_likely() {
        let mut env = FrozenLake::from_map("Starts-v0", &["SFS"], false).unwrap();
        let mut observation = [0.0];
        let mut first = 0u32;
        for seed in 0..2_000 {
            env.reset(seed, &mut observation).unwrap();
            first += u32::from(observation[0] == 0.0);
        }
        assert!(first.abs_diff(1_000) < 120, "{first}");
    }
}
