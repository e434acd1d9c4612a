//! Random models come back as they were, by every way.

use gbrl_core::io::{Checkpoint, Model, dot, json, model, text};
use gbrl_core::rng::Stream;
use proptest::prelude::*;

use crate::models::random;

/// Every float of the model by its bits: equality does not tell −0 from 0.
fn bits(model: &Model) -> Vec<u32> {
    let trees = model.ensemble.trees().iter();
    let of_trees = trees.flat_map(|tree| tree.values().iter().chain(tree.gains()).chain(tree.rates()));
    let edges = model.fixed_edges.iter().flatten().flat_map(|bins| &bins.values);
    model.ensemble.bias().iter().chain(of_trees).chain(edges).map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_model_survives_file_and_json(seed in any::<u64>()) {
        let model = random(seed);
        let bytes = model::to_bytes(&model).unwrap();
        let read = model::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &model);
        prop_assert_eq!(bits(&read), bits(&model));
        prop_assert_eq!(model::to_bytes(&read).unwrap(), bytes);

        let text = json::to_json(&model).unwrap();
        let read = json::from_json(&text).unwrap();
        prop_assert_eq!(&read, &model);
        prop_assert_eq!(bits(&read), bits(&model));
    }

    #[test]
    fn a_checkpoint_survives(seed in any::<u64>()) {
        let rng = &mut Stream::new(seed, "checkpoint", 0);
        let mut checkpoint = Checkpoint::new(random(seed), serde_json::json!([rng.bits(), rng.uniform()]));
        for i in 0..rng.below(4) {
            let bytes = (0..rng.below(50)).map(|_| rng.bits() as u8).collect();
            checkpoint.blobs.insert(format!("{i}\"\\ é"), bytes);
        }
        let bytes = checkpoint.to_bytes().unwrap();
        let read = Checkpoint::from_bytes(&bytes).unwrap();
        prop_assert_eq!(&read, &checkpoint);
        prop_assert_eq!(read.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn every_tree_can_be_looked_at(seed in any::<u64>()) {
        let model = random(seed);
        for (i, tree) in model.ensemble.trees().iter().enumerate() {
            let text = text::tree_text(&model.ensemble, i).unwrap();
            let binary = matches!(tree.shape(), gbrl_core::tree::Shape::Binary(_));
            let is_empty = |&leaf: &usize| tree.covers()[leaf] == 0 && tree.leaf(leaf).iter().all(|&x| x == 0.0);
            let n_empty = if binary { 0 } else { (0..tree.n_leaves()).filter(is_empty).count() };
            // Two and more are counted in one line.
            let lines = 1 + tree.n_splits() + tree.n_leaves() - n_empty.saturating_sub(1);
            prop_assert_eq!(text.lines().count(), lines, "binary {}\n{}", binary, text);
            crate::dumps::check_dot(&dot::tree_dot(&model.ensemble, i).unwrap(), tree);
        }
    }
}
