//! The loadable form: one file that gbrl-edge and the C interpreter read, laid out in docs/edge-format.md.

use super::form::{EdgeHead, EdgePolicy, Form};
use super::leaves::{Leaves, Sums};
use crate::tree::Child;

/// Code of a run of trees that are not oblivious, where others have their depth.
const BINARY: u8 = 255;

/// The bytes of a policy.
pub fn to_bytes(policy: &EdgePolicy) -> Vec<u8> {
    let mut out = Writer(Vec::new());
    out.0.extend(b"GBRE");
    out.u16(1);
    out.u16(64);
    out.u32(0);
    out.u32(policy.n_features);
    let (head, n_parts) = match &policy.head {
        EdgeHead::Discrete(parts) => (0, parts.len()),
        EdgeHead::MultiBinary(n) => (1, *n),
        EdgeHead::Box(bounds) => (2, bounds.len()),
        EdgeHead::SquashedBox(bounds) => (3, bounds.len()),
    };
    let leaf_kind = match &policy.sums {
        Sums::Float { .. } => 0,
        Sums::Integer { leaves: Leaves::Int16(_), .. } => 1,
        Sums::Integer { leaves: Leaves::Int8(_), .. } => 2,
    };
    let widths = [policy.test_bytes() as u8, policy.link_bytes() as u8];
    out.0.extend([head, leaf_kind, u8::from(policy.has_value), widths[0], widths[1], 0, 0, 0]);
    out.u32(policy.n_logits);
    out.u32(policy.sums.n_sums());
    out.u32(n_parts);
    out.u32(policy.slots.len());
    out.u32(policy.slots.iter().map(|slot| slot.keys.len()).sum());
    out.u32(policy.runs.len());
    out.u32(policy.n_trees());
    out.u32(policy.sizes.len());
    out.u32(policy.tests.len());
    out.u32(policy.sums.n_leaf_values());
    match &policy.head {
        EdgeHead::Discrete(parts) => {
            for part in parts {
                out.0.extend(part.n.to_le_bytes());
                out.0.extend(part.start.to_le_bytes());
            }
        }
        EdgeHead::MultiBinary(_) => {}
        EdgeHead::Box(bounds) | EdgeHead::SquashedBox(bounds) => {
            for (low, high) in bounds {
                out.0.extend(low.to_le_bytes());
                out.0.extend(high.to_le_bytes());
            }
        }
    }
    match &policy.sums {
        Sums::Float { bias, .. } => bias.iter().for_each(|b| out.0.extend(b.to_le_bytes())),
        Sums::Integer { bias, scales, .. } => {
            bias.iter().for_each(|b| out.0.extend(b.to_le_bytes()));
            scales.iter().for_each(|s| out.0.extend(s.to_le_bytes()));
        }
    }
    for slot in &policy.slots {
        out.u16(slot.feature);
        out.0.extend([slot.kind as u8, slot.keys.len() as u8]);
    }
    for key in policy.slots.iter().flat_map(|slot| &slot.keys) {
        out.0.extend(key.to_le_bytes());
    }
    for run in &policy.runs {
        out.0.extend(run.n_trees.to_le_bytes());
        out.u16(run.first as u16);
        out.u16(run.width as u16);
        let form = match run.form {
            Form::Oblivious(depth) => depth,
            Form::Binary => BINARY,
        };
        out.0.extend([form, 0, 0, 0]);
    }
    policy.sizes.iter().for_each(|&size| out.u16(size));
    for test in &policy.tests {
        if policy.test_bytes() == 3 {
            out.u16(test.slot);
        } else {
            out.0.push(test.slot as u8);
        }
        out.0.push(test.key);
    }
    for &child in policy.children.iter().flatten() {
        match policy.link_bytes() {
            1 => out.0.push(link(child, 7) as u8),
            _ => out.u16(link(child, 15) as u16),
        }
    }
    match &policy.sums {
        Sums::Float { leaves, .. } => leaves.iter().for_each(|x| out.0.extend(x.to_le_bytes())),
        Sums::Integer { leaves: Leaves::Int16(leaves), .. } => {
            leaves.iter().for_each(|q| out.0.extend(q.to_le_bytes()));
        }
        Sums::Integer { leaves: Leaves::Int8(leaves), .. } => leaves.iter().for_each(|q| out.0.extend(q.to_le_bytes())),
    }
    let length = out.0.len() as u32 + 4;
    out.0[8..12].copy_from_slice(&length.to_le_bytes());
    let sum = crc32fast::hash(&out.0);
    out.0.extend(sum.to_le_bytes());
    out.0
}

/// A link: the index, with bit `leaf_bit` set for a leaf.
pub(super) fn link(child: Child, leaf_bit: u32) -> u32 {
    match child {
        Child::Node(node) => node,
        Child::Leaf(leaf) => leaf | 1 << leaf_bit,
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u16(&mut self, x: u16) {
        self.0.extend(x.to_le_bytes());
    }

    fn u32(&mut self, x: usize) {
        self.0.extend((x as u32).to_le_bytes());
    }
}
