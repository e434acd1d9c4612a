//! Reads a policy's bytes: everything that a decision relies on is checked here, once.

use crate::bytes::{f32_at, i32_at, u8_at, u16_at, u32_at};
use crate::crc::crc32;
use crate::error::Error;
use crate::policy::{BINARY, EQUAL, Head, LeafKind, Policy, RUN};

const HEADER: usize = 64;
/// Levels of an oblivious tree.
const MAX_DEPTH: u8 = 16;

/// Hands out the bytes from front to back.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// `n` elements of `width` bytes.
    fn take(&mut self, n: u32, width: usize) -> Result<&'a [u8], Error> {
        let short = Error::Layout("the sizes");
        let length = usize::try_from(n).ok().and_then(|n| n.checked_mul(width)).ok_or(short)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(short)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn hold(rule: bool, part: &'static str) -> Result<(), Error> {
    if rule { Ok(()) } else { Err(Error::Layout(part)) }
}

/// Checks `bytes` and finds their parts.
pub fn read(bytes: &[u8]) -> Result<Policy<'_>, Error> {
    let Some((header, _)) = bytes.split_at_checked(HEADER) else {
        return Err(Error::Length { expected: HEADER + 4, got: bytes.len() });
    };
    if !header.starts_with(b"GBRE") || u16_at(header, 2) != 1 || usize::from(u16_at(header, 3)) != HEADER {
        return Err(Error::Magic);
    }
    let length = u32_at(header, 2) as usize;
    let Some((content, sum)) = bytes.len().checked_sub(4).and_then(|end| bytes.split_at_checked(end)) else {
        return Err(Error::Length { expected: HEADER + 4, got: bytes.len() });
    };
    if length != bytes.len() || content.len() < HEADER {
        return Err(Error::Length { expected: length, got: bytes.len() });
    }
    if crc32(content) != u32_at(sum, 0) {
        return Err(Error::Checksum);
    }
    let field = |i: usize| u32_at(header, i);
    let (n_features, flags) = (field(3), (u8_at(header, 18), u8_at(header, 21), u16_at(header, 11)));
    let (test_width, child_width) = (usize::from(u8_at(header, 19)), usize::from(u8_at(header, 20)));
    let (n_logits, n_sums, n_parts) = (field(6), field(7), field(8));
    let (n_slots, n_keys, n_runs) = (field(9), field(10), field(11));
    let (n_trees, n_binary, n_tests, n_leaf_values) = (field(12), field(13), field(14), field(15));
    hold(flags.0 <= 1 && flags.1 == 0 && flags.2 == 0, "the flags")?;
    hold((1..=1 << 16).contains(&n_features) && n_slots <= 1 << 16 && n_logits <= 1 << 16, "the sizes")?;
    hold(test_width == 2 && n_slots <= 256 || test_width == 3 && n_slots > 256, "the questions")?;
    hold(if n_binary == 0 { child_width == 0 } else { (1..=2).contains(&child_width) }, "the links")?;
    let leaf = match u8_at(header, 17) {
        0 => LeafKind::F32,
        1 => LeafKind::I16,
        2 => LeafKind::I8,
        _ => return Err(Error::Layout("the leaves")),
    };
    let mut rest = Cursor(content.get(HEADER..).unwrap_or(&[]));
    let head_code = u8_at(header, 16);
    let parts = if head_code == 1 { &[] } else { rest.take(n_parts, 8)? };
    let head = match head_code {
        0 => Head::Discrete(parts),
        1 => Head::MultiBinary,
        2 => Head::Box(parts),
        3 => Head::SquashedBox(parts),
        _ => return Err(Error::Layout("the action head")),
    };
    check_head(head, n_parts, n_logits)?;
    let relative = leaf != LeafKind::F32 && head_code == 0;
    let sums = u64::from(n_logits) + u64::from(flags.0) - if relative { u64::from(n_parts) } else { 0 };
    hold(u64::from(n_sums) == sums, "the sums")?;
    let bias = rest.take(n_sums, 4)?;
    let scales = if leaf == LeafKind::F32 { &[] } else { rest.take(n_sums, 4)? };
    let slots = rest.take(n_slots, 4)?;
    let keys = rest.take(n_keys, 4)?;
    let n_order = check_slots(slots, keys, n_features)?;
    let runs = rest.take(n_runs, RUN)?;
    let sizes = rest.take(n_binary, 2)?;
    let tests = rest.take(n_tests, test_width)?;
    let n_nodes = (0..n_binary as usize).map(|i| u32::from(u16_at(sizes, i))).try_fold(0u32, u32::checked_add);
    let children = rest.take(n_nodes.ok_or(Error::Layout("the links"))?, 2 * child_width)?;
    let leaves = rest.take(n_leaf_values, leaf.bytes())?;
    hold(rest.0.is_empty(), "the sizes")?;
    let policy = Policy {
        n_features: n_features as usize,
        n_logits: n_logits as usize,
        n_sums: n_sums as usize,
        n_parts: n_parts as usize,
        has_value: flags.0 == 1,
        head,
        leaf,
        test_width,
        child_width,
        n_order,
        bias,
        scales,
        slots,
        keys,
        runs,
        sizes,
        tests,
        children,
        leaves,
    };
    check_tests(&policy)?;
    check_trees(&policy, [n_trees, n_binary, n_tests, n_leaf_values])?;
    Ok(policy)
}

fn check_head(head: Head<'_>, n_parts: u32, n_logits: u32) -> Result<(), Error> {
    let n = n_parts as usize;
    match head {
        Head::Discrete(parts) => {
            let mut total = 0u64;
            for i in 0..n {
                let (choices, start) = (u32_at(parts, 2 * i), i32_at(parts, 2 * i + 1));
                hold(choices >= 1 && i64::from(start) + i64::from(choices) - 1 <= i64::from(i32::MAX), "the actions")?;
                total += u64::from(choices);
            }
            hold(n >= 1 && total == u64::from(n_logits), "the actions")
        }
        Head::MultiBinary => hold(n >= 1 && n_parts == n_logits, "the actions"),
        Head::Box(bounds) | Head::SquashedBox(bounds) => {
            let finite = matches!(head, Head::SquashedBox(_));
            for i in 0..n {
                let (low, high) = (f32_at(bounds, 2 * i), f32_at(bounds, 2 * i + 1));
                hold(low <= high && (!finite || low.is_finite() && high.is_finite()), "the bounds")?;
            }
            hold(n >= 1 && n_parts == n_logits, "the actions")
        }
    }
}

/// How many slots ask for order: they come first.
fn check_slots(slots: &[u8], keys: &[u8], n_features: u32) -> Result<usize, Error> {
    let (mut at, mut n_order, mut n_equal) = (0, 0, 0);
    for i in 0..slots.len() / 4 {
        let (feature, kind, n) = (u16_at(slots, 2 * i), u8_at(slots, 4 * i + 2), u8_at(slots, 4 * i + 3));
        hold(u32::from(feature) < n_features && kind <= EQUAL && n >= 1, "the slots")?;
        n_equal += usize::from(kind == EQUAL);
        n_order += usize::from(kind != EQUAL);
        hold(kind == EQUAL || n_equal == 0, "the slots")?;
        let end = at + usize::from(n);
        hold(end <= keys.len() / 4, "the keys")?;
        hold((at + 1..end).all(|k| u32_at(keys, k - 1) < u32_at(keys, k)), "the keys")?;
        at = end;
    }
    hold(at == keys.len() / 4, "the keys")?;
    Ok(n_order)
}

fn check_tests(policy: &Policy<'_>) -> Result<(), Error> {
    for i in 0..policy.tests.len() / policy.test_width {
        let (slot, key) = policy.test(i);
        hold(4 * slot < policy.slots.len() && key < u8_at(policy.slots, 4 * slot + 3), "the questions")?;
    }
    Ok(())
}

fn check_trees(policy: &Policy<'_>, said: [u32; 4]) -> Result<(), Error> {
    // Trees, trees with nodes, questions, leaf values: as the runs have them.
    let mut found = [0u64; 4];
    let mut nodes = 0;
    for i in 0..policy.runs.len() / RUN {
        let run = policy.run(i);
        hold(run.width >= 1 && run.first + run.width <= policy.n_sums && run.n_trees >= 1, "the runs")?;
        let (n, width) = (u64::from(run.n_trees), run.width as u64);
        found[0] += n;
        if run.depth != BINARY {
            hold(run.depth <= MAX_DEPTH, "the runs")?;
            found[2] = found[2].saturating_add(n * u64::from(run.depth));
            found[3] = found[3].saturating_add(n.saturating_mul(width << run.depth));
            continue;
        }
        let from = found[1];
        found[1] += n;
        hold(found[1] <= u64::from(said[1]), "the runs")?;
        for tree in from..found[1] {
            let size = usize::from(u16_at(policy.sizes, tree as usize));
            hold(size >= 1, "the links")?;
            for node in 0..size {
                for side in 0..2 {
                    let (is_leaf, to) = policy.link(nodes + node, side);
                    hold(if is_leaf { to <= size } else { node < to && to < size }, "the links")?;
                }
            }
            nodes += size;
            found[2] = found[2].saturating_add(size as u64);
            found[3] = found[3].saturating_add((size as u64 + 1) * width);
        }
    }
    hold(found == said.map(u64::from), "the runs")
}
