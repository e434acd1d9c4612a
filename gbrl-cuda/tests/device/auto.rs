//! `device = auto` gives large work to the device and small work to the processor, and nobody can tell from the results.

use gbrl_core::backend::{Addition, Backend};
use gbrl_core::config::GrowPolicy;
use gbrl_core::data::{Lanes, TILE, Tiles};
use gbrl_core::rng::Stream;
use gbrl_core::threads::Threads;
use gbrl_core::tree::{Shape, Split, Tree};
use gbrl_cuda::AutoBackend;

use crate::case::large;
use crate::common::backend;

/// A booster predicts as one on the processor does, by the device where the work is large enough.
#[test]
fn the_size_of_a_prediction_decides() {
    let there = backend().is_some();
    let auto = AutoBackend::from_sizes(Threads::one(), usize::MAX, 32 * 7).unwrap();
    let mut stream = Stream::new(4, "auto", 0);
    let tree = |stream: &mut Stream| {
        let split = Split::greater(0, stream.normal() as f32, false);
        let values = vec![stream.normal() as f32, stream.normal() as f32];
        Tree::new(Shape::Oblivious([split].into()), 0..1, values, vec![1; 2], vec![0.0], vec![1.0])
    };
    let trees: Vec<Tree> = (0..7).map(|_| tree(&mut stream)).collect();
    let x: Vec<f32> = (0..32).map(|_| stream.normal() as f32).collect();
    let mut tiles = Tiles::new(1);
    tiles.append(&x).unwrap();
    for (n_trees, expected) in [(7, there), (6, false), (0, false)] {
        let addition = Addition {
            trees: &trees,
            stamp: 1,
            range: 0..n_trees,
            columns: 0..1,
            n_outputs: 1,
            tiles: tiles.as_slice(),
            n_features: 1,
        };
        let mut sums = vec![Lanes([0.5; TILE]); 2];
        assert_eq!(auto.add_trees(&addition, &mut sums).unwrap(), expected, "{n_trees} trees");
        for (row, x) in x.iter().enumerate() {
            let all = trees[..if expected { n_trees } else { 0 }].iter();
            let walked = all.fold(0.5, |sum, tree| sum + tree.leaf(tree.leaf_idx(&[*x]))[0]);
            assert_eq!(sums[row / TILE][row % TILE].to_bits(), walked.to_bits());
        }
    }
}

#[test]
fn the_size_of_a_step_decides() {
    // 4 features: 800 numbers are enough for 200 rows, not for 199.
    let mut auto = AutoBackend::from_sizes(Threads::one(), 800, 0).unwrap();
    let there = backend().is_some();
    for (n_rows, expected) in [(199, false), (200, there), (10, false), (300, there)] {
        for policy in [GrowPolicy::Oblivious, GrowPolicy::Bestfirst] {
            let case = large(n_rows, 3, policy);
            let (data, tree) = case.expected();
            case.check(&data, &tree, &mut auto, "auto");
            assert_eq!(auto.on_device(), expected, "{n_rows} rows");
        }
    }
    let case = large(20, 1, GrowPolicy::Oblivious);
    let data = case.data();
    auto.begin(&case.task(&data)).unwrap();
    assert!(!auto.on_device());
}
