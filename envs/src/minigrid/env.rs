//! A task as an environment: observations, rewards, ends, saved states.

use std::sync::Arc;

use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::error::{Error, Result};
use gbrl_core::rl::env::{Action, Env, Step};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;

use super::cell::{Cell, N_CODES, label};
use super::grid::{Direction, Grid, Pose, Position};
use super::task::{Layout, Quest, Task, Verdict};
use super::view;
use super::world::{Move, World};
use crate::common::{Phase, StateReader, StateWriter, discrete_action, row, words};

/// Columns of an observation: the view, the direction, the mission.
pub const COLUMNS: usize = view::CELLS + 2;

/// A task's environment; the module's page describes what all tasks share, the task's what is its own.
///
/// ```
/// use gbrl_core::rl::env::{Action, Env};
/// use gbrl_envs::minigrid::{DoorKey, MiniGrid};
/// let mut env = MiniGrid::new(DoorKey::new(5)?)?;
/// let mut observation = [0.0; 51];
/// env.reset(3, &mut observation)?;
/// assert_eq!(env.mission(), "use the key to open the door and then get to the goal");
/// assert_eq!(observation[27], 1.0); // nothing in its hands
/// # Ok::<(), gbrl_core::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct MiniGrid<T> {
    task: T,
    observation_space: Space,
    action_space: Space,
    missions: Vec<String>,
    sees_through_walls: bool,
    max_steps: u32,
    world: World,
    quest: Quest,
    steps: u32,
    phase: Phase,
}

impl<T: Task> MiniGrid<T> {
    /// A new environment; [`reset`](Env::reset) or [`start`](MiniGrid::start) starts an episode.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when the task's size, its step limit or its
    /// missions are not possible.
    pub fn new(task: T) -> Result<Self> {
        let (width, height) = task.size();
        let nowhere = Pose { position: Position::new(0, 0), direction: Direction::Right };
        let world = World::new(Grid::new(width, height)?, nowhere)?;
        let missions = task.missions();
        if missions.is_empty() {
            return Err(Error::parameter("missions", 0, "at least one"));
        }
        let max_steps = task.max_steps();
        if max_steps == 0 {
            return Err(Error::parameter("max_steps", 0, "at least 1"));
        }
        let observation_space = Space::Dict(vec![
            ("image".into(), Space::MultiDiscrete { nvec: vec![N_CODES; view::CELLS] }),
            ("direction".into(), Space::discrete(Direction::ALL.len() as u32)),
            ("mission".into(), Space::discrete(missions.len() as u32)),
        ]);
        Ok(MiniGrid {
            observation_space,
            action_space: Space::discrete(Move::ALL.len() as u32),
            sees_through_walls: task.sees_through_walls(),
            max_steps,
            missions,
            task,
            world,
            quest: Quest::default(),
            steps: 0,
            phase: Phase::NeedsReset,
        })
    }

    /// The task.
    pub fn task(&self) -> &T {
        &self.task
    }

    /// The grid and the agent.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// All sentences, by the code that an observation shows.
    pub fn missions(&self) -> &[String] {
        &self.missions
    }

    /// The sentence of this episode.
    pub fn mission(&self) -> &str {
        &self.missions[self.quest.mission as usize]
    }

    /// The place that this episode's mission is about, if the task has one.
    pub fn target(&self) -> Option<Position> {
        self.quest.target
    }

    /// Starts an episode in a layout and writes its first observation.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](gbrl_core::error::ErrorKind::Parameter) when the layout has another size than the task,
    /// the agent cannot stand where it should, or there is no such mission or target, and
    /// [`ErrorKind::Shape`](gbrl_core::error::ErrorKind::Shape) when the observation has not 51 columns.
    pub fn start(&mut self, layout: Layout, observation: &mut [f32]) -> Result<()> {
        let out = row::<COLUMNS>(observation)?;
        let Layout { grid, agent, mission, target } = layout;
        let (got, size) = ((grid.width(), grid.height()), self.task.size());
        if got != size {
            return Err(Error::parameter(
                "layout",
                format!("{} x {}", got.0, got.1),
                format!("{} x {}", size.0, size.1),
            ));
        }
        if mission as usize >= self.missions.len() {
            return Err(Error::parameter("mission", mission, format!("an index below {}", self.missions.len())));
        }
        if let Some(target) = target {
            grid.slot(target)?;
        }
        self.world = World::new(grid, agent)?;
        self.quest = Quest { mission, target };
        (self.steps, self.phase) = (0, Phase::Running);
        self.observe(out);
        Ok(())
    }

    fn observe(&self, out: &mut [f32; COLUMNS]) {
        if let Some((image, [direction, mission])) = out.split_first_chunk_mut::<{ view::CELLS }>() {
            view::observe(&self.world, self.sees_through_walls, image);
            *direction = f32::from(self.world.direction() as u8);
            *mission = self.quest.mission as f32;
        }
    }

    /// 1 − 0.9·steps/max_steps, in the order that the package computes it in.
    fn reward(&self) -> f32 {
        (1.0 - 0.9 * (f64::from(self.steps) / f64::from(self.max_steps))) as f32
    }
}

impl<T: Task> Env for MiniGrid<T> {
    fn name(&self) -> &str {
        self.task.name()
    }

    fn observation_space(&self) -> &Space {
        &self.observation_space
    }

    fn action_space(&self) -> &Space {
        &self.action_space
    }

    fn features(&self) -> FeatureSchema {
        let cells: Arc<[String]> = (0..N_CODES as u8).map(label).collect();
        let cell = |i| Feature::labelled(format!("image[{},{}]", i / view::SIDE, i % view::SIDE), cells.clone());
        let directions = ["right", "down", "left", "up"].map(str::to_owned);
        let others = [Feature::labelled("direction", directions), Feature::labelled("mission", self.missions.clone())];
        FeatureSchema::new((0..view::CELLS).map(cell).chain(others).collect())
    }

    fn choices(&self) -> Vec<String> {
        words(&["left", "right", "forward", "pick up", "drop", "toggle", "done"])
    }

    fn reset(&mut self, seed: u64, observation: &mut [f32]) -> Result<()> {
        row::<COLUMNS>(observation)?;
        let layout = self.task.generate(&mut Stream::new(seed, self.task.name(), 0))?;
        self.start(layout, observation)
    }

    fn step(&mut self, action: Action<'_>, observation: &mut [f32]) -> Result<Step> {
        self.phase.require_running(self.task.name())?;
        let action = Move::ALL[discrete_action(action, Move::ALL.len() as u32)? as usize];
        let out = row::<COLUMNS>(observation)?;
        self.steps = self.steps.saturating_add(1);
        let moved = self.world.act(action);
        let verdict = self.task.judge(&self.world, self.quest, action, moved);
        let terminated = verdict != Verdict::GoesOn;
        let reward = if verdict == Verdict::Success { self.reward() } else { 0.0 };
        self.phase = Phase::after(terminated);
        self.observe(out);
        Ok(Step { reward, terminated, truncated: false })
    }

    fn save(&self) -> Option<Vec<u8>> {
        let Pose { position, direction } = self.world.agent();
        let carrying = self.world.carrying().map_or([0; 2], Cell::to_bytes);
        let target = self.quest.target.map_or([0; 3], |target| [1, target.x, target.y]);
        let grid = self.world.grid();
        let mut cells = Vec::with_capacity(2 * usize::from(grid.width()) * usize::from(grid.height()));
        cells.extend(grid.area().positions().flat_map(|position| grid.get(position).to_bytes()));
        StateWriter::new(self.task.name())
            .phase(self.phase)
            .u32(self.steps)
            .u32(self.quest.mission)
            .bytes(&target)
            .bytes(&[position.x, position.y, direction as u8])
            .bytes(&carrying)
            .bytes(&cells)
            .finish()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = StateReader::new(self.task.name(), state)?;
        let phase = reader.phase()?;
        let steps = reader.u32()?;
        let mission = reader.below(self.missions.len() as u32)?;
        let target = match *reader.bytes(3)? {
            [0, 0, 0] => None,
            [1, x, y] => Some(Position::new(x, y)),
            ref other => return Err(reader.invalid("impossible target", "0 or 1 first", format!("{other:?}"))),
        };
        let (position, direction) = match *reader.bytes(3)? {
            [x, y, d @ 0..4] => (Position::new(x, y), Direction::from_index(d.into())),
            ref other => return Err(reader.invalid("impossible agent", "a direction below 4", format!("{other:?}"))),
        };
        let carrying = match *reader.bytes(2)? {
            [0, 0] => None,
            [code, inside] => match Cell::from_bytes([code, inside]) {
                Some(cell) => Some(cell),
                None => return Err(reader.invalid("impossible load", "the code of a cell", code)),
            },
            _ => None,
        };
        let (width, height) = self.task.size();
        let mut grid = Grid::new(width, height)?;
        if let Some(target) = target.filter(|&target| !grid.contains(target)) {
            return Err(reader.invalid("impossible target", "a position in the grid", format!("{target:?}")));
        }
        for p in grid.area().positions() {
            let bytes = reader.bytes(2)?;
            let cell = <[u8; 2]>::try_from(bytes).ok().and_then(Cell::from_bytes);
            match cell {
                Some(cell) => grid.set(p, cell)?,
                None => return Err(reader.invalid("impossible cell", "the code of a cell", format!("{bytes:?}"))),
            }
        }
        let mut world = World::new(grid, Pose { position, direction })
            .map_err(|error| reader.invalid("impossible agent", "a place to stand on", error))?;
        world.set_carrying(carrying).map_err(|error| reader.invalid("impossible load", "something to carry", error))?;
        reader.finish()?;
        self.world = world;
        self.quest = Quest { mission, target };
        (self.steps, self.phase) = (steps, phase);
        Ok(())
    }
}
