//! MiniGrid: an agent in a world of cells that sees seven by seven of them and is asked by a sentence.
//!
//! Source: the package `minigrid` 3.2.0; Chevalier-Boisvert and others, *Minigrid & Miniworld: modular & customizable
//! reinforcement learning environments for goal-oriented tasks*, 2023.
//!
//! | index | observation | unit | min | max |
//! |---|---|---|---|---|
//! | 0 to 48 | `image[7·i + j]`, the cell in column i (left to right) and row j (top to bottom) of the view, a category: see [`cell`] | | 0 | 61 |
//! | 49 | `direction`, a category: 0 right, 1 down, 2 left, 3 up | | 0 | 3 |
//! | 50 | `mission`, a category: the task's page has the table | | 0 | missions − 1 |
//!
//! | | |
//! |---|---|
//! | actions | `Discrete(7)`: 0 turn left, 1 turn right, 2 forward, 3 pick up, 4 drop, 5 toggle, 6 done |
//! | reward | 1 − 0.9·steps/max_steps on success, the step of the success counted; otherwise 0 |
//! | start | the task's layout, drawn from the seed |
//! | terminated | success, or failure as the task says |
//! | truncated | after max_steps steps (by the registry) |
//! | solved | nobody agreed on a return |
//! | constants | the view is turned so that the agent, at its column 3 and row 6, looks upwards; beyond the grid there are walls; the agent's cell shows what it carries |
//!
//! | task | ids (registered under the package's) | the agent must |
//! |---|---|---|
//! | [`empty`] | `MiniGrid-Empty-{5x5, 6x6, 8x8, 16x16, Random-5x5, Random-6x6}-v0` | walk to the goal |
//! | [`door_key`] | `MiniGrid-DoorKey-{5x5, 6x6, 8x8, 16x16}-v0` | fetch the key, open the door, walk to the goal |
//! | [`unlock`] | `MiniGrid-Unlock-v0` | fetch the key, open the door |
//! | [`go_to_door`] | `MiniGrid-GoToDoor-{5x5, 6x6, 8x8}-v0` | stand beside the door of the colour named, and say so |
//! | [`fetch`] | `MiniGrid-Fetch-{5x5-N2, 6x6-N2, 8x8-N3}-v0` | pick up the object named |
//!
//! The package shows three numbers per cell and the sentence as text; here a cell is the one category that the three
//! name together, and the sentence is its number. From the same layout the same actions give the same observations,
//! rewards and ends as the package's; the layouts of a seed are others, of the same distribution.
//!
//! A further task is a [`Task`]: where things stand at the start, and what an action came to. [`grid`], [`rooms`]
//! and [`world`] have what it is made of.

mod env;

pub mod cell;
pub mod door_key;
pub mod empty;
pub mod fetch;
pub mod go_to_door;
pub mod grid;
pub mod rooms;
pub mod task;
pub mod unlock;
pub mod view;
pub mod world;

pub use door_key::DoorKey;
pub use empty::Empty;
pub use env::{COLUMNS, MiniGrid};
pub use fetch::Fetch;
pub use go_to_door::GoToDoor;
pub use task::{Layout, Quest, Task, Verdict};
pub use unlock::Unlock;
