//! Growing one tree: which nodes are split next. No arithmetic on gradients happens here; that is the backend's.

mod bestfirst;
mod depthwise;
mod oblivious;

use crate::backend::{Backend, NodeId, Task};
use crate::config::{GrowPolicy, TreeParams};
use crate::error::Result;
use crate::tree::{Candidate, Child, Node, Shape, Split};

/// A grown structure: the shape, a gain per split, and which backend node became which leaf.
#[derive(Clone, Debug)]
pub struct Grown {
    /// The splits.
    pub shape: Shape,
    /// Gain of each split, in the order of the shape.
    pub gains: Vec<f32>,
    /// The backend's node of each leaf, in leaf order.
    pub leaves: Vec<NodeId>,
}

/// Grows one tree on `backend`, which has begun `task`.
///
/// # Errors
/// Whatever the backend reports.
pub fn grow<B: Backend + ?Sized>(backend: &mut B, task: &Task<'_>, params: &TreeParams) -> Result<Grown> {
    match params.grow_policy {
        GrowPolicy::Oblivious => oblivious::grow(backend, task, params.max_depth),
        GrowPolicy::Depthwise => {
            let max_depth = useful_depth(backend, task, params.max_depth)?;
            depthwise::grow(backend, task, max_depth, params.min_split_gain)
        }
        GrowPolicy::Bestfirst => {
            let max_depth = useful_depth(backend, task, params.max_depth)?;
            bestfirst::grow(backend, task, max_depth, params.max_leaves, params.min_split_gain)
        }
    }
}

/// Where every score is zero no question can matter: one leaf.
fn useful_depth<B: Backend + ?Sized>(backend: &mut B, task: &Task<'_>, max_depth: usize) -> Result<usize> {
    let nothing_to_learn = backend.score_rule(task)?.units.iter().all(|&unit| unit == 0.0);
    Ok(if nothing_to_learn { 0 } else { max_depth })
}

fn to_split(task: &Task<'_>, candidate: Candidate) -> Split {
    candidate.to_split(&task.bins.column(candidate.feature_idx as usize).bins)
}

/// A gain as trees keep it: the largest f32 where it is larger, so that every gain is finite and can be saved.
fn stored(gain: f64) -> f32 {
    gain.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

/// Inner nodes in the order of their making, for the policies whose nodes ask their own questions.
#[derive(Default)]
struct BinaryBuilder {
    nodes: Vec<Made>,
    gains: Vec<f32>,
}

struct Made {
    node: NodeId,
    split: Split,
    /// The backend's id of the left child; the right one follows.
    left: NodeId,
}

impl BinaryBuilder {
    fn split(&mut self, node: NodeId, split: Split, gain: f64, left: NodeId) {
        self.nodes.push(Made { node, split, left });
        self.gains.push(stored(gain));
    }

    /// Leaves are numbered from left to right.
    fn finish(self) -> Grown {
        let mut index_of = std::collections::BTreeMap::new();
        index_of.extend(self.nodes.iter().enumerate().map(|(i, made)| (made.node, i)));
        let mut nodes: Vec<Node> = self
            .nodes
            .iter()
            .map(|made| Node { split: made.split, left: Child::Leaf(0), right: Child::Leaf(0) })
            .collect();
        let mut leaves = Vec::with_capacity(nodes.len() + 1);
        // A stack of (backend node, where to note what it became), right children below left ones.
        let mut open = vec![(0, None)];
        while let Some((node, parent)) = open.pop() {
            let child = match index_of.get(&node) {
                Some(&i) => {
                    open.push((self.nodes[i].left + 1, Some((i, true))));
                    open.push((self.nodes[i].left, Some((i, false))));
                    Child::Node(i as u32)
                }
                None => {
                    leaves.push(node);
                    Child::Leaf(leaves.len() as u32 - 1)
                }
            };
            match parent {
                Some((i, true)) => nodes[i].right = child,
                Some((i, false)) => nodes[i].left = child,
                None => {}
            }
        }
        Grown { shape: Shape::Binary(nodes.into()), gains: self.gains, leaves }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_beyond_single_precision_stop_at_its_ends() {
        for (gain, kept) in
            [(2.5, 2.5), (-0.1, -0.1), (3.5e38, f32::MAX), (f64::INFINITY, f32::MAX), (-1e300, f32::MIN), (1e-300, 0.0)]
        {
            assert_eq!(stored(gain), kept);
        }
    }
}
