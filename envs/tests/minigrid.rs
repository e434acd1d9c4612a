//! Step-by-step equality with the package `minigrid` from the same layouts.
//!
//! `tests/data/minigrid*.txt` was recorded by `scripts/minigrid_trajectories.py`, which describes the files. Layouts of
//! the package are loaded, its actions done, and every observation, reward and end must be the same; beside the tasks
//! there are sandboxes in which every object stands anywhere.

use gbrl_core::error::Result;
use gbrl_core::rl::env::{Action, Env, TimeLimit};
use gbrl_core::rng::Stream;
use gbrl_envs::minigrid::cell::{Cell, Object, UNSEEN};
use gbrl_envs::minigrid::grid::{Direction, Grid, Pose, Position};
use gbrl_envs::minigrid::{COLUMNS, DoorKey, Empty, Fetch, GoToDoor, Layout, MiniGrid, Task, Unlock, view};

/// The limit of the recorded sandboxes.
const SANDBOX_STEPS: u32 = 150;

/// A task of nothing but movement.
struct Sandbox {
    size: (u8, u8),
    sees_through_walls: bool,
}

impl Task for Sandbox {
    fn name(&self) -> &str {
        "Sandbox"
    }

    fn size(&self) -> (u8, u8) {
        self.size
    }

    fn max_steps(&self) -> u32 {
        SANDBOX_STEPS
    }

    fn sees_through_walls(&self) -> bool {
        self.sees_through_walls
    }

    fn missions(&self) -> Vec<String> {
        vec!["play".to_owned()]
    }

    fn generate(&self, random: &mut Stream) -> Result<Layout> {
        let grid = Grid::new(self.size.0, self.size.1)?;
        let agent = grid.choose_pose(grid.area(), random, |_| true)?;
        Ok(Layout { grid, agent, mission: 0, target: None })
    }
}

/// A recorded episode.
struct Episode {
    /// Its number in the file.
    number: usize,
    task: String,
    layout: Layout,
    mission: String,
    actions: Vec<u32>,
    /// Eight bits of the hash of each observation, the first one included.
    marks: Vec<u8>,
    /// 64 bits over all observations.
    hash: u64,
    last_reward: f32,
    terminated: bool,
    truncated: bool,
}

/// A file's rows without its comments.
fn rows(file: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/data/{file}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

fn position(text: &str) -> (Position, Option<&str>) {
    let parts: Vec<&str> = text.split(',').collect();
    (Position::new(parts[0].parse().unwrap(), parts[1].parse().unwrap()), parts.get(2).copied())
}

fn episodes() -> Vec<Episode> {
    let parse = |(number, row): (usize, Vec<String>)| {
        let [task, map, boxes, agent, target, mission, actions, marks, hash, reward, terminated, truncated] =
            <[String; 12]>::try_from(row).unwrap();
        let mut grid = Grid::from_text(&map).unwrap();
        for full in boxes.split(' ').filter(|text| *text != "-") {
            let (place, content) = position(full);
            let (object, color) = Cell::from_text(content.unwrap()).unwrap().object().unwrap();
            let (Object::Box, box_color) = grid.get(place).object().unwrap() else { panic!("{full} is no box") };
            grid.set(place, Cell::box_with(box_color, object, color)).unwrap();
        }
        assert_eq!(grid.to_string(), map);
        let (place, direction) = position(&agent);
        let direction = Direction::from_index(direction.unwrap().parse().unwrap());
        let target = (target != "-").then(|| position(&target).0);
        let agent = Pose { position: place, direction };
        Episode {
            number,
            task,
            layout: Layout { grid, agent, mission: 0, target },
            mission,
            actions: actions.bytes().map(|digit| u32::from(digit - b'0')).collect(),
            marks: (0..marks.len()).step_by(2).map(|i| u8::from_str_radix(&marks[i..i + 2], 16).unwrap()).collect(),
            hash: u64::from_str_radix(&hash, 16).unwrap(),
            last_reward: reward.parse::<f64>().unwrap() as f32,
            terminated: terminated == "1",
            truncated: truncated == "1",
        }
    };
    rows("minigrid").into_iter().enumerate().map(parse).collect()
}

/// The package's bytes of an observation: object, colour and state of each cell, then the direction.
fn package_bytes(observation: &[f32; COLUMNS]) -> Vec<u8> {
    let triple = |&code: &f32| match code as u8 {
        UNSEEN => [0; 3],
        code => Cell::from_code(code).unwrap().triple(),
    };
    let mut bytes: Vec<u8> = observation[..view::CELLS].iter().flat_map(triple).collect();
    bytes.push(observation[view::CELLS] as u8);
    bytes
}

const FNV: u64 = 0xCBF2_9CE4_8422_2325;

fn fnv(bytes: &[u8], value: u64) -> u64 {
    bytes.iter().fold(value, |value, &byte| (value ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

fn folded(value: u64) -> u8 {
    let value = value ^ value >> 32;
    let value = value ^ value >> 16;
    (value ^ value >> 8) as u8
}

/// Plays an episode in ours and compares all of it; gives the observations as the package's bytes.
fn replay<T: Task>(episode: &Episode, task: T) -> Vec<Vec<u8>> {
    let mut env = MiniGrid::new(task).unwrap();
    let max_steps = env.task().max_steps();
    let of_mission = env.missions().iter().position(|mission| *mission == episode.mission);
    let mission = of_mission.unwrap_or_else(|| panic!("no mission '{}'", episode.mission)) as u32;
    let mut observation = [f32::NAN; COLUMNS];
    env.start(Layout { mission, ..episode.layout.clone() }, &mut observation).unwrap();
    assert_eq!((env.mission(), env.target()), (episode.mission.as_str(), episode.layout.target));

    let mut seen = vec![package_bytes(&observation)];
    let mut env = TimeLimit::new(env, max_steps).unwrap();
    for (i, &action) in episode.actions.iter().enumerate() {
        let context = || format!("episode {} ({}) step {i}", episode.number, episode.task);
        let step = env.step(Action::Discrete(action), &mut observation).unwrap();
        let bytes = package_bytes(&observation);
        assert_eq!(folded(fnv(&bytes, FNV)), episode.marks[i + 1], "observation after {}", context());
        assert_eq!(observation[COLUMNS - 1], mission as f32, "{}", context());
        seen.push(bytes);
        let is_last = i + 1 == episode.actions.len();
        let expected = (episode.last_reward, episode.terminated, episode.truncated);
        let expected = if is_last { expected } else { (0.0, false, false) };
        assert_eq!((step.reward, step.terminated, step.truncated), expected, "{}", context());
    }
    assert_eq!(folded(fnv(&seen[0], FNV)), episode.marks[0], "first observation of episode {}", episode.number);
    let hash = seen.iter().fold(FNV, |value, bytes| fnv(bytes, value));
    assert_eq!(hash, episode.hash, "some observation of episode {} ({})", episode.number, episode.task);
    seen
}

fn replay_by_name(episode: &Episode) -> Vec<Vec<u8>> {
    let size = episode.layout.grid.width();
    let things = || episode.layout.grid.area().positions().filter(|&p| episode.layout.grid.get(p).is_portable());
    match episode.task.strip_prefix("MiniGrid-").and_then(|rest| rest.split('-').next()) {
        Some("DoorKey") => replay(episode, DoorKey::new(size).unwrap()),
        Some("Empty") if episode.task.contains("Random") => replay(episode, Empty::random(size).unwrap()),
        Some("Empty") => replay(episode, Empty::new(size).unwrap()),
        Some("Fetch") => replay(episode, Fetch::new(size, things().count() as u8).unwrap()),
        Some("GoToDoor") => replay(episode, GoToDoor::new(size).unwrap()),
        Some("Unlock") => replay(episode, Unlock),
        _ => {
            let sees_through_walls = episode.task == "Sandbox-clear";
            replay(episode, Sandbox { size: (size, episode.layout.grid.height()), sees_through_walls })
        }
    }
}

#[test]
fn every_observation_reward_and_end_is_the_packages() {
    let mut full = rows("minigrid_views").into_iter().peekable();
    let (mut steps, mut successes, mut in_full) = (0, 0, 0);
    for episode in episodes() {
        // What can be read comes first.
        let of_episode = |row: &Vec<String>| row[0] == episode.number.to_string();
        let mut written = Vec::new();
        while let Some(row) = full.next_if(of_episode) {
            written.push(row);
        }
        let seen = replay_by_name(&episode);
        for row in written {
            let step: usize = row[1].parse().unwrap();
            let digits: String = seen[step].iter().map(|byte| format!("{byte:x}")).collect();
            assert_eq!(digits, row[2], "observation {step} of episode {}", episode.number);
            in_full += 1;
        }
        steps += episode.actions.len();
        successes += usize::from(episode.last_reward > 0.0);
    }
    assert!(steps > 50_000 && successes > 800 && in_full > 300, "{steps} {successes} {in_full}");
    assert_eq!(full.next(), None);
}

#[test]
fn the_recorded_episodes_are_of_all_sorts() {
    let episodes = episodes();
    for spec in gbrl_envs::specs().iter().filter(|spec| spec.id.starts_with("MiniGrid-")) {
        let of_task: Vec<&Episode> = episodes.iter().filter(|episode| episode.task == spec.id).collect();
        let limit = |episode: &&&Episode| episode.actions.len() == spec.max_steps as usize;
        assert!(of_task.len() >= 12, "{}", spec.id);
        assert!(of_task.iter().any(|e| e.last_reward > 0.0 && !e.truncated), "{}: no success", spec.id);
        assert!(of_task.iter().filter(limit).any(|e| !e.terminated && e.truncated), "{}: no truncation", spec.id);
        assert!(of_task.iter().filter(limit).any(|e| e.terminated && e.truncated), "{}: no double end", spec.id);
        assert!(of_task.iter().all(|e| e.truncated == limit(&e)), "{}: another limit", spec.id);
    }
}

#[test]
fn a_saved_episode_goes_on_where_it_was() {
    for episode in episodes().iter().filter(|episode| episode.task.starts_with("Sandbox")).take(40) {
        let size = (episode.layout.grid.width(), episode.layout.grid.height());
        let make = || MiniGrid::new(Sandbox { size, sees_through_walls: false }).unwrap();
        let (mut one, mut observation, mut of_other) = (make(), [0.0; COLUMNS], [0.0; COLUMNS]);
        one.start(episode.layout.clone(), &mut observation).unwrap();
        for &action in &episode.actions {
            // Everything, what is carried and what is in boxes included, goes through the bytes at every step.
            let mut other = make();
            other.restore(&one.save().unwrap()).unwrap();
            assert_eq!(other.world(), one.world());
            let step = one.step(Action::Discrete(action), &mut observation).unwrap();
            assert_eq!(other.step(Action::Discrete(action), &mut of_other).unwrap(), step);
            assert_eq!(of_other, observation);
        }
    }
}

#[test]
fn impossible_layouts_and_tasks_are_refused() {
    let (mut env, mut observation) = (MiniGrid::new(Empty::new(5).unwrap()).unwrap(), [0.0; COLUMNS]);
    let agent = Pose { position: Position::new(1, 1), direction: Direction::Right };
    let good = Layout { grid: Grid::new(5, 5).unwrap(), agent, mission: 0, target: None };
    env.start(good.clone(), &mut observation).unwrap();
    let nowhere = Some(Position::new(5, 0));
    let outside = Pose { position: Position::new(0, 5), ..agent };
    for bad in [
        Layout { grid: Grid::new(5, 6).unwrap(), ..good.clone() },
        Layout { mission: 1, ..good.clone() },
        Layout { target: nowhere, ..good.clone() },
        Layout { agent: outside, ..good.clone() },
    ] {
        assert!(env.start(bad, &mut observation).is_err());
    }
    assert!(env.start(good, &mut observation[1..]).is_err());
    for size in [0, 1, 2, 3, 26, 255] {
        assert!(Empty::new(size).is_err() && Empty::random(size).is_err(), "{size}");
        assert!(DoorKey::new(size).is_err() && GoToDoor::new(size).is_err(), "{size}");
        assert!(Fetch::new(size, 1).is_err(), "{size}");
    }
    for n_objects in [0, 9, 10, 255] {
        assert!(Fetch::new(5, n_objects).is_err(), "{n_objects}");
    }
    assert!(MiniGrid::new(Sandbox { size: (2, 5), sees_through_walls: true }).is_err());
}
