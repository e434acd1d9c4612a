//! One question per level for all nodes, until the depth is reached or no candidate separates any rows.

use super::{Grown, stored, to_split, useful_depth};
use crate::backend::{Backend, NodeId, Task};
use crate::error::Result;
use crate::tree::{Scored, Shape};

pub(super) fn grow<B: Backend + ?Sized>(backend: &mut B, task: &Task<'_>, max_depth: usize) -> Result<Grown> {
    let best = match backend.grow_oblivious(task, max_depth)? {
        Some(best) => best,
        None => {
            let max_depth = useful_depth(backend, task, max_depth)?;
            by_level(backend, task, max_depth)?
        }
    };
    let mut gains = Vec::with_capacity(best.len());
    let mut level: Vec<NodeId> = vec![0];
    for best in &best {
        let mut before = 0.0;
        for &node in &level {
            before += backend.unsplit(task, node)?;
        }
        gains.push(stored(best.score - before));
        level = children(&level);
    }
    let splits: Vec<_> = best.iter().map(|best| to_split(task, best.candidate)).collect();
    Ok(Grown { shape: Shape::Oblivious(splits.into()), gains, leaves: level })
}

fn by_level<B: Backend + ?Sized>(backend: &mut B, task: &Task<'_>, max_depth: usize) -> Result<Vec<Scored>> {
    let mut chosen = Vec::with_capacity(max_depth);
    let mut level: Vec<NodeId> = vec![0];
    while chosen.len() < max_depth {
        let Some(best) = backend.best_joint(task, &level)? else { break };
        chosen.push(best);
        let cuts: Vec<_> = level.iter().map(|&node| (node, best.candidate)).collect();
        backend.partition(task, &cuts)?;
        level = children(&level);
    }
    Ok(chosen)
}

/// The children of a level whose nodes are all split: numbers go up level by level.
fn children(level: &[NodeId]) -> Vec<NodeId> {
    let first = level[level.len() - 1] + 1;
    (first..first + 2 * level.len()).collect()
}
