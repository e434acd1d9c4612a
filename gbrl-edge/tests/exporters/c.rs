//! Exported C, and the interpreter in C, against the library: compiled by this machine's compiler.

use gbrl_core::export::c::C;
use gbrl_core::export::check::Disagreement;
use gbrl_core::export::host::Compiler;
use gbrl_core::export::loadable::Loadable;
use gbrl_core::export::{Exporter, Outputs, Quantize, probes};
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL, Size};

fn compiler() -> Compiler {
    Compiler::find().expect("these tests need a C compiler: install gcc or clang")
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
            compiler.run(&edge, &details, &artefact, &rows).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
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
            let got = compiler.run(&edge, &details, &artefact, &rows).unwrap();
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
    compiler().run(&edge, &details, &C.export(&edge, &details).unwrap(), &rows).unwrap();
    // Ten seconds are promised; a busy machine gets more.
    assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
}
