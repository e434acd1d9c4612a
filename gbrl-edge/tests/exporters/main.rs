//! The exporters to C, Rust and loadable bytes against the library, on random policies of every shape and on adversarial observations.

mod c;
mod cases;
mod edge;
mod golden;
mod hostile;
mod quantised;
