//! One question per level for all nodes, until the depth is reached or no candidate separates any rows.

use super::{Grown, stored, to_split};
use crate::backend::{Backend, NodeId, Task};
use crate::error::Result;
use crate::tree::Shape;

pub(super) fn grow<B: Backend + ?Sized>(backend: &mut B, task: &Task<'_>, max_depth: usize) -> Result<Grown> {
    let (mut splits, mut gains) = (Vec::with_capacity(max_depth), Vec::with_capacity(max_depth));
    let mut level: Vec<NodeId> = vec![0];
    while splits.len() < max_depth {
        let Some(best) = backend.best_joint(task, &level)? else { break };
        let mut before = 0.0;
        for &node in &level {
            before += backend.unsplit(task, node)?;
        }
        gains.push(stored(best.score - before));
        splits.push(to_split(task, best.candidate));
        let cuts: Vec<_> = level.iter().map(|&node| (node, best.candidate)).collect();
        backend.partition(task, &cuts)?;
        let first_child = level[level.len() - 1] + 1;
        level = (first_child..first_child + 2 * cuts.len()).collect();
    }
    Ok(Grown { shape: Shape::Oblivious(splits.into()), gains, leaves: level })
}
