//! Every node asks its own question, a level at a time.

use super::{BinaryBuilder, Grown, to_split};
use crate::backend::{Backend, NodeId, Task};
use crate::error::Result;

pub(super) fn grow<B: Backend + ?Sized>(
    backend: &mut B,
    task: &Task<'_>,
    max_depth: usize,
    min_split_gain: f64,
) -> Result<Grown> {
    let mut builder = BinaryBuilder::default();
    let mut level: Vec<NodeId> = vec![0];
    let mut n_nodes = 1;
    let mut best = Vec::new();
    for depth in 0..max_depth {
        backend.best_each(task, &level, &mut best)?;
        let mut cuts = Vec::with_capacity(level.len());
        for (&node, best) in level.iter().zip(&best) {
            let Some(best) = best else { continue };
            // The root has no parent to beat.
            let before = if depth == 0 { 0.0 } else { backend.unsplit(task, node)? };
            let gain = best.score - before;
            if gain >= min_split_gain {
                builder.split(node, to_split(task, best.candidate), gain, n_nodes + 2 * cuts.len());
                cuts.push((node, best.candidate));
            }
        }
        if cuts.is_empty() {
            break;
        }
        backend.partition(task, &cuts)?;
        level = (n_nodes..n_nodes + 2 * cuts.len()).collect();
        n_nodes += 2 * cuts.len();
    }
    Ok(builder.finish())
}
