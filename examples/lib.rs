//! Examples: `cargo run --release -p gbrl-examples --example ppo_cartpole` (or `custom_env`, `supervised`).
