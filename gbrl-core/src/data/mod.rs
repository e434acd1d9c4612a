//! Observations: what the columns mean, where their bins lie, and the binned matrix that trees are grown on.

pub mod schema;
