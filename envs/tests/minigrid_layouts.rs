//! The layouts that the MiniGrid tasks draw: distributed as the package's, and every one of them solvable.

use std::collections::{BTreeMap, BTreeSet};

use gbrl_core::rl::env::{Action, Env};
use gbrl_envs::minigrid::cell::Cell;
use gbrl_envs::minigrid::grid::Pose;
use gbrl_envs::minigrid::world::{Move, World};
use gbrl_envs::minigrid::{COLUMNS, DoorKey, Empty, Fetch, GoToDoor, MiniGrid, Quest, Task, Unlock, Verdict};

/// As many as the script drew from the package.
const LAYOUTS: u64 = 20_000;

/// What can be asked of any MiniGrid, whatever its task.
trait Any {
    fn reset(&mut self, seed: u64);
    fn features(&self) -> [(&'static str, String); 6];
    fn solve(&mut self);
}

impl<T: Task> Any for MiniGrid<T> {
    fn reset(&mut self, seed: u64) {
        Env::reset(self, seed, &mut [0.0; COLUMNS]).unwrap();
    }

    /// What is counted about a layout; `features` in scripts/minigrid_trajectories.py is the same.
    fn features(&self) -> [(&'static str, String); 6] {
        let (grid, Pose { position, direction }) = (self.world().grid(), self.world().agent());
        let text: Vec<String> = grid.area().positions().map(|p| grid.get(p).to_string()).collect();
        let things: Vec<usize> =
            (0..text.len()).filter(|&i| text[i] != ".." && text[i] != "##" && !text[i].starts_with('G')).collect();
        let (x, y, d) = (i32::from(position.x), i32::from(position.y), direction as u8);
        let first = things.first().map_or(0, |&i| i as i32);
        let (dx, dy) = (first % i32::from(grid.width()) - x, first / i32::from(grid.width()) - y);
        let ahead = &grid.get(position.ahead(direction)).to_string()[..1];
        [
            ("agent", format!("{x},{y},{d}")),
            ("mission", self.mission().to_owned()),
            ("kinds", text.iter().map(|cell| &cell[..1]).collect()),
            ("colours", things.iter().map(|&i| &text[i][1..]).collect()),
            ("ahead", format!("{ahead}{dx},{dy}")),
            ("all", format!("{grid},{x},{y},{d},{}", self.mission())),
        ]
    }

    /// Finds a shortest solution by looking at every state, and plays it.
    fn solve(&mut self) {
        let quest = Quest {
            mission: self.missions().iter().position(|mission| mission == self.mission()).unwrap() as u32,
            target: self.target(),
        };
        let solution = shortest(self.task(), quest, self.world()).unwrap_or_else(|| panic!("{:?}", self.world()));
        let max_steps = self.task().max_steps();
        assert!(solution.len() <= max_steps as usize / 2, "{} steps for {:?}", solution.len(), self.world());
        let mut observation = [0.0; COLUMNS];
        for (i, &action) in solution.iter().enumerate() {
            let step = self.step(Action::Discrete(action), &mut observation).unwrap();
            let is_last = i + 1 == solution.len();
            let reward = if is_last { 1.0 - 0.9 * (solution.len() as f32 / max_steps as f32) } else { 0.0 };
            assert!((step.reward - reward).abs() < 1e-6 && step.terminated == is_last, "{step:?} after {i}");
        }
    }
}

/// The states of a world as bytes: agent, load, cells.
fn key(world: &World) -> Vec<u8> {
    let Pose { position, direction } = world.agent();
    let mut key = vec![position.x, position.y, direction as u8, world.carrying().map_or(0, Cell::code)];
    key.extend(world.grid().area().positions().map(|p| world.grid().get(p).code()));
    key
}

/// Breadth first over everything but dropping, which no task here needs.
fn shortest<T: Task>(task: &T, quest: Quest, start: &World) -> Option<Vec<u32>> {
    let mut seen = BTreeSet::from([key(start)]);
    let mut found: Vec<(World, usize, u32)> = vec![(start.clone(), 0, 0)];
    let mut next = 0;
    while next < found.len() {
        for action in Move::ALL.into_iter().filter(|&action| action != Move::Drop) {
            let mut world = found[next].0.clone();
            let moved = world.act(action);
            match task.judge(&world, quest, action, moved) {
                Verdict::Success => {
                    let (mut actions, mut at) = (vec![action as u32], next);
                    while at > 0 {
                        actions.push(found[at].2);
                        at = found[at].1;
                    }
                    actions.reverse();
                    return Some(actions);
                }
                Verdict::GoesOn if seen.insert(key(&world)) => found.push((world, next, action as u32)),
                _ => {}
            }
        }
        next += 1;
    }
    None
}

fn boxed<T: Task + 'static>(task: T) -> Box<dyn Any> {
    Box::new(MiniGrid::new(task).unwrap())
}

/// Every registered task.
fn tasks() -> Vec<(&'static str, Box<dyn Any>)> {
    let make = |id: &str| -> Box<dyn Any> {
        match id.trim_start_matches("MiniGrid-").trim_end_matches("-v0") {
            "DoorKey-16x16" => boxed(DoorKey::new(16).unwrap()),
            "DoorKey-5x5" => boxed(DoorKey::new(5).unwrap()),
            "DoorKey-6x6" => boxed(DoorKey::new(6).unwrap()),
            "DoorKey-8x8" => boxed(DoorKey::new(8).unwrap()),
            "Empty-16x16" => boxed(Empty::new(16).unwrap()),
            "Empty-5x5" => boxed(Empty::new(5).unwrap()),
            "Empty-6x6" => boxed(Empty::new(6).unwrap()),
            "Empty-8x8" => boxed(Empty::new(8).unwrap()),
            "Empty-Random-5x5" => boxed(Empty::random(5).unwrap()),
            "Empty-Random-6x6" => boxed(Empty::random(6).unwrap()),
            "Fetch-5x5-N2" => boxed(Fetch::new(5, 2).unwrap()),
            "Fetch-6x6-N2" => boxed(Fetch::new(6, 2).unwrap()),
            "Fetch-8x8-N3" => boxed(Fetch::new(8, 3).unwrap()),
            "GoToDoor-5x5" => boxed(GoToDoor::new(5).unwrap()),
            "GoToDoor-6x6" => boxed(GoToDoor::new(6).unwrap()),
            "GoToDoor-8x8" => boxed(GoToDoor::new(8).unwrap()),
            "Unlock" => boxed(Unlock),
            other => panic!("{other} is not tested"),
        }
    };
    let ids = gbrl_envs::ids().filter(|id| id.starts_with("MiniGrid-"));
    ids.map(|id| (id, make(id))).collect()
}

#[test]
fn every_layout_can_be_solved_within_half_the_limit() {
    for (id, mut env) in tasks() {
        for seed in 0..if id.contains("16x16") { 6 } else { 150 } {
            env.reset(seed);
            env.solve();
        }
    }
}

#[test]
fn a_seed_gives_its_layout_for_ever() {
    for (id, mut env) in tasks() {
        let Some((_, layout)) = GOLDEN.iter().find(|(golden, _)| *golden == id) else { continue };
        env.reset(7);
        assert_eq!(env.features()[5].1, *layout, "{id}: a change here changes every published run");
    }
}
const GOLDEN: [(&str, &str); 5] = [
    (
        "MiniGrid-DoorKey-5x5-v0",
        "##########/##KyLy..##/##..##..##/##..##Gg##/##########,1,2,3,use the key to open the door and then get to the goal",
    ),
    (
        "MiniGrid-Empty-Random-5x5-v0",
        "##########/##......##/##......##/##....Gg##/##########,2,2,1,get to the green goal square",
    ),
    (
        "MiniGrid-Fetch-5x5-N2-v0",
        "##########/##......##/##Bg....##/##..Bp..##/##########,2,1,1,you must fetch a purple ball",
    ),
    ("MiniGrid-GoToDoor-5x5-v0", "####Dr####/##......##/Dp......Da/##......##/####Dg####,2,3,3,go to the grey door"),
    (
        "MiniGrid-Unlock-v0",
        "######################/##........##........##/##........Lg........##/##........##........##/##Kg......##........##/######################,1,3,2,open the door",
    ),
];

/// FNV-1a of a class, folded to 64 buckets, written as the script does.
fn bucket(class: &str) -> String {
    let hash = class
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
    let hash = hash ^ hash >> 32;
    let hash = hash ^ hash >> 16;
    format!("~{}", (hash ^ hash >> 8) as u8 % 64)
}

/// Two samples of the same size: Σ (a − b)²/(a + b) is χ² distributed with a degree of freedom for each class but one.
/// Classes with fewer than 10 in both together count as one. Gives the sum and its degrees of freedom.
fn chi_square(a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>) -> (f64, f64) {
    let classes: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let (mut sum, mut n_classes, mut rare) = (0.0, 0.0, (0, 0));
    let mut add = |a: u64, b: u64| {
        sum += (a as f64 - b as f64).powi(2) / (a + b) as f64;
        n_classes += 1.0;
    };
    for class in classes {
        match (a.get(class).copied().unwrap_or(0), b.get(class).copied().unwrap_or(0)) {
            (a, b) if a + b < 10 => rare = (rare.0 + a, rare.1 + b),
            (a, b) => add(a, b),
        }
    }
    if rare.0 + rare.1 > 0 {
        add(rare.0, rare.1);
    }
    (sum, n_classes - 1.0)
}

#[test]
fn layouts_are_distributed_as_the_packages() {
    let path = format!("{}/tests/data/minigrid_layouts.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    // By task and feature, counts of classes.
    let mut recorded: BTreeMap<&str, BTreeMap<&str, BTreeMap<String, u64>>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [task, feature, classes @ ..] = &line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let count = |class: &&str| {
            let (name, count) = class.rsplit_once('=').unwrap();
            (name.to_owned(), count.parse().unwrap())
        };
        recorded.entry(task).or_default().insert(feature, classes.iter().map(count).collect());
    }
    assert_eq!(recorded.len(), 12);

    let mut compared = 0;
    for (id, mut env) in tasks() {
        let Some(expected) = recorded.get(id) else { continue };
        let is_hashed = |feature: &str| expected[feature].keys().all(|class| class.starts_with('~'));
        let mut counts: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        for seed in 0..LAYOUTS {
            env.reset(seed);
            for (feature, class) in env.features().into_iter().filter(|(feature, _)| expected.contains_key(feature)) {
                let class = if is_hashed(feature) { bucket(&class) } else { class };
                *counts.entry(feature).or_default().entry(class).or_default() += 1;
            }
        }
        for (feature, expected) in expected {
            assert_eq!(expected.values().sum::<u64>(), LAYOUTS);
            let (sum, freedom) = chi_square(&counts[feature], expected);
            // Mean and variance of χ² are k and 2k; this is far out, and the seeds are fixed.
            let bound = freedom + 4.0 * (2.0 * freedom).sqrt() + 4.0;
            assert!(sum < bound, "{id} {feature}: χ² = {sum:.1} with {freedom} degrees of freedom");
            // A class that one side has often, the other has too.
            for (here, there) in [(&counts[feature], expected), (expected, &counts[feature])] {
                let missing = here.iter().find(|(class, count)| **count >= 20 && !there.contains_key(*class));
                assert_eq!(missing, None, "{id} {feature}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, text.lines().filter(|line| !line.starts_with('#')).count());
}
