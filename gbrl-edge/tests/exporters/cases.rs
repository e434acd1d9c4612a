//! Policies of every shape, and observations that look for trouble.

use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::export::json::Json;
use gbrl_core::export::{Details, EdgePolicy, Quantize, Rows, probes};
use gbrl_core::rl::dist::Distribution;
use gbrl_core::rl::normalize::ObservationNormalizer;
use gbrl_core::rl::policy::{Policy, PolicyHead};
use gbrl_core::rl::space::Space;
use gbrl_core::rng::Stream;
use gbrl_core::tree::{Child, Node, Shape, Split, Tree};

/// Thresholds and values that are special to floats.
pub const SPECIAL: [f32; 14] = [
    f32::NEG_INFINITY,
    f32::MIN,
    -1.0,
    -f32::MIN_POSITIVE,
    -1e-45,
    -0.0,
    0.0,
    1e-45,
    f32::MIN_POSITIVE,
    0.1,
    1.0,
    2.0,
    f32::MAX,
    f32::INFINITY,
];

/// How large a case may become.
#[derive(Clone, Copy)]
pub struct Size {
    pub n_trees: u64,
    pub n_features: u64,
    pub max_depth: u64,
}

pub const SMALL: Size = Size { n_trees: 30, n_features: 6, max_depth: 5 };

/// The policy of a seed.
pub fn policy(seed: u64, size: Size) -> Policy {
    let mut stream = Stream::new(seed, "exported case", 0);
    let n_features = 1 + stream.below(size.n_features) as usize;
    let parts: Vec<Space> = (0..n_features)
        .map(|_| if stream.uniform() < 0.3 { Space::discrete(1 + stream.below(9) as u32) } else { Space::unbounded(1) })
        .collect();
    let observation_space = Space::Tuple(parts);
    let n = 1 + stream.below(4) as usize;
    let action_space = match stream.below(8) {
        0 => Space::Discrete { n: n as u32, start: stream.below(9) as i64 - 4 },
        1 => Space::discrete(2),
        2 | 3 => Space::MultiDiscrete { nvec: (0..n).map(|_| 1 + stream.below(4) as u32).collect() },
        4 => Space::MultiBinary { n },
        5 => Space::unbounded(n),
        _ => {
            let low: Vec<f32> = (0..n).map(|_| -stream.uniform() as f32).collect();
            let high: Vec<f32> = low.iter().map(|low| low + 2.0 * stream.uniform() as f32).collect();
            Space::bounded(&low, &high).unwrap()
        }
    };
    let finite = matches!(&action_space, Space::Box { low, .. } if low[0].is_finite());
    let distribution = Distribution::for_space(&action_space, finite && stream.uniform() < 0.6).unwrap();
    let free = stream.uniform() < 0.5;
    let log_std = distribution.gaussian_len().filter(|_| free).map_or(Vec::new(), |n| vec![-0.5; n]);
    let schema = observation_space.schema();
    let normalizer = (stream.uniform() < 0.4).then(|| normalizer(&schema, &mut stream));
    let head = PolicyHead { observation_space, action_space, distribution, log_std, normalizer };
    let n_outputs = head.n_policy_outputs() + 1;
    let rate = Schedule::Constant(0.1);
    let groups = vec![
        OutputGroup::sgd("policy", 0..n_outputs - 1, rate),
        OutputGroup::sgd("value", n_outputs - 1..n_outputs, rate),
    ];
    let mut ensemble = Ensemble::new(schema, groups).unwrap();
    if stream.uniform() < 0.7 {
        let bias: Vec<f32> = (0..n_outputs).map(|_| stream.normal() as f32 * 0.1).collect();
        ensemble.set_bias(&bias).unwrap();
    }
    let n_trees = stream.below(size.n_trees + 1);
    let (uniform, shared) = (stream.uniform() < 0.5, stream.uniform() < 0.5);
    let (mut depth, mut oblivious) = (1 + stream.below(size.max_depth), stream.uniform() < 0.6);
    for _ in 0..n_trees {
        if !uniform {
            (depth, oblivious) = (stream.below(size.max_depth + 1), stream.uniform() < 0.5);
        }
        let columns = match stream.below(if shared { 1 } else { 2 }) {
            0 if shared => 0..n_outputs,
            0 => 0..n_outputs - 1,
            _ => n_outputs - 1..n_outputs,
        };
        let shape = shape(&ensemble, depth as usize, oblivious, &mut stream);
        let n_splits = match &shape {
            Shape::Oblivious(splits) => splits.len(),
            Shape::Binary(nodes) => nodes.len(),
        };
        let n_leaves = match &shape {
            Shape::Oblivious(splits) => 1 << splits.len(),
            Shape::Binary(nodes) => nodes.len() + 1,
        };
        let values = (0..n_leaves * columns.len()).map(|_| leaf(&mut stream)).collect();
        let rates = vec![0.1; columns.len()];
        ensemble.push(Tree::new(shape, columns, values, vec![1; n_leaves], vec![0.0; n_splits], rates)).unwrap();
    }
    Policy::new(ensemble, head, 1).unwrap()
}

/// Whether a model file can hold the policy: none asks for a category that its schema does not have.
pub fn is_storable(policy: &Policy) -> bool {
    Json::new(policy).is_ok()
}

fn leaf(stream: &mut Stream) -> f32 {
    match stream.below(12) {
        0 => 0.0,
        1 => -0.0,
        2 => 1e-45,
        3 => stream.normal() as f32 * 1e-6,
        _ => stream.normal() as f32 * 0.1,
    }
}

fn normalizer(schema: &FeatureSchema, stream: &mut Stream) -> ObservationNormalizer {
    let mut normalizer = ObservationNormalizer::new(schema, if stream.uniform() < 0.5 { 0.7 } else { 10.0 });
    let scales: Vec<f64> = (0..schema.len()).map(|_| 10f64.powf(4.0 * stream.uniform() - 2.0)).collect();
    for _ in 0..50 {
        let row: Vec<f32> = scales.iter().map(|scale| ((stream.normal() + 1.0) * scale) as f32).collect();
        normalizer.update(&row);
    }
    normalizer
}

fn split(ensemble: &Ensemble, stream: &mut Stream) -> Split {
    let features = ensemble.schema().features();
    let feature = stream.below(features.len() as u64) as usize;
    let missing_right = stream.uniform() < 0.3;
    if Feature::is_categorical(&features[feature]) {
        return match stream.below(5) {
            0 => Split::greater(feature as u32, f32::INFINITY, true),
            _ => Split::equal(feature as u32, stream.below(9) as f32),
        };
    }
    let threshold = match stream.below(3) {
        0 => SPECIAL[stream.below(SPECIAL.len() as u64) as usize],
        1 => (stream.normal() * 4.0).round() as f32 * 0.25,
        _ => stream.normal() as f32,
    };
    Split::greater(feature as u32, threshold, missing_right)
}

fn shape(ensemble: &Ensemble, depth: usize, oblivious: bool, stream: &mut Stream) -> Shape {
    if oblivious {
        return Shape::Oblivious((0..depth).map(|_| split(ensemble, stream)).collect());
    }
    // Every open end becomes a node or a leaf; parents come before their children.
    let mut nodes: Vec<Node> = Vec::new();
    let mut open: Vec<(usize, bool, usize)> = Vec::new();
    let mut n_leaves = 0;
    if depth > 0 {
        nodes.push(Node { split: split(ensemble, stream), left: Child::Leaf(0), right: Child::Leaf(0) });
        open.extend([(0, false, 1), (0, true, 1)]);
    }
    while let Some((parent, right, level)) = open.pop() {
        let child = if level < depth && stream.uniform() < 0.7 {
            let node = nodes.len();
            nodes.push(Node { split: split(ensemble, stream), left: Child::Leaf(0), right: Child::Leaf(0) });
            open.extend([(node, false, level + 1), (node, true, level + 1)]);
            Child::Node(node as u32)
        } else {
            n_leaves += 1;
            Child::Leaf(n_leaves - 1)
        };
        if right {
            nodes[parent].right = child;
        } else {
            nodes[parent].left = child;
        }
    }
    Shape::Binary(nodes.into())
}

/// Observations: thresholds, their neighbours, everything special, codes, and plain numbers, all mixed; with masks that
/// allow at least one choice, or without.
pub fn rows(edge: &EdgePolicy, n: usize, masked: bool, stream: &mut Stream) -> Rows {
    let near = probes::neighbours(edge, &[]).observations;
    let mut rows = Rows::default();
    for _ in 0..n {
        for feature in 0..edge.n_features {
            rows.observations.push(match stream.below(6) {
                0 => SPECIAL[stream.below(SPECIAL.len() as u64) as usize],
                1 => f32::NAN,
                2 => stream.below(10) as f32 - 1.0,
                3 => stream.normal() as f32,
                _ => near[stream.below((near.len() / edge.n_features) as u64) as usize * edge.n_features + feature],
            });
        }
        if masked {
            let parts: Vec<usize> = match &edge.head {
                gbrl_core::export::form::EdgeHead::Discrete(parts) => {
                    parts.iter().map(|part| part.n as usize).collect()
                }
                _ => vec![2; edge.mask_len() / 2],
            };
            for n in parts {
                let sure = stream.below(n as u64) as usize;
                rows.masks.extend((0..n).map(|choice| choice == sure || stream.uniform() < 0.5));
            }
        }
    }
    rows
}

/// The policy of a seed in its flat form.
pub fn flat(policy: &Policy, quantize: Quantize, has_value: bool) -> EdgePolicy {
    EdgePolicy::new(policy, quantize, has_value).unwrap()
}

pub fn details(policy: &Policy, edge: &EdgePolicy, stream: &mut Stream) -> Details {
    let recorded = rows(edge, 5, false, stream).observations;
    Details::new(policy, "demo", probes::samples(edge, &recorded, 3)).unwrap()
}
