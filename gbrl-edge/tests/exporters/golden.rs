//! Files of this version: later ones must read them, and make the same.

use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
use gbrl_core::export::{Details, EdgePolicy, Exporter, Quantize};
use gbrl_core::rl::dist::Distribution;
use gbrl_core::rl::policy::{Policy, PolicyHead};
use gbrl_core::rl::space::Space;
use gbrl_core::tree::{Child, Node, Shape, Split, Tree};

/// What `--format rust` writes, compiled as its users compile it.
#[rustfmt::skip]
#[path = "../data/tiny.rs"]
#[allow(dead_code, reason = "generated for every user")]
mod tiny;

/// Two features (a number, one of four gears), three actions; an oblivious tree and one with nodes.
fn policy() -> Policy {
    let observation_space =
        Space::Dict(vec![("speed".into(), Space::unbounded(1)), ("gear".into(), Space::discrete(4))]);
    let action_space = Space::discrete(3);
    let distribution = Distribution::for_space(&action_space, false).unwrap();
    let schema = observation_space.schema();
    let head = PolicyHead { observation_space, action_space, distribution, log_std: Vec::new(), normalizer: None };
    let rate = Schedule::Constant(0.1);
    let groups = vec![OutputGroup::sgd("policy", 0..3, rate), OutputGroup::sgd("value", 3..4, rate)];
    let mut ensemble = Ensemble::new(schema, groups).unwrap();
    ensemble.set_bias(&[0.0, 0.25, -0.125, 1.0]).unwrap();
    let levels = [Split::greater(0, 0.5, false), Split::equal(1, 2.0)];
    let values = (0..16).map(|i| (i * 7 % 16) as f32 * 0.125 - 1.0).collect();
    ensemble
        .push(Tree::new(Shape::Oblivious(levels.into()), 0..4, values, vec![1; 4], vec![1.0; 2], vec![0.1; 4]))
        .unwrap();
    let nodes = [
        Node { split: Split::greater(0, -1.5, true), left: Child::Leaf(0), right: Child::Node(1) },
        Node { split: Split::greater(0, 2.0, false), left: Child::Leaf(1), right: Child::Leaf(2) },
    ];
    let values = (0..9).map(|i| (i * 5 % 9) as f32 * 0.1).collect();
    ensemble
        .push(Tree::new(Shape::Binary(nodes.into()), 0..3, values, vec![1; 3], vec![1.0; 2], vec![0.1; 3]))
        .unwrap();
    Policy::new(ensemble, head, 1).unwrap()
}

/// `GBRL_REWRITE=1` writes the files anew, for a new version of the format.
#[test]
fn the_files_are_as_they_were() {
    let policy = policy();
    let edge = EdgePolicy::new(&policy, Quantize::None, true).unwrap();
    let samples = vec![0.0, 2.0, f32::NAN, 1.0, 3.0, 0.0];
    let details = Details::new(&policy, "tiny", samples).unwrap();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    for (name, content) in gbrl_core::export::rust::Rust.export(&edge, &details).unwrap().files {
        if std::env::var_os("GBRL_REWRITE").is_some() {
            std::fs::write(folder.join(&name), &content).unwrap();
        }
        assert_eq!(std::fs::read(folder.join(&name)).unwrap(), content, "{name}");
    }
}

#[test]
fn the_generated_module_works() {
    assert_eq!(tiny::self_test(), Ok(true));
    let mut decider = tiny::Decider::new().unwrap();
    let mut action = [0; tiny::ACTION_LEN];
    decider.act(&[0.0, 2.0], &[false, true, false], &mut action).unwrap();
    assert_eq!(action, [1]);
    assert!(decider.value(&[0.0, 2.0]).unwrap().is_finite());
}
