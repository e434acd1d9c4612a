//! gbrl-edge against the library.

use gbrl_core::export::check::Disagreement;
use gbrl_core::export::{Outputs, Quantize, binary, probes};
use gbrl_core::rng::Stream;
use gbrl_edge::{Error, Policy, Work};

use crate::cases::{self, SMALL, Size};

#[test]
fn random_policies_decide_alike_to_the_bit() {
    let mut stream = Stream::new(1, "rows", 0);
    for seed in 0..400 {
        let policy = cases::policy(seed, SMALL);
        let edge = cases::flat(&policy, Quantize::None, seed % 2 == 0);
        let bytes = binary::to_bytes(&edge);
        for rows in
            [cases::rows(&edge, 100, seed % 3 == 0 && edge.mask_len() > 0, &mut stream), probes::neighbours(&edge, &[])]
        {
            let library = Outputs::of_library(&policy, &edge, &rows).unwrap();
            let got = Outputs::of_bytes(&bytes, &rows).unwrap();
            let difference = Disagreement::between(&edge, &library, &got);
            assert!(difference.exact, "seed {seed}: {difference:?}");
        }
    }
}

#[test]
fn many_slots_keys_and_nodes_decide_alike() {
    let mut stream = Stream::new(2, "rows", 0);
    for (seed, size) in [
        (1, Size { n_trees: 400, n_features: 900, max_depth: 9 }),
        (2, Size { n_trees: 900, n_features: 2, max_depth: 6 }),
        (3, Size { n_trees: 60, n_features: 3, max_depth: 11 }),
        (4, Size { n_trees: 700, n_features: 700, max_depth: 7 }),
        (5, Size { n_trees: 700, n_features: 5, max_depth: 10 }),
    ] {
        let policy = cases::policy(seed, size);
        let edge = cases::flat(&policy, Quantize::None, true);
        let rows = cases::rows(&edge, 200, false, &mut stream);
        let library = Outputs::of_library(&policy, &edge, &rows).unwrap();
        let got = Outputs::of_bytes(&binary::to_bytes(&edge), &rows).unwrap();
        assert!(Disagreement::between(&edge, &library, &got).exact, "seed {seed}");
    }
}

#[test]
fn calls_that_do_not_fit_are_refused() {
    let bytes = include_bytes!("../data/tiny.gbe");
    let policy = Policy::new(bytes).unwrap();
    let (mut codes, mut sums) = (vec![0; policy.n_codes()], vec![0; policy.n_sums()]);
    let mut work = Work { codes: &mut codes, sums: &mut sums };
    let (obs, mut action) = ([0.0; 2], [0]);
    assert_eq!(policy.act(&obs, &[], &mut work, &mut action), Ok(()));
    let shape = |what, expected, got| Err(Error::Shape { what, expected, got });
    assert_eq!(policy.act(&obs[1..], &[], &mut work, &mut action), shape("observation", 2, 1));
    assert_eq!(policy.act(&obs, &[true], &mut work, &mut action), shape("action mask", 3, 1));
    assert_eq!(policy.act(&obs, &[], &mut work, &mut []), shape("action", 1, 0));
    assert_eq!(policy.act(&obs, &[false; 3], &mut work, &mut action), Err(Error::NothingAllowed(0)));
    assert_eq!(policy.act_box(&obs, &mut work, &mut [0.0]), Err(Error::Absent("real-valued action")));
    assert_eq!(policy.logits(&obs, &mut work, &mut [0.0; 2]), shape("logits", 3, 2));
    let mut small = Work { codes: &mut [], sums: &mut sums };
    assert_eq!(policy.act(&obs, &[], &mut small, &mut action), shape("work.codes", policy.n_codes(), 0));
    let mut small = Work { codes: &mut codes, sums: &mut [] };
    assert_eq!(policy.value(&obs, &mut small).map(|_| ()), shape("work.sums", policy.n_sums(), 0));
}
