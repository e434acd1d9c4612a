//! Where the device has little memory, trees are the same or the error says what was lacking. The stand-in has as much as
//! GBRL_STANDIN_MEMORY says, so every amount is tried in a process of its own.

use std::process::Command;

use crate::case::large;
use crate::common::backend;
use gbrl_core::ErrorClass;
use gbrl_core::backend::Backend;
use gbrl_core::backend::update::{Actions, Update};
use gbrl_core::config::GrowPolicy;
use gbrl_core::data::Lanes;
use gbrl_cuda::{CudaBackend, device_name};

const MEMORY: &str = "GBRL_STANDIN_MEMORY";

/// What an ignored test prints on a device of so much memory; `policy` is how it grows trees.
fn printed_in(kibibytes: usize, test: &str, policy: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(MEMORY, (kibibytes << 10).to_string())
        .env("GBRL_TEST_POLICY", policy)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}, {policy} in {kibibytes} KiB: {text}{errors}");
    text
}

/// Not a test by itself: what `little_memory` runs with less and less memory. Prints what came of it.
#[test]
#[ignore = "run by little_memory"]
#[allow(clippy::print_stdout)]
fn grows_or_says_what_is_lacking() {
    let policy = match std::env::var("GBRL_TEST_POLICY").as_deref() {
        Ok("oblivious") => GrowPolicy::Oblivious,
        Ok("depthwise") => GrowPolicy::Depthwise,
        _ => GrowPolicy::Bestfirst,
    };
    let mut case = large(300, 7, policy);
    (case.params.max_depth, case.params.max_leaves) = (5, 20);
    let (data, expected) = case.expected();
    let mut backend = match CudaBackend::new(0) {
        Ok(backend) => backend,
        Err(error) => return println!("refused: {error}"),
    };
    match case.try_check(&data, &expected, &mut backend, "little memory") {
        Ok(()) => println!("grown with {} evictions", backend.evictions()),
        Err(error) => {
            assert_eq!(error.class(), ErrorClass::Device, "{error}");
            println!("refused: {error}");
            // What failed leaves nothing behind that would disturb a smaller step.
            let small = large(10, 1, policy);
            let (data, expected) = small.expected();
            if let Err(error) = small.try_check(&data, &expected, &mut backend, "after a refusal") {
                assert_eq!(error.class(), ErrorClass::Device, "{error}");
            }
        }
    }
}

#[test]
#[allow(clippy::print_stderr)]
fn little_memory() {
    if backend().is_none() {
        return;
    }
    if device_name(0).unwrap() != "stand-in" {
        eprintln!("skipped: a real device has the memory that it has");
        return;
    }
    for policy in ["oblivious", "depthwise", "bestfirst"] {
        let (mut refused, mut evicted, mut at_ease) = (0, 0, 0);
        for kibibytes in [40, 100, 400, 600, 1000, 2000, 64_000] {
            let text = printed_in(kibibytes, "memory::grows_or_says_what_is_lacking", policy);
            match text.lines().find_map(|line| line.split_once("grown with ").or(line.split_once("refused: "))) {
                Some((_, "0 evictions")) => at_ease += 1,
                Some((_, text)) if text.ends_with(" evictions") => evicted += 1,
                Some((_, error)) => {
                    refused += 1;
                    assert!(error.starts_with("device cuda:0: allocating memory failed: "), "{error}");
                    assert!(error.contains("bytes"), "{error}");
                }
                None => panic!("{text}"),
            }
        }
        assert!(refused > 0 && at_ease > 0, "{policy}: {refused} refused, {evicted} evicted, {at_ease} at ease");
        // An oblivious level needs all its histograms at once.
        assert!(policy == "oblivious" || evicted > 0, "{policy}: nothing was ever evicted");
    }
}

/// Not a test by itself: what `an_update_that_does_not_fit_is_left_to_the_processor` runs.
#[test]
#[ignore = "run by an_update_that_does_not_fit_is_left_to_the_processor"]
#[allow(clippy::print_stdout)]
fn holds_an_update() {
    let mut backend = CudaBackend::new(0).unwrap();
    let (n_rows, n_features, n_outputs) = (4096, 24, 3);
    let (tiles, outputs) =
        (vec![Lanes::default(); n_rows / 16 * n_features], vec![Lanes::default(); n_rows / 16 * n_outputs]);
    let (actions, acted) = (Actions::Choices(vec![2]), vec![0.0; n_rows]);
    let update = Update {
        outputs: &outputs,
        n_outputs,
        tiles: &tiles,
        n_features,
        batch_size: 64,
        actions: &actions,
        acted: &acted,
        masks: &[],
        policy: None,
        value: None,
    };
    let held: Vec<bool> = (0..2).map(|_| backend.updates().unwrap().begin(&update).unwrap()).collect();
    println!("held {held:?}");
}

#[test]
#[allow(clippy::print_stderr)]
fn an_update_that_does_not_fit_is_left_to_the_processor() {
    if backend().is_none() {
        return;
    }
    if device_name(0).unwrap() != "stand-in" {
        eprintln!("skipped: a real device has the memory that it has");
        return;
    }
    // 4,096 rows of 24 numbers and their keys: 768 KiB, and as much again for growing.
    for (kibibytes, held) in [(1000, "held [false, false]"), (2000, "held [true, true]"), (64_000, "held [true, true]")]
    {
        let text = printed_in(kibibytes, "memory::holds_an_update", "");
        assert!(text.contains(held), "{kibibytes} KiB: {text}");
    }
}
