//! Which histogram lies where, for trees whose nodes the host asks about one after the other.

use std::collections::BTreeMap;
use std::ops::Range;

use gbrl_core::backend::NodeId;

use crate::launch::Pair;

/// The histograms of a growing tree. One is a slot: the cells of all features.
#[derive(Default)]
pub struct Slots {
    parent_of: BTreeMap<NodeId, NodeId>,
    /// The slot that holds a node's histogram.
    slot_of: BTreeMap<NodeId, usize>,
    free: Vec<usize>,
    n_slots: usize,
}

/// What is to be summed, and for whom.
#[derive(Default)]
pub struct Plan {
    /// Whether no earlier histogram is of use any more.
    pub evicted: bool,
    /// Slots to be empty before.
    pub fresh: Vec<usize>,
    pub pairs: Vec<Pair>,
    /// By node, the slot that its rows are added to, or −1; the smaller of each pair is filled in on the device.
    pub build: Vec<i32>,
    /// The nodes to be scored, and the slots that their histograms are in afterwards.
    pub nodes: Vec<u32>,
    pub slots: Vec<i32>,
}

impl Plan {
    /// The fresh slots, where they follow one another.
    pub fn fresh_range(&self) -> Option<Range<usize>> {
        let first = *self.fresh.first()?;
        let range = first..first + self.fresh.len();
        range.clone().eq(self.fresh.iter().copied()).then_some(range)
    }
}

impl Slots {
    /// Slots so far.
    pub fn len(&self) -> usize {
        self.n_slots
    }

    /// `left` and the next node are what `node` was split into.
    pub fn split(&mut self, node: NodeId, left: NodeId) {
        self.parent_of.insert(left, node);
        self.parent_of.insert(left + 1, node);
    }

    /// Decides which histograms are summed for `nodes` and which are what remains of a parent; every one of `nodes`, of which
    /// there are at most `most`, has a slot afterwards. `n_nodes` are there in all.
    pub fn plan(&mut self, nodes: &[NodeId], n_nodes: usize, most: usize) -> Plan {
        let mut wanted: Vec<NodeId> = nodes.iter().copied().filter(|node| !self.slot_of.contains_key(node)).collect();
        // The second child of a pair takes over its parent's slot.
        let n_pairs = (0..wanted.len()).filter(|&i| self.parent_slot(&wanted, i).is_some()).count();
        let evicted = self.n_slots - self.free.len() + wanted.len() - n_pairs > most;
        if evicted {
            // No room for what may be of use later on.
            self.slot_of.clear();
            self.n_slots = self.n_slots.min(most);
            self.free = (0..self.n_slots).rev().collect();
            wanted = nodes.to_vec();
        }
        let mut plan = Plan { build: vec![-1; n_nodes], evicted, ..Plan::default() };
        let mut i = 0;
        while i < wanted.len() {
            let node = wanted[i];
            let pair = self.parent_slot(&wanted, i);
            let slot = self.free.pop().unwrap_or_else(|| {
                self.n_slots += 1;
                self.n_slots - 1
            });
            plan.fresh.push(slot);
            match pair {
                Some((parent, parent_slot)) => {
                    let (left, right) = (node as u32, node as u32 + 1);
                    plan.pairs.push(Pair { left, right, parent_slot: parent_slot as u32, fresh_slot: slot as u32 });
                    self.slot_of.remove(&parent);
                    self.slot_of.insert(node, parent_slot);
                    self.slot_of.insert(node + 1, slot);
                    i += 2;
                }
                None => {
                    plan.build[node] = slot as i32;
                    self.slot_of.insert(node, slot);
                    i += 1;
                }
            }
        }
        plan.slots = nodes.iter().map(|node| self.slot_of[node] as i32).collect();
        plan.nodes = nodes.iter().map(|&node| node as u32).collect();
        plan
    }

    /// A node and its slot, where the i-th and the next of `wanted` are its children.
    fn parent_slot(&self, wanted: &[NodeId], i: usize) -> Option<(NodeId, usize)> {
        let parent = *self.parent_of.get(&wanted[i])?;
        let sibling = *wanted.get(i + 1)?;
        let are_pair = sibling == wanted[i] + 1 && self.parent_of.get(&sibling) == Some(&parent);
        Some((parent, *self.slot_of.get(&parent)?)).filter(|_| are_pair)
    }
}
