//! Models for the tests: one made by hand that uses everything, and any number of random ones.

use std::collections::BTreeMap;

use gbrl_core::config::{Edges, TreeParams};
use gbrl_core::data::FeatureBins;
use gbrl_core::data::schema::{Feature, FeatureSchema};
use gbrl_core::ensemble::{Ensemble, Optimizer, OutputGroup, Schedule};
use gbrl_core::io::{Checkpoint, Model};
use gbrl_core::rng::Stream;
use gbrl_core::tree::{Child, Node, Shape, Split, Tree};
use serde_json::json;

/// Both shapes, a single leaf of each, every kind of feature and of test, both infinities, −0, a subnormal, three
/// groups with every schedule and both optimizers, trees over all columns and over one group, fixed edges.
pub fn golden() -> Model {
    let mut mission = Feature::strings("mission \"ζ\"\n");
    for text in ["go to the red ball", "", "öffne die Tür", "a\tb\\c"] {
        mission.learn(text).unwrap();
    }
    let schema = FeatureSchema::new(vec![
        Feature::numeric("speed"),
        Feature::declared("gear", 5),
        mission,
        Feature::numeric("x[0,1]"),
    ]);
    let groups = vec![
        OutputGroup::sgd("policy", 0..2, Schedule::Linear { start: 0.17, end: 0.0 }),
        OutputGroup {
            name: "value".into(),
            columns: 2..3,
            rate: Schedule::Constant(0.01),
            optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        },
        OutputGroup::sgd("aux", 3..4, Schedule::Cosine { start: 1e-3, end: 1e-5 }),
    ];
    let mut ensemble = Ensemble::new(schema, groups).unwrap();
    ensemble.set_bias(&[0.0, -0.0, 0.1, -1.5e-42]).unwrap();

    let levels = [Split::greater(0, 0.5, false), Split::equal(2, 3.0), Split::greater(3, f32::INFINITY, true)];
    let values = (0..32).map(|i| (i as f32 - 16.0) / 10.0).collect();
    let covers = (0..8).map(|i| i * 7).collect();
    ensemble
        .push(Tree::new(
            Shape::Oblivious(levels.into()),
            0..4,
            values,
            covers,
            vec![2.5, 0.1, 0.0],
            vec![0.17, 0.17, 0.01, 1e-3],
        ))
        .unwrap();

    let nodes = [
        Node { split: Split::greater(3, -1e-3, true), left: Child::Node(2), right: Child::Node(1) },
        Node { split: Split::equal(1, 4.0), left: Child::Leaf(3), right: Child::Leaf(0) },
        Node { split: Split::greater(1, f32::INFINITY, true), left: Child::Leaf(1), right: Child::Node(3) },
        Node { split: Split::greater(0, f32::NEG_INFINITY, false), left: Child::Leaf(4), right: Child::Leaf(2) },
    ];
    let values = vec![0.1, 0.2, -0.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, 0.3, 1.0 / 3.0, -7.0, 16_777_216.0];
    let covers = vec![1, 2, 0, u32::MAX, 5];
    ensemble
        .push(Tree::new(
            Shape::Binary(nodes.into()),
            0..2,
            values,
            covers,
            vec![9.0, 3.5, 1.25, f32::MAX],
            vec![0.085; 2],
        ))
        .unwrap();

    ensemble.push(Tree::new(Shape::Oblivious([].into()), 2..3, vec![0.25], vec![10], vec![], vec![0.0])).unwrap();
    ensemble.push(Tree::new(Shape::Binary([].into()), 3..4, vec![-0.25], vec![10], vec![], vec![1e-45])).unwrap();

    let params = TreeParams {
        max_depth: 3,
        lambda_l2: 0.1,
        feature_weights: vec![1.0, 0.5, 1.0, 0.3],
        edges: Edges::Fixed,
        ..Default::default()
    };
    let fixed_edges = vec![
        numeric_bins(vec![f32::NEG_INFINITY, -0.1, -0.0, 1e-45, 0.5], true),
        categorical_bins(),
        categorical_bins(),
        numeric_bins(vec![], false),
    ];
    Model {
        ensemble,
        params: Some(params),
        fixed_edges: Some(fixed_edges),
        extra: json!({"actions": ["left", "right"], "clip": 0.2, "n": -3, "b": [true, null]}),
    }
}

/// Bins of a numeric feature.
pub fn numeric_bins(values: Vec<f32>, has_missing: bool) -> FeatureBins {
    FeatureBins { values, has_missing, ..Default::default() }
}

/// What fixed edges hold of a categorical feature.
pub fn categorical_bins() -> FeatureBins {
    FeatureBins { categorical: true, ..Default::default() }
}

/// The golden model with a state and byte sections.
pub fn golden_checkpoint() -> Checkpoint {
    let state = json!({"steps": 18_446_744_073_709_551_615u64, "rng": [1, 2, 3, 4], "mean": 0.1, "name": "ü\u{0}"});
    let blobs = BTreeMap::from([("env/0".to_owned(), (0..=255).collect()), ("empty \"section\"".to_owned(), vec![])]);
    Checkpoint { model: golden(), state, blobs }
}

/// A valid model that depends on the seed alone.
pub fn random(seed: u64) -> Model {
    let rng = &mut Stream::new(seed, "random model", 0);
    let n_features = 1 + rng.below(6) as usize;
    let features = (0..n_features).map(|i| random_feature(rng, i)).collect();
    let mut groups = Vec::new();
    let mut next = 0;
    for i in 0..1 + rng.below(3) {
        let end = next + 1 + rng.below(4) as usize;
        let rate = match rng.below(3) {
            0 => Schedule::Constant(rng.uniform()),
            1 => Schedule::Linear { start: rng.uniform(), end: rng.uniform() },
            _ => Schedule::Cosine { start: rng.uniform(), end: 0.0 },
        };
        let optimizer = match rng.below(3) {
            0 => Optimizer::Adam { beta1: rng.uniform(), beta2: rng.uniform(), epsilon: 1e-300 + rng.uniform() },
            _ => Optimizer::Sgd,
        };
        groups.push(OutputGroup { name: random_name(rng, i as usize), columns: next..end, rate, optimizer });
        next = end;
    }
    let mut ensemble = Ensemble::new(FeatureSchema::new(features), groups).unwrap();
    let bias: Vec<f32> = (0..next).map(|_| finite(rng)).collect();
    ensemble.set_bias(&bias).unwrap();
    if rng.below(2) == 0 {
        let names: Vec<String> = (0..next).map(|column| random_name(rng, column)).collect();
        ensemble.name_outputs(names).unwrap();
    }
    for _ in 0..rng.below(8) {
        let tree = random_tree(rng, &ensemble);
        ensemble.push(tree).unwrap();
    }
    let params = (rng.below(2) == 0).then(|| TreeParams { lambda_l2: rng.uniform(), ..Default::default() });
    let extra = if rng.below(2) == 0 { json!(null) } else { json!({random_name(rng, 0): [rng.uniform(), rng.bits()]}) };
    let fixed_edges = (rng.below(2) == 0).then(|| random_edges(rng, &ensemble));
    Model { ensemble, params, fixed_edges, extra }
}

fn random_edges(rng: &mut Stream, ensemble: &Ensemble) -> Vec<FeatureBins> {
    let features = ensemble.schema().features().iter();
    let bins = features.map(|feature| {
        if feature.is_categorical() {
            return categorical_bins();
        }
        let mut values: Vec<f32> = (0..rng.below(255)).map(|_| finite(rng)).collect();
        values.sort_by(f32::total_cmp);
        values.dedup_by(|a, b| a == b);
        numeric_bins(values, rng.below(2) == 0)
    });
    bins.collect()
}

fn random_feature(rng: &mut Stream, i: usize) -> Feature {
    let name = random_name(rng, i);
    match rng.below(4) {
        0 => Feature::numeric(name),
        1 => Feature::declared(name, 1 + rng.below(300) as u32),
        2 => {
            let (first, n) = (rng.below(2), 1 + rng.below(3));
            Feature::labelled(name, (first..first + n).map(|code| format!("{code}\n\"")).collect::<Vec<_>>())
        }
        _ => {
            let mut feature = Feature::strings(name);
            for code in 0..rng.below(5) {
                feature.learn(&format!("{code}{}", random_name(rng, 0))).unwrap();
            }
            feature
        }
    }
}

/// Names as unfriendly as users can make them.
fn random_name(rng: &mut Stream, i: usize) -> String {
    let nasty = ["", "x", "\"", "\\", "\n", "\\N", "&lt;", "é", "\u{0}", "\u{2028}", "😀", "}", "//", "'", "\u{202e}"];
    let mut name = format!("{i}");
    for _ in 0..rng.below(4) {
        name.push_str(nasty[rng.below(nasty.len() as u64) as usize]);
    }
    name
}

fn finite(rng: &mut Stream) -> f32 {
    loop {
        let x = f32::from_bits(rng.bits() as u32);
        if x.is_finite() {
            return x;
        }
    }
}

fn random_split(rng: &mut Stream, ensemble: &Ensemble) -> Split {
    use gbrl_core::data::schema::{FeatureKind, Vocabulary};
    let feature_idx = rng.below(ensemble.n_features() as u64) as u32;
    let n = match ensemble.schema().features()[feature_idx as usize].kind() {
        FeatureKind::Numeric => {
            let threshold = if rng.below(8) == 0 { f32::INFINITY } else { finite(rng) };
            return Split::greater(feature_idx, threshold, rng.below(2) == 0);
        }
        FeatureKind::Categorical(Vocabulary::Declared(n)) => u64::from(*n),
        FeatureKind::Categorical(Vocabulary::Learned(strings)) => strings.as_slice().len() as u64,
    };
    if n == 0 || rng.below(4) == 0 {
        Split::greater(feature_idx, f32::INFINITY, true)
    } else {
        Split::equal(feature_idx, rng.below(n) as f32)
    }
}

fn random_tree(rng: &mut Stream, ensemble: &Ensemble) -> Tree {
    let columns = match rng.below(1 + ensemble.groups().len() as u64) {
        0 => 0..ensemble.n_outputs(),
        g => ensemble.groups()[g as usize - 1].columns.clone(),
    };
    let shape = if rng.below(2) == 0 {
        Shape::Oblivious((0..rng.below(6)).map(|_| random_split(rng, ensemble)).collect())
    } else {
        random_binary(rng, ensemble)
    };
    let (n_splits, n_leaves) = match &shape {
        Shape::Oblivious(splits) => (splits.len(), 1 << splits.len()),
        Shape::Binary(nodes) => (nodes.len(), nodes.len() + 1),
    };
    let values = (0..n_leaves * columns.len()).map(|_| finite(rng)).collect();
    let covers = (0..n_leaves).map(|_| rng.bits() as u32).collect();
    let gains = (0..n_splits).map(|_| finite(rng)).collect();
    let rates = columns.clone().map(|_| finite(rng).abs()).collect();
    Tree::new(shape, columns, values, covers, gains, rates)
}

/// A tree grown by splitting random leaves, its leaves numbered at random.
fn random_binary(rng: &mut Stream, ensemble: &Ensemble) -> Shape {
    let n = rng.below(14) as usize;
    // Open ends: (parent, whether on its right); the root has none.
    let mut open: Vec<Option<(usize, bool)>> = vec![None];
    let mut children = vec![[Child::Leaf(0); 2]; n];
    for node in 0..n {
        let place = open.swap_remove(rng.below(open.len() as u64) as usize);
        if let Some((parent, right)) = place {
            children[parent][usize::from(right)] = Child::Node(node as u32);
        }
        open.extend([Some((node, false)), Some((node, true))]);
    }
    rng.shuffle(&mut open);
    for (leaf, place) in open.into_iter().enumerate() {
        if let Some((parent, right)) = place {
            children[parent][usize::from(right)] = Child::Leaf(leaf as u32);
        }
    }
    let node = |[left, right]: [Child; 2]| Node { split: random_split(rng, ensemble), left, right };
    Shape::Binary(children.into_iter().map(node).collect())
}
