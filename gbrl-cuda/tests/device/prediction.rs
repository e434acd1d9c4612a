//! The device adds trees as a slow walk does, to the bit, whatever their shapes and columns.

use std::ops::Range;

use crate::common::backend;
use gbrl_core::backend::{Addition, Backend};
use gbrl_core::boost::Booster;
use gbrl_core::config::TreeParams;
use gbrl_core::data::{FeatureSchema, Lanes, TILE, Tiles};
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::rng::Stream;
use gbrl_core::threads::Threads;
use gbrl_core::tree::{Child, Node, Shape, Split, Tree};

/// What an ensemble is made of.
struct Kind {
    n_trees: usize,
    n_features: u64,
    n_outputs: usize,
    deepest: u64,
}

fn split(stream: &mut Stream, n_features: u64) -> Split {
    let feature_idx = stream.below(n_features) as u32;
    match stream.below(5) {
        0 => Split::greater(feature_idx, stream.normal() as f32, true),
        1 => Split::equal(feature_idx, stream.below(3) as f32 - 1.0),
        2 => Split::greater(feature_idx, f32::INFINITY, true),
        3 => Split::greater(feature_idx, 0.0, false),
        _ => Split::greater(feature_idx, stream.normal() as f32, false),
    }
}

/// A tree of random shape over `columns`, with values of all sizes.
fn tree(stream: &mut Stream, kind: &Kind, columns: Range<usize>) -> Tree {
    let depth = stream.below(kind.deepest + 1) as usize;
    let mut ask = |_| split(stream, kind.n_features);
    let (shape, n_leaves, n_splits) = match depth % 2 {
        0 => (Shape::Oblivious((0..depth).map(ask).collect()), 1 << depth, depth),
        _ => {
            // Full down to some depth, the last nodes first: every node is made before its children.
            let n_nodes = (1 << depth.min(3)) - 1;
            let child = |at: usize| match at < n_nodes {
                true => Child::Node(at as u32),
                false => Child::Leaf((at - n_nodes) as u32),
            };
            let node = |at| Node { split: ask(at), left: child(2 * at + 1), right: child(2 * at + 2) };
            (Shape::Binary((0..n_nodes).map(node).collect()), n_nodes + 1, n_nodes)
        }
    };
    let width = columns.len();
    let sizes = [1e4, 1.0, 1e-3, 1e-41];
    let values = (0..n_leaves * width).map(|i| (sizes[i % 4] * stream.normal()) as f32).collect();
    Tree::new(shape, columns, values, vec![1; n_leaves], vec![0.0; n_splits], vec![1.0; width])
}

fn ensemble(stream: &mut Stream, kind: &Kind) -> Ensemble {
    let group = |name, columns| OutputGroup::sgd(name, columns, Schedule::Constant(1.0));
    let split = kind.n_outputs - 1;
    let groups = match split {
        0 => vec![group("value", 0..1)],
        _ => vec![group("policy", 0..split), group("value", split..kind.n_outputs)],
    };
    let mut ensemble = Ensemble::new(FeatureSchema::numeric(kind.n_features as usize), groups).unwrap();
    let bias: Vec<f32> = (0..kind.n_outputs).map(|i| [1e3, -0.5, 0.0, -0.0][i % 4]).collect();
    ensemble.set_bias(&bias).unwrap();
    for _ in 0..kind.n_trees {
        let columns = match split {
            0 => 0..1,
            _ => [0..kind.n_outputs, 0..split, split..kind.n_outputs][stream.below(3) as usize].clone(),
        };
        ensemble.push(tree(stream, kind, columns)).unwrap();
    }
    ensemble
}

fn rows(stream: &mut Stream, n: usize) -> Vec<f32> {
    let value = |stream: &mut Stream| match stream.below(10) {
        0 => f32::NAN,
        1 => -0.0,
        2 => f32::INFINITY,
        3 => f32::NEG_INFINITY,
        4 | 5 => stream.below(4) as f32 - 1.0,
        _ => stream.normal() as f32,
    };
    (0..n).map(|_| value(stream)).collect()
}

/// The slow and obvious sum, tree after tree.
fn walked(ensemble: &Ensemble, trees: Range<usize>, columns: Range<usize>, row: &[f32]) -> Vec<u32> {
    let mut sums = ensemble.bias().to_vec();
    for tree in &ensemble.trees()[trees] {
        tree.columns().zip(tree.leaf(tree.leaf_idx(row))).for_each(|(column, value)| sums[column] += value);
    }
    sums[columns].iter().map(|sum| sum.to_bits()).collect()
}

fn check(backend: &dyn Backend, stamp: u64, ensemble: &Ensemble, stream: &mut Stream, n_rows: usize) {
    let (n_trees, n_outputs, n_features) = (ensemble.trees().len(), ensemble.n_outputs(), ensemble.n_features());
    let rows = rows(stream, n_rows * n_features);
    let mut tiles = Tiles::new(n_features);
    tiles.append(&rows).unwrap();
    let (first, last) = (stream.below(n_trees as u64 + 1) as usize, stream.below(n_trees as u64 + 1) as usize);
    let column = stream.below(n_outputs as u64) as usize;
    for (range, columns) in
        [(0..n_trees, 0..n_outputs), (first.min(last)..first.max(last), column..n_outputs), (0..first, 0..column)]
    {
        let addition = Addition {
            trees: ensemble.trees(),
            stamp,
            range: range.clone(),
            columns: columns.clone(),
            n_outputs,
            tiles: tiles.as_slice(),
            n_features,
        };
        let start = |i: usize| Lanes([ensemble.bias()[i % n_outputs]; TILE]);
        let mut sums: Vec<Lanes<f32>> = (0..tiles.tiles().len() * n_outputs).map(start).collect();
        assert!(backend.add_trees(&addition, &mut sums).unwrap());
        for (row, values) in rows.chunks_exact(n_features).enumerate() {
            let sum = |column: usize| sums[row / TILE * n_outputs + column][row % TILE].to_bits();
            let got: Vec<u32> = columns.clone().map(sum).collect();
            assert_eq!(
                got,
                walked(ensemble, range.clone(), columns.clone(), values),
                "{range:?} {columns:?} row {row}"
            );
        }
        // Columns that nobody asked for are as they were.
        let outside = (0..n_outputs).filter(|column| !columns.contains(column));
        outside.for_each(|column| assert_eq!(sums[column][0].to_bits(), ensemble.bias()[column].to_bits()));
    }
}

#[test]
fn the_device_adds_trees_in_their_order() {
    let Some(backend) = backend().map(|backend| backend.predicting_from(0)) else { return };
    let mut stream = Stream::new(1, "prediction", 0);
    let kinds = [(1, 1, 1, 0), (40, 3, 4, 3), (150, 7, 1, 7), (70, 300, 12, 5), (33, 2, 40, 6), (64, 5, 9, 12)];
    for (stamp, (n_trees, n_features, n_outputs, deepest)) in kinds.into_iter().enumerate() {
        let kind = Kind { n_trees, n_features, n_outputs, deepest };
        let ensemble = ensemble(&mut stream, &kind);
        for n_rows in [1, 16, 33, 70] {
            check(&backend, stamp as u64, &ensemble, &mut stream, n_rows);
        }
    }
}

#[test]
fn new_trees_follow_and_other_trees_replace() {
    let Some(backend) = backend().map(|backend| backend.predicting_from(0)) else { return };
    let mut stream = Stream::new(2, "prediction", 0);
    let kind = Kind { n_trees: 0, n_features: 4, n_outputs: 3, deepest: 5 };
    let (mut one, other) = (ensemble(&mut stream, &kind), ensemble(&mut stream, &Kind { n_trees: 20, ..kind }));
    for round in 0..12 {
        check(&backend, 1, &one, &mut stream, 20);
        if round % 4 == 3 {
            check(&backend, 2, &other, &mut stream, 20);
        }
        for _ in 0..round {
            one.push(tree(&mut stream, &kind, 0..3)).unwrap();
        }
    }
}

#[test]
fn a_booster_on_the_device_predicts_what_the_processors_does() {
    let Some(backend) = backend().map(|backend| backend.predicting_from(0)) else { return };
    let mut stream = Stream::new(3, "prediction", 0);
    let groups = || vec![OutputGroup::sgd("y", 0..3, Schedule::Constant(0.1))];
    let ensemble = || Ensemble::new(FeatureSchema::numeric(3), groups()).unwrap();
    let params = TreeParams::default();
    let mut device = Booster::with_backend(ensemble(), params.clone(), 0, Threads::one(), Box::new(backend)).unwrap();
    let mut processor = Booster::new(ensemble(), params, 0, 1).unwrap();
    let x = rows(&mut stream, 3 * 100);
    let order: Vec<u32> = (0..100).collect();
    let (mut a, mut b) = (device.dataset(), processor.dataset());
    for rollout in 0..3 {
        a.clear();
        b.clear();
        let (mut out_a, mut out_b) = (vec![0.0; 200], vec![0.0; 200]);
        device.append(&mut a, &x, 0..2, &mut out_a).unwrap();
        processor.append(&mut b, &x, 0..2, &mut out_b).unwrap();
        assert_eq!(bits(&out_a), bits(&out_b), "rollout {rollout}");
        device.complete(&mut a).unwrap();
        processor.complete(&mut b).unwrap();
        for _ in 0..5 {
            let gradients: Vec<f32> = (0..300).map(|_| stream.normal() as f32).collect();
            device.step(&mut a, &order, &gradients).unwrap();
            processor.step(&mut b, &order, &gradients).unwrap();
            (0..100).for_each(|row| assert_eq!(a.output(row, 2).to_bits(), b.output(row, 2).to_bits()));
        }
    }
    let (mut out_a, mut out_b) = (vec![0.0; 300], vec![0.0; 300]);
    device.predict_range(&x, 2..11, 0..3, &mut out_a).unwrap();
    processor.predict_range(&x, 2..11, 0..3, &mut out_b).unwrap();
    assert_eq!(bits(&out_a), bits(&out_b));
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}
