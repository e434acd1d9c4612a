//! `device = auto` gives large work to the device and small work to the processor, and nobody can tell from the results.

use gbrl_core::backend::Backend;
use gbrl_core::config::GrowPolicy;
use gbrl_core::threads::Threads;
use gbrl_cuda::AutoBackend;

use crate::case::large;
use crate::common::backend;

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
