//! ONNX against the library: onnx's checker, and onnxruntime, which adds leaves in an order of its own.

use std::process::Command;

use gbrl_core::export::check::Disagreement;
use gbrl_core::export::form::{EdgeHead, EdgePolicy};
use gbrl_core::export::onnx::Onnx;
use gbrl_core::export::{Exporter, Outputs, Quantize, Rows, binary, probes};
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL};

/// What a sum of some dozen leaves of about 0.1 may be off by.
const TOLERANCE: f64 = 1e-5;

/// The largest logit, or another that is as large up to rounding; an action without a choice, up to rounding.
fn is_good(edge: &EdgePolicy, rows: &Rows, row: usize, library: &Outputs, got: &Outputs) -> bool {
    let width = edge.action_len();
    let (expected, action) = (&library.actions[row * width..][..width], &got.actions[row * width..][..width]);
    let logits = &library.logits[row * edge.n_logits..][..edge.n_logits];
    let allowed = |i: usize| rows.masks.is_empty() || rows.masks[row * edge.mask_len() + i];
    match &edge.head {
        EdgeHead::Discrete(parts) => {
            let mut from = 0;
            parts.iter().enumerate().all(|(i, part)| {
                let logit = |action: f64| f64::from(logits[from + (action - f64::from(part.start)) as usize]);
                let chosen = from + (action[i] - f64::from(part.start)) as usize;
                let good = allowed(chosen) && logit(expected[i]) - logit(action[i]) <= TOLERANCE;
                from += part.n as usize;
                good
            })
        }
        EdgeHead::MultiBinary(n) => (0..*n).all(|i| {
            let free = allowed(2 * i) && allowed(2 * i + 1);
            expected[i] == action[i] || free && f64::from(logits[i].abs()) <= TOLERANCE
        }),
        _ => expected.iter().zip(action).all(|(a, b)| (a - b).abs() <= TOLERANCE),
    }
}

#[test]
#[ignore = "needs onnx and onnxruntime: cargo xtask edge runs it"]
fn random_policies_decide_alike_up_to_rounding() {
    let python = std::env::var_os("GBRL_EDGE_PYTHON").unwrap_or_else(|| "python3".into());
    let folder = tempfile::tempdir().unwrap();
    let mut stream = Stream::new(15, "rows", 0);
    let mut all = Vec::new();
    for seed in 0..60 {
        let policy = cases::policy(seed, SMALL);
        let quantize = [Quantize::None, Quantize::None, Quantize::Int16, Quantize::Int8][seed as usize % 4];
        let edge = cases::flat(&policy, quantize, seed % 2 == 0);
        let details = cases::details(&policy, &edge, &mut stream);
        let masked = seed % 3 == 0 && edge.mask_len() > 0;
        let mut rows = cases::rows(&edge, 300, masked, &mut stream);
        if !masked {
            rows.observations.extend(probes::neighbours(&edge, &[]).observations);
        }
        let expected = match quantize {
            Quantize::None => Outputs::of_library(&policy, &edge, &rows).unwrap(),
            _ => Outputs::of_bytes(&binary::to_bytes(&edge), &rows).unwrap(),
        };
        let case = folder.path().join(format!("{seed:03}"));
        std::fs::create_dir(&case).unwrap();
        std::fs::write(case.join("policy.onnx"), &Onnx.export(&edge, &details).unwrap().files[0].1).unwrap();
        let bytes: Vec<u8> = rows.observations.iter().flat_map(|x| x.to_ne_bytes()).collect();
        std::fs::write(case.join("obs"), bytes).unwrap();
        if masked {
            std::fs::write(case.join("mask"), rows.masks.iter().map(|&x| u8::from(x)).collect::<Vec<_>>()).unwrap();
        }
        all.push((case, edge, rows, expected));
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/exporters/run_onnx.py");
    let run = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for (case, edge, rows, expected) in all {
        let read = |name: &str| std::fs::read(case.join(name)).unwrap();
        let numbers = |name: &str| {
            read(name).chunks_exact(8).map(|x| f64::from_ne_bytes(x.try_into().unwrap())).collect::<Vec<_>>()
        };
        let narrow = |xs: Vec<f64>| xs.into_iter().map(|x| x as f32).collect();
        let values = if edge.has_value { narrow(numbers("value")) } else { Vec::new() };
        let got = Outputs { actions: numbers("action"), logits: narrow(numbers("logits")), values };
        let difference = Disagreement::between(&edge, &expected, &got);
        assert_eq!((got.actions.len(), got.logits.len()), (expected.actions.len(), expected.logits.len()));
        assert!(difference.logit_error <= TOLERANCE && difference.value_error <= TOLERANCE, "{case:?}: {difference:?}");
        for row in 0..rows.observations.len() / edge.n_features {
            assert!(is_good(&edge, &rows, row, &expected, &got), "{case:?}, row {row}");
        }
    }
}
