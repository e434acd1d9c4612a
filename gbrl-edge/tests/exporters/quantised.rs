//! Quantised policies: what rounding may change, and what it may not.

use gbrl_core::export::check::Disagreement;
use gbrl_core::export::leaves::Sums;
use gbrl_core::export::{Outputs, Quantize, binary};
use gbrl_core::rng::Stream;

use crate::cases::{self, SMALL};

#[test]
fn outputs_are_off_by_half_a_unit_per_tree() {
    let mut stream = Stream::new(7, "rows", 0);
    for seed in 0..200 {
        let policy = cases::policy(seed, SMALL);
        let n_trees = policy.ensemble().trees().len() as f64;
        for quantize in [Quantize::Int16, Quantize::Int8] {
            let edge = cases::flat(&policy, quantize, true);
            let rows = cases::rows(&edge, 50, false, &mut stream);
            let library = Outputs::of_library(&policy, &edge, &rows).unwrap();
            let got = Outputs::of_bytes(&binary::to_bytes(&edge), &rows).unwrap();
            let difference = Disagreement::between(&edge, &library, &got);
            let Sums::Integer { scales, .. } = &edge.sums else { panic!("integers expected") };
            let unit = scales.iter().fold(0.0, |unit: f32, scale| unit.max(*scale));
            // Half a unit for each tree and the beginning, and the library's own rounding of its sums.
            let bound = f64::from(unit) * 0.51 * (n_trees + 1.0) + 1e-5;
            assert!(difference.logit_error <= bound, "seed {seed}, {quantize}: {difference:?} above {bound}");
            assert!(difference.value_error <= bound, "seed {seed}, {quantize}: {difference:?} above {bound}");
        }
    }
}

#[test]
fn a_forbidden_choice_is_never_taken() {
    let mut stream = Stream::new(8, "rows", 0);
    for seed in (0..100).filter(|&seed| cases::flat(&cases::policy(seed, SMALL), Quantize::Int8, false).mask_len() > 0)
    {
        let policy = cases::policy(seed, SMALL);
        let edge = cases::flat(&policy, Quantize::Int8, false);
        let rows = cases::rows(&edge, 50, true, &mut stream);
        let got = Outputs::of_bytes(&binary::to_bytes(&edge), &rows).unwrap();
        let mut at = 0;
        for action in got.actions.chunks_exact(edge.action_len()) {
            let mask = &rows.masks[at..at + edge.mask_len()];
            at += edge.mask_len();
            let mut from = 0;
            for (i, &action) in action.iter().enumerate() {
                let (n, start) = match &edge.head {
                    gbrl_core::export::form::EdgeHead::Discrete(parts) => {
                        (parts[i].n as usize, f64::from(parts[i].start))
                    }
                    _ => (2, 0.0),
                };
                assert!(mask[from + (action - start) as usize], "seed {seed}");
                from += n;
            }
        }
    }
}
