//! The exporters against the library, on random policies of every shape and on adversarial observations.

mod c;
mod cases;
mod cortex;
mod edge;
mod golden;
mod hostile;
mod job;
mod json;
mod onnx;
mod quantised;
mod wasm;
