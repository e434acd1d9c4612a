//! The node with the largest gain is split next, until there are enough leaves.

use super::{BinaryBuilder, Grown, to_split};
use crate::backend::{Backend, NodeId, Task};
use crate::error::Result;
use crate::tree::Candidate;

/// A node that could be split.
struct Open {
    node: NodeId,
    depth: usize,
    candidate: Candidate,
    gain: f64,
}

pub(super) fn grow<B: Backend + ?Sized>(
    backend: &mut B,
    task: &Task<'_>,
    max_depth: usize,
    max_leaves: usize,
    min_split_gain: f64,
) -> Result<Grown> {
    let mut builder = BinaryBuilder::default();
    let mut open: Vec<Open> = Vec::new();
    let mut best = Vec::new();
    let (mut fresh, mut fresh_depth, mut n_nodes, mut n_leaves) = (vec![0], 0, 1, 1);
    loop {
        if fresh_depth < max_depth && n_leaves < max_leaves {
            backend.best_each(task, &fresh, &mut best)?;
            for (&node, best) in fresh.iter().zip(&best) {
                let Some(best) = best else { continue };
                let before = if fresh_depth == 0 { 0.0 } else { backend.unsplit(task, node)? };
                let gain = best.score - before;
                if gain >= min_split_gain {
                    open.push(Open { node, depth: fresh_depth, candidate: best.candidate, gain });
                }
            }
        }
        if n_leaves >= max_leaves {
            break;
        }
        // Largest gain first; of equal ones the node made first, which the queue's order already is.
        let Some(next) = (0..open.len()).reduce(|a, b| if open[b].gain > open[a].gain { b } else { a }) else { break };
        let next = open.remove(next);
        backend.partition(task, &[(next.node, next.candidate)])?;
        builder.split(next.node, to_split(task, next.candidate), next.gain, n_nodes);
        fresh = vec![n_nodes, n_nodes + 1];
        fresh_depth = next.depth + 1;
        n_nodes += 2;
        n_leaves += 1;
    }
    Ok(builder.finish())
}
