//! Exported C, and the interpreter in C, against the library: compiled by this machine's compiler.

use gbrl_core::error::Result;
use gbrl_core::export::c::C;
use gbrl_core::export::check::Disagreement;
use gbrl_core::export::host::Compiler;
use gbrl_core::export::loadable::Loadable;
use gbrl_core::export::{Artefact, Details, EdgePolicy, Exporter, Outputs, Quantize, Rows, probes};
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL, Size};

fn compiler() -> Compiler {
    Compiler::find().expect("these tests need a C compiler: install gcc or clang")
}

fn run(compiler: &Compiler, edge: &EdgePolicy, details: &Details, artefact: &Artefact, rows: &Rows) -> Result<Outputs> {
    compiler.program(edge, details, artefact)?.run(edge, rows)
}

#[test]
fn random_policies_decide_alike_to_the_bit() {
    let compiler = compiler();
    let mut stream = Stream::new(3, "rows", 0);
    for seed in 0..48 {
        let policy = cases::policy(seed, SMALL);
        let quantize = [Quantize::None, Quantize::None, Quantize::Int16, Quantize::Int8][seed as usize % 4];
        let edge = cases::flat(&policy, quantize, seed % 3 != 0);
        let details = cases::details(&policy, &edge, &mut stream);
        let mut rows = cases::rows(&edge, 300, seed % 3 == 0 && edge.mask_len() > 0, &mut stream);
        if rows.masks.is_empty() {
            rows.observations.extend(probes::neighbours(&edge, &[]).observations);
        }
        let expected = match quantize {
            Quantize::None => Outputs::of_library(&policy, &edge, &rows).unwrap(),
            _ => Outputs::of_bytes(&gbrl_core::export::binary::to_bytes(&edge), &rows).unwrap(),
        };
        let exporter: &dyn Exporter = if seed % 5 == 4 { &Loadable } else { &C };
        let artefact = exporter.export(&edge, &details).unwrap();
        let got =
            run(&compiler, &edge, &details, &artefact, &rows).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let difference = Disagreement::between(&edge, &expected, &got);
        assert!(difference.exact, "seed {seed}, {}: {difference:?}", exporter.format());
    }
}

/// A million observations, in parts that fit memory.
#[test]
fn a_million_observations_decide_alike() {
    let compiler = compiler();
    let mut stream = Stream::new(4, "rows", 0);
    let size = Size { n_trees: 200, n_features: 8, max_depth: 4 };
    for seed in [101, 102, 103, 104] {
        let policy = cases::policy(seed, size);
        let edge = cases::flat(&policy, Quantize::None, true);
        let details = cases::details(&policy, &edge, &mut stream);
        let rows = cases::rows(&edge, 250_000, false, &mut stream);
        let library = Outputs::of_library(&policy, &edge, &rows).unwrap();
        for exporter in [&C as &dyn Exporter, &Loadable] {
            let artefact = exporter.export(&edge, &details).unwrap();
            let got = run(&compiler, &edge, &details, &artefact, &rows).unwrap();
            assert!(Disagreement::between(&edge, &library, &got).exact, "seed {seed}, {}", exporter.format());
        }
        let got = Outputs::of_bytes(&gbrl_core::export::binary::to_bytes(&edge), &rows).unwrap();
        assert!(Disagreement::between(&edge, &library, &got).exact, "seed {seed}, gbrl-edge");
    }
}

/// Several policies in one program: every name has its prefix.
#[test]
fn policies_link_together() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(5, "rows", 0);
    let mut main = String::from("#include <stddef.h>\n");
    let mut checks = String::new();
    for (seed, prefix) in [(7, "left"), (7, "right"), (12, "up")] {
        let policy = cases::policy(seed, SMALL);
        let edge = cases::flat(&policy, Quantize::Int16, true);
        let mut details = cases::details(&policy, &edge, &mut stream);
        details.prefix = prefix.into();
        for (name, content) in C.export(&edge, &details).unwrap().files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        main.push_str(&format!("#include \"{prefix}.h\"\n"));
        checks.push_str(&format!("    failed |= {prefix}_self_test();\n"));
    }
    main.push_str(&format!("int main(void)\n{{\n    int failed = 0;\n{checks}    return failed;\n}}\n"));
    std::fs::write(folder.path().join("main.c"), main).unwrap();
    let mut compile = compiler().compile();
    compile.current_dir(folder.path()).args(["main.c", "left.c", "right.c", "up.c", "-o", "main"]);
    assert!(compile.status().unwrap().success());
    assert!(std::process::Command::new(folder.path().join("main")).status().unwrap().success());
}

/// Tables, not nested ifs: a thousand trees compile in seconds.
#[test]
fn a_thousand_trees_compile_fast() {
    let size = Size { n_trees: 4000, n_features: 8, max_depth: 4 };
    let seed = (200..).find(|&seed| cases::policy(seed, size).ensemble().trees().len() >= 1000).unwrap();
    let policy = cases::policy(seed, size);
    let edge = cases::flat(&policy, Quantize::None, true);
    let mut stream = Stream::new(6, "rows", 0);
    let details = cases::details(&policy, &edge, &mut stream);
    let start = std::time::Instant::now();
    let rows = cases::rows(&edge, 1, false, &mut stream);
    run(&compiler(), &edge, &details, &C.export(&edge, &details).unwrap(), &rows).unwrap();
    // Ten seconds are promised; a busy machine gets more.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}

/// Whether a feature has more keys than a slot.
fn splits_a_feature(edge: &EdgePolicy) -> bool {
    edge.slots.windows(2).any(|slots| (slots[0].feature, slots[0].kind) == (slots[1].feature, slots[1].kind))
}

/// More than 256 slots, links of two bytes, features with more keys than a slot has.
#[test]
fn wide_forms_decide_alike_to_the_bit() {
    let compiler = compiler();
    let mut stream = Stream::new(10, "rows", 0);
    let (mut wide_tests, mut wide_links, mut split_features) = (0, 0, 0);
    let one_feature = Size { n_trees: 1500, n_features: 1, max_depth: 6 };
    let many_keys =
        |&seed: &u64| splits_a_feature(&cases::flat(&cases::policy(seed, one_feature), Quantize::None, true));
    for (seed, size) in [
        ((0..).find(many_keys).unwrap(), one_feature),
        (1, Size { n_trees: 400, n_features: 900, max_depth: 9 }),
        (4, Size { n_trees: 700, n_features: 700, max_depth: 7 }),
        (5, Size { n_trees: 700, n_features: 5, max_depth: 10 }),
    ] {
        let policy = cases::policy(seed, size);
        for quantize in [Quantize::None, Quantize::Int16] {
            let edge = cases::flat(&policy, quantize, true);
            wide_tests += usize::from(edge.test_bytes() == 3);
            wide_links += usize::from(edge.link_bytes() == 2);
            split_features += usize::from(splits_a_feature(&edge));
            let details = cases::details(&policy, &edge, &mut stream);
            let rows = cases::rows(&edge, 100, false, &mut stream);
            let expected = match quantize {
                Quantize::None => Outputs::of_library(&policy, &edge, &rows).unwrap(),
                _ => Outputs::of_bytes(&gbrl_core::export::binary::to_bytes(&edge), &rows).unwrap(),
            };
            for exporter in [&C as &dyn Exporter, &Loadable] {
                let got = run(&compiler, &edge, &details, &exporter.export(&edge, &details).unwrap(), &rows).unwrap();
                let difference = Disagreement::between(&edge, &expected, &got);
                assert!(difference.exact, "seed {seed}, {}: {difference:?}", exporter.format());
            }
        }
    }
    assert!(wide_tests > 0 && wide_links > 0 && split_features > 0, "{wide_tests} {wide_links} {split_features}");
}
