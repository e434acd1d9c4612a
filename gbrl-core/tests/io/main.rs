//! Model files, checkpoints and dumps: golden files, attacks, round trips.

mod attack;
mod dumps;
mod files;
mod golden;
mod models;
mod round_trip;
