//! What a booster promises: conservation, continuation, equal predictions by every road, and typed errors.

use gbrl_core::backend::naive::NaiveBackend;
use gbrl_core::boost::{Booster, Dataset};
use gbrl_core::config::{Edges, GrowPolicy, Monotone, SplitScore, TreeParams};
use gbrl_core::data::{Feature, FeatureSchema};
use gbrl_core::ensemble::{Ensemble, Optimizer, OutputGroup, Schedule};
use gbrl_core::error::ErrorClass;
use gbrl_core::rng::Stream;
use gbrl_core::threads::Threads;
use ndarray::{Array2, Axis, s};
use proptest::prelude::*;

const ADAM: Optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

fn schema(n_features: usize, n_categorical: usize) -> FeatureSchema {
    let feature =
        |f| if f < n_categorical { Feature::declared(format!("c{f}"), 5) } else { Feature::numeric(format!("x{f}")) };
    FeatureSchema::new((0..n_features).map(feature).collect())
}

fn groups(n_outputs: usize, value: Optimizer) -> Vec<OutputGroup> {
    let mut groups = vec![OutputGroup::sgd("policy", 0..n_outputs - 1, Schedule::Linear { start: 0.3, end: 0.1 })];
    groups.push(OutputGroup {
        optimizer: value,
        ..OutputGroup::sgd("value", n_outputs - 1..n_outputs, Schedule::Constant(0.1))
    });
    groups
}

/// 3 features (the first categorical, the second sometimes missing), 4 outputs.
fn booster(params: &TreeParams, value: Optimizer, n_threads: usize) -> Booster {
    let ensemble = Ensemble::new(schema(3, 1), groups(4, value)).unwrap();
    Booster::new(ensemble, params.clone(), 7, n_threads).unwrap()
}

fn observations(n: usize, seed: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, "observations", 0);
    (0..n)
        .flat_map(|_| {
            let missing = stream.uniform() < 0.1;
            let x = stream.normal() as f32;
            [stream.below(5) as f32, if missing { f32::NAN } else { x }, stream.normal() as f32]
        })
        .collect()
}

/// A few rollouts of a few minibatches each.
fn train(booster: &mut Booster, data: &mut Dataset, n_rollouts: usize, n_rows: usize) {
    let mut stream = Stream::new(3, "gradients", booster.n_trees() as u64);
    for rollout in 0..n_rollouts {
        data.clear();
        booster.set_progress(rollout as f64 / n_rollouts as f64);
        let mut out = vec![0.0; n_rows * 3];
        booster.append(data, &observations(n_rows, rollout as u64), 0..3, &mut out).unwrap();
        booster.complete(data).unwrap();
        for _ in 0..4 {
            let rows: Vec<u32> = (0..n_rows / 2).map(|_| stream.below(n_rows as u64) as u32).collect();
            let gradients: Vec<f32> = rows
                .iter()
                .flat_map(|&r| (0..4).map(|c| data.output(r as usize, c) - stream.normal() as f32).collect::<Vec<_>>())
                .collect();
            booster.step(data, &rows, &gradients).unwrap();
        }
    }
}

/// A booster after so many rollouts; one of fewer rollouts is its beginning.
fn trained(params: &TreeParams, value: Optimizer, bias: [f32; 4], n_rollouts: usize) -> Booster {
    let mut ensemble = Ensemble::new(schema(3, 1), groups(4, value)).unwrap();
    ensemble.set_bias(&bias).unwrap();
    let mut booster = Booster::new(ensemble, params.clone(), 7, 2).unwrap();
    let mut data = booster.dataset();
    for _ in 0..n_rollouts {
        train(&mut booster, &mut data, 1, 60);
    }
    booster
}

fn variants() -> Vec<(TreeParams, Optimizer)> {
    let mut variants = Vec::new();
    for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        for edges in [Edges::Rollout, Edges::Step, Edges::Fixed] {
            for max_depth in [2, 4, 5, 6, 8] {
                let params = TreeParams { grow_policy, edges, max_depth, ..TreeParams::default() };
                variants.push((params, Optimizer::Sgd));
            }
        }
    }
    let base = TreeParams::default();
    variants.push((TreeParams { shared_structure: false, ..base.clone() }, Optimizer::Sgd));
    variants.push((TreeParams { shared_structure: false, ..base.clone() }, ADAM));
    variants.push((base.clone(), ADAM));
    variants.push((TreeParams { control_variates: true, ..base.clone() }, Optimizer::Sgd));
    variants.push((TreeParams { control_variates: true, ..base.clone() }, ADAM));
    variants.push((TreeParams { row_subsample: 0.5, feature_subsample: 0.6, ..base.clone() }, Optimizer::Sgd));
    variants.push((TreeParams { split_score: SplitScore::L2, lambda_l2: 1.0, ..base }, Optimizer::Sgd));
    variants
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn cached_batched_and_single_row_predictions_are_equal_to_the_bit() {
    for (params, value) in variants() {
        let mut booster = booster(&params, value, 1);
        let mut data = booster.dataset();
        train(&mut booster, &mut data, 3, 50);
        let mut row = vec![0.0; 3];
        let all: Vec<f32> = (0..50)
            .flat_map(|r| {
                data.observations().read_row(r, &mut row);
                row.clone()
            })
            .collect();
        let mut batched = vec![0.0; 50 * 4];
        booster.predict(&all, 0..4, &mut batched).unwrap();
        for r in 0..50 {
            let cached: Vec<f32> = (0..4).map(|c| data.output(r, c)).collect();
            let mut single = vec![0.0; 4];
            booster.predict(&all[3 * r..3 * r + 3], 0..4, &mut single).unwrap();
            let mut part = vec![0.0; 2];
            booster.predict(&all[3 * r..3 * r + 3], 1..3, &mut part).unwrap();
            assert_eq!(bits(&cached), bits(&batched[4 * r..4 * r + 4]), "{params:?} {value:?}");
            assert_eq!(bits(&cached), bits(&single));
            assert_eq!(bits(&part), bits(&single[1..3]));
            if value == Optimizer::Sgd {
                // The slow and obvious sum.
                let mut sum = booster.ensemble().bias().to_vec();
                for tree in booster.ensemble().trees() {
                    let leaf = tree.leaf(tree.leaf_idx(&all[3 * r..3 * r + 3]));
                    tree.columns().zip(leaf).for_each(|(c, v)| sum[c] += v);
                }
                assert_eq!(bits(&cached), bits(&sum), "{params:?}");
            }
        }
    }
}

#[test]
fn thread_count_and_backend_change_no_byte() {
    for (params, value) in variants() {
        let trees = |mut booster: Booster| {
            let mut data = booster.dataset();
            train(&mut booster, &mut data, 2, 300);
            booster.into_ensemble()
        };
        let one = trees(booster(&params, value, 1));
        assert_eq!(one, trees(booster(&params, value, 2)));
        assert_eq!(one, trees(booster(&params, value, 4)));
        let ensemble = Ensemble::new(schema(3, 1), groups(4, value)).unwrap();
        let naive =
            Booster::with_backend(ensemble, params, 7, Threads::one(), Box::new(NaiveBackend::default())).unwrap();
        assert_eq!(one, trees(naive));
    }
}

/// Rows of a small grid repeat, so their outputs are remembered across rollouts; those of `predict` never are.
#[test]
fn remembered_outputs_are_computed_ones_to_the_bit() {
    for (params, value) in variants() {
        let mut booster = booster(&params, value, 1);
        let (mut data, mut stream) = (booster.dataset(), Stream::new(5, "grid", 0));
        for rollout in 0..6 {
            data.clear();
            // From the fifth rollout on nothing repeats, and remembering is given up in the middle of the rollout.
            let n_places = if rollout < 4 { 7 } else { 1_000_000 };
            let mut all = Vec::new();
            for _ in 0..150 {
                let rows: Vec<f32> = (0..20)
                    .flat_map(|_| {
                        let place = stream.below(n_places) as f32;
                        [place % 5.0, if place == 3.0 { f32::NAN } else { place }, -place]
                    })
                    .collect();
                let (mut cached, mut fresh) = (vec![0.0; 20 * 2], vec![0.0; 20 * 2]);
                booster.append(&mut data, &rows, 1..3, &mut cached).unwrap();
                booster.predict(&rows, 1..3, &mut fresh).unwrap();
                assert_eq!(bits(&cached), bits(&fresh), "{params:?} {value:?} {rollout}");
                all.extend(rows);
            }
            booster.complete(&mut data).unwrap();
            let mut fresh = vec![0.0; 3000 * 4];
            booster.predict(&all, 0..4, &mut fresh).unwrap();
            let cached: Vec<f32> =
                (0..3000).flat_map(|r| (0..4).map(|c| data.output(r, c)).collect::<Vec<_>>()).collect();
            assert_eq!(bits(&cached), bits(&fresh));
            for _ in 0..3 {
                let rows: Vec<u32> = (0..100).map(|_| stream.below(3000) as u32).collect();
                let gradients: Vec<f32> = (0..400).map(|_| stream.normal() as f32).collect();
                booster.step(&mut data, &rows, &gradients).unwrap();
            }
        }
    }
}

#[test]
fn ranges_of_trees_say_what_was_said_then_and_add_up() {
    let bias = [1.0, -2.0, 0.5, 4.0];
    for (params, value) in variants() {
        let (early, late) = (trained(&params, value, bias, 1), trained(&params, value, bias, 2));
        let (k, n) = (early.n_trees(), late.n_trees());
        for n_rows in [1, 5, 40] {
            let x = observations(n_rows, 77);
            let all = |booster: &Booster| {
                let mut out = vec![0.0; n_rows * 4];
                booster.predict(&x, 0..4, &mut out).map(|()| out).unwrap()
            };
            let range = |trees| {
                let mut out = vec![0.0; n_rows * 4];
                late.predict_range(&x, trees, 0..4, &mut out).map(|()| out)
            };
            assert_eq!(range(0..k).unwrap(), all(&early));
            assert_eq!(range(0..n).unwrap(), all(&late));
            assert_eq!(range(0..0).unwrap(), bias.repeat(n_rows));
            if late.ensemble().has_adam() {
                assert_eq!(range(k..n).unwrap_err().class(), ErrorClass::Unsupported);
                continue;
            }
            assert_eq!(range(k..k).unwrap(), bias.repeat(n_rows));
            let (first, second, whole) = (range(0..k).unwrap(), range(k..n).unwrap(), range(0..n).unwrap());
            for (i, bias) in bias.repeat(n_rows).into_iter().enumerate() {
                // Equal but for the rounding of sums in another order.
                assert!((first[i] + second[i] - bias - whole[i]).abs() <= 1e-5 * (1.0 + whole[i].abs()));
            }
        }
    }
    let booster = trained(&TreeParams::default(), Optimizer::Sgd, bias, 1);
    let error = booster.predict_range(&[0.0; 3], 0..5, 0..4, &mut [0.0; 4]).unwrap_err();
    assert_eq!(error.to_string(), "trees: expected a range within 0..4, got 0..5");
}

#[test]
fn a_refused_append_leaves_the_dataset_as_it_was() {
    let mut booster = booster(&TreeParams::default(), Optimizer::Sgd, 1);
    let mut data = booster.dataset();
    assert!(booster.append(&mut data, &[0.0; 7], 0..0, &mut []).is_err());
    assert!(booster.append(&mut data, &[0.0; 6], 0..4, &mut [0.0; 7]).is_err());
    booster.append(&mut data, &[0.0; 6], 0..4, &mut [0.0; 8]).unwrap();
    booster.complete(&mut data).unwrap();
    assert_eq!(data.n_rows(), 2);
}

#[test]
fn a_dataset_belongs_to_its_booster() {
    let (mut one, mut other) = (booster(&TreeParams::default(), ADAM, 1), booster(&TreeParams::default(), ADAM, 1));
    let mut data = one.dataset();
    one.append(&mut data, &[0.0; 3], 0..4, &mut [0.0; 4]).unwrap();
    one.complete(&mut data).unwrap();
    for error in [
        other.append(&mut data, &[0.0; 3], 0..0, &mut []).unwrap_err(),
        other.complete(&mut data).unwrap_err(),
        other.step(&mut data, &[0], &[0.0; 4]).unwrap_err(),
    ] {
        let expected = "dataset: expected one made by this booster's dataset(), got one of another booster";
        assert_eq!(error.to_string(), expected);
    }
    one.step(&mut data, &[0], &[1.0; 4]).unwrap();
}

/// Row 9 of the gradients, whatever subsampling picks and control variates mix.
#[test]
fn a_gradient_that_is_no_number_is_named_by_its_place() {
    let mut bad = vec![0.5; 40 * 4];
    bad[9 * 4 + 2] = f32::NAN;
    for base in [
        TreeParams::default(),
        TreeParams { row_subsample: 0.2, ..TreeParams::default() },
        TreeParams { control_variates: true, ..TreeParams::default() },
    ] {
        let mut booster = booster(&base, Optimizer::Sgd, 1);
        let mut data = booster.dataset();
        train(&mut booster, &mut data, 1, 40);
        let rows: Vec<u32> = (0..40).collect();
        let error = booster.step(&mut data, &rows, &bad).unwrap_err();
        assert!(error.to_string().starts_with("gradients[9, 2]: expected a finite number, got NaN"), "{error}");
    }
}

#[test]
fn trees_need_features_and_outputs_within_bounds() {
    let group = |n| vec![OutputGroup::sgd("y", 0..n, Schedule::Constant(0.1))];
    for (schema, groups) in [(schema(0, 0), group(1)), (schema(1, 0), group(usize::MAX))] {
        assert_eq!(Ensemble::new(schema, groups).unwrap_err().class(), ErrorClass::Value);
    }
    let ensemble = || Ensemble::new(schema(2, 0), group(1)).unwrap();
    let monotone = |rising| Monotone { feature_idx: 0, output_idx: 0, rising };
    for params in [
        TreeParams { monotone: vec![monotone(true), monotone(false)], ..TreeParams::default() },
        TreeParams { edges: Edges::Fixed, n_bins: 2, ..TreeParams::default() },
    ] {
        assert_eq!(Booster::new(ensemble(), params, 0, 1).err().unwrap().class(), ErrorClass::Value);
    }
}

#[test]
fn a_column_cannot_declare_more_categories_than_bins_can_number() {
    let schema = |n| FeatureSchema::new(vec![Feature::declared("place", n)]);
    let groups = || vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(0.1))];
    assert!(Ensemble::new(schema(65_534), groups()).is_ok());
    let error = Ensemble::new(schema(65_535), groups()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Value);
    assert_eq!(error.to_string(), "categories of place: expected at most 65534, got 65535");
}

/// Enough rows and trees that histograms, binning and prediction are all shared out to threads.
#[test]
fn work_that_wakes_threads_gives_the_same_bytes() {
    const N_ROWS: usize = 20_000;
    let rows = observations(N_ROWS, 99);
    for (edges, grow_policy) in [(Edges::Rollout, GrowPolicy::Oblivious), (Edges::Step, GrowPolicy::Depthwise)] {
        let params = TreeParams { edges, grow_policy, max_depth: 2, ..TreeParams::default() };
        let run = |n_threads| {
            let mut booster = booster(&params, Optimizer::Sgd, n_threads);
            let mut data = booster.dataset();
            train(&mut booster, &mut data, 5, N_ROWS);
            let mut out = vec![0.0; 4 * N_ROWS];
            booster.predict(&rows, 0..4, &mut out).unwrap();
            (booster.into_ensemble(), bits(&out))
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}

fn regression(n: usize) -> (Array2<f32>, Array2<f32>) {
    let mut stream = Stream::new(1, "regression", 0);
    let x = Array2::from_shape_fn((n, 3), |_| stream.normal() as f32);
    let y = x.map_axis(Axis(1), |row| row[0] - 2.0 * f32::from(row[1] > 0.5)).insert_axis(Axis(1));
    (x, y)
}

fn supervised(params: &TreeParams) -> Booster {
    let ensemble = Ensemble::new(schema(3, 0), vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(0.3))]).unwrap();
    Booster::new(ensemble, params.clone(), 0, 1).unwrap()
}

#[test]
fn one_tree_at_a_time_equals_n_at_once_and_disturbs_nothing() {
    let (x, y) = regression(200);
    for (params, _) in variants() {
        let (mut once, mut often) = (supervised(&params), supervised(&params));
        once.fit(x.view(), y.view(), 6).unwrap();
        for _ in 0..6 {
            often.fit(x.view(), y.view(), 1).unwrap();
        }
        assert_eq!(once.ensemble(), often.ensemble(), "{params:?}");
        let first_three = once.ensemble().trees()[..3].to_vec();
        once.fit(x.view(), y.view(), 2).unwrap();
        assert_eq!(once.ensemble().trees()[..3], first_three[..]);
        assert_eq!(once.ensemble().bias(), often.ensemble().bias());
    }
}

#[test]
fn any_layout_predicts_as_contiguous_rows() {
    let (x, y) = regression(100);
    let mut booster = supervised(&TreeParams::default());
    booster.fit(x.view(), y.view(), 5).unwrap();
    let plain = booster.predict_array(x.view()).unwrap();
    let fortran = x.t().as_standard_layout().to_owned();
    assert_eq!(booster.predict_array(fortran.t()).unwrap(), plain);
    let mut wide = Array2::zeros((200, 6));
    wide.slice_mut(s![..;2, ..;2]).assign(&x);
    assert_eq!(booster.predict_array(wide.slice(s![..;2, ..;2])).unwrap(), plain);
    assert_eq!(booster.predict_array(x.slice(s![..;-1, ..])).unwrap().slice(s![..;-1, ..]), plain);
}

#[test]
fn a_step_that_cannot_split_is_one_leaf_and_counts_once() {
    for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        let params = TreeParams { grow_policy, ..TreeParams::default() };
        let ensemble = Ensemble::new(schema(1, 0), vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(1.0))]).unwrap();
        let mut booster = Booster::new(ensemble, params, 0, 1).unwrap();
        let mut data = booster.dataset();
        booster.append(&mut data, &[1.0; 8], 0..0, &mut []).unwrap();
        booster.complete(&mut data).unwrap();
        let rows: Vec<u32> = (0..8).collect();
        let report = booster.step(&mut data, &rows, &[-10.0; 8]).unwrap();
        assert_eq!((report.n_leaves, report.depth), (1, 0));
        booster.step(&mut data, &rows, &[0.0; 8]).unwrap();
        assert_eq!((data.output(3, 0), booster.n_trees()), (10.0, 2));
    }
}

#[test]
fn one_row_and_no_row_work() {
    for split_score in [SplitScore::Cosine, SplitScore::L2] {
        let mut booster = supervised(&TreeParams { split_score, ..TreeParams::default() });
        let mut data = booster.dataset();
        booster.append(&mut data, &[1.0, 2.0, 3.0], 0..0, &mut []).unwrap();
        booster.complete(&mut data).unwrap();
        booster.step(&mut data, &[0], &[2.0]).unwrap();
        assert_eq!(data.output(0, 0), -0.6);
        booster.step(&mut data, &[], &[]).unwrap();
        assert_eq!((data.output(0, 0), booster.n_trees()), (-0.6, 2));
        let mut empty = booster.dataset();
        booster.complete(&mut empty).unwrap();
        booster.step(&mut empty, &[], &[]).unwrap();
    }
}

#[test]
fn monotone_outputs_are_monotone_everywhere() {
    for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        for rising in [true, false] {
            let monotone = vec![Monotone { feature_idx: 0, output_idx: 0, rising }];
            let params = TreeParams { grow_policy, monotone, max_depth: 5, n_bins: 16, ..TreeParams::default() };
            let mut booster = supervised(&params);
            let mut stream = Stream::new(2, "noise", 0);
            let x = Array2::from_shape_fn((300, 3), |_| stream.normal() as f32);
            let sign = if rising { 1.0 } else { -1.0 };
            let y =
                Array2::from_shape_fn((300, 1), |(i, _)| sign * x[[i, 0]] + 2.0 * (stream.normal() as f32) + x[[i, 1]]);
            booster.fit(x.view(), y.view(), 30).unwrap();
            for i in 0..50 {
                let line =
                    Array2::from_shape_fn((200, 3), |(j, f)| if f == 0 { -4.0 + 0.04 * j as f32 } else { x[[i, f]] });
                let out = booster.predict_array(line.view()).unwrap();
                for j in 1..200 {
                    let change = sign * (out[[j, 0]] - out[[j - 1, 0]]);
                    // f32 sums of monotone terms may differ by a rounding.
                    assert!(change >= -1e-5, "{grow_policy:?}: falls by {change}");
                }
            }
            let first = booster.ensemble().trees()[0].leaf(0)[0];
            assert!(first != 0.0, "the constraint does not forbid everything");
        }
    }
}

#[test]
fn a_planted_split_is_recovered_at_every_bin_in_both_directions() {
    let n = 64;
    let mut stream = Stream::new(0, "plant", 0);
    for bin in 0..n - 1 {
        for sign in [1.0f32, -1.0] {
            let mut order: Vec<usize> = (0..n).collect();
            stream.shuffle(&mut order);
            let noise: Vec<f32> = (0..n).map(|_| stream.normal() as f32).collect();
            let observations: Vec<f32> = (0..n).flat_map(|i| [noise[i], order[i] as f32, noise[n - 1 - i]]).collect();
            let ensemble =
                Ensemble::new(schema(3, 0), vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(1.0))]).unwrap();
            let mut booster =
                Booster::new(ensemble, TreeParams { max_depth: 1, ..TreeParams::default() }, 0, 1).unwrap();
            let mut data = booster.dataset();
            booster.append(&mut data, &observations, 0..0, &mut []).unwrap();
            booster.complete(&mut data).unwrap();
            let gradients: Vec<f32> = order.iter().map(|&o| if o > bin { sign } else { -2.0 * sign }).collect();
            booster.step(&mut data, &(0..n as u32).collect::<Vec<_>>(), &gradients).unwrap();
            let split = *booster.ensemble().trees()[0].splits().next().unwrap();
            assert_eq!(split, gbrl_core::tree::Split::greater(1, bin as f32, false));
        }
    }
}

#[test]
fn missing_values_learn_their_direction() {
    for right in [true, false] {
        let ensemble = Ensemble::new(schema(1, 0), vec![OutputGroup::sgd("y", 0..1, Schedule::Constant(1.0))]).unwrap();
        let mut booster = Booster::new(ensemble, TreeParams { max_depth: 1, ..TreeParams::default() }, 0, 1).unwrap();
        let mut data = booster.dataset();
        booster.append(&mut data, &[-2.0, -1.0, f32::NAN, 1.0, 2.0], 0..0, &mut []).unwrap();
        booster.complete(&mut data).unwrap();
        let missing = if right { 1.0 } else { -1.0 };
        booster.step(&mut data, &[0, 1, 2, 3, 4], &[-1.0, -1.0, missing, 1.0, 1.0]).unwrap();
        let split = *booster.ensemble().trees()[0].splits().next().unwrap();
        assert_eq!(split, gbrl_core::tree::Split::greater(0, -1.0, right));
    }
}

#[test]
fn misuse_gets_an_error_with_the_facts_and_changes_nothing() {
    let mut booster = booster(&TreeParams::default(), Optimizer::Sgd, 1);
    let mut data = booster.dataset();
    booster.append(&mut data, &observations(4, 0), 0..0, &mut []).unwrap();
    let incomplete = booster.step(&mut data, &[0], &[0.0; 4]).unwrap_err();
    assert!(incomplete.to_string().contains("complete"));
    booster.complete(&mut data).unwrap();
    for (rows, gradients, message) in [
        (vec![0], vec![0.0; 3], "gradients: expected shape [1, 4], got 3 values"),
        (vec![9], vec![0.0; 4], "rows[0, 0]: expected a row below 4, got 9"),
        (
            vec![0, 1],
            [vec![0.0; 5], vec![f32::NAN], vec![0.0; 2]].concat(),
            "gradients[1, 1]: expected a finite number, got NaN",
        ),
        (vec![0], vec![f32::INFINITY; 4], "gradients[0, 0]: expected a finite number, got inf"),
    ] {
        let error = booster.step(&mut data, &rows, &gradients).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.class()), (message, ErrorClass::Value));
    }
    assert_eq!(booster.n_trees(), 0);
    assert!(booster.predict(&[0.0; 4], 0..4, &mut [0.0; 4]).is_err());
    assert!(booster.append(&mut data, &[0.0; 3], 0..5, &mut [0.0; 5]).is_err());
}

/// Leaves that f32 cannot hold, in the last group only: neither trees nor cached outputs nor random streams move.
#[test]
fn a_step_that_overflows_is_an_error_and_changes_nothing() {
    let base = || TreeParams { row_subsample: 0.7, feature_subsample: 0.7, ..TreeParams::default() };
    let (whole, by_group) = (base(), TreeParams { shared_structure: false, control_variates: true, ..base() });
    for params in [whole, TreeParams { edges: Edges::Step, ..by_group }] {
        let run = |with_failure: bool| {
            let mut booster = booster(&params, Optimizer::Sgd, 1);
            booster.set_rate(1, Schedule::Linear { start: 0.5, end: 100.0 }).unwrap();
            let mut data = booster.dataset();
            train(&mut booster, &mut data, 1, 64);
            let rows: Vec<u32> = (0..64).collect();
            if with_failure {
                let enormous = [1.0, 1.0, 1.0, -1e37].repeat(64);
                booster.set_progress(1.0);
                let error = booster.step(&mut data, &rows, &enormous).unwrap_err();
                assert_eq!(error.class(), ErrorClass::Value);
                let message = error.to_string();
                assert!(message.starts_with("leaf values[0, 3]: expected a number within ±3.4e38"), "{message}");
                assert!(message.contains("got 9.99") && message.ends_with("e38"), "{message}");
                let error = booster.set_rate(0, Schedule::Constant(1e39)).unwrap_err();
                assert_eq!(error.to_string(), "policy_lr: expected 0 to 3.4e38, got 1e39");
                booster.set_progress(0.0);
            }
            booster.step(&mut data, &rows, &[0.5; 256]).unwrap();
            let places = (0..64).flat_map(|row| (0..4).map(move |column| (row, column)));
            let outputs: Vec<f32> = places.map(|(row, column)| data.output(row, column)).collect();
            train(&mut booster, &mut data, 1, 64);
            (booster.into_ensemble(), bits(&outputs))
        };
        assert!(run(true) == run(false));
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let ensemble = || Ensemble::new(schema(3, 1), groups(4, Optimizer::Sgd)).unwrap();
    let base = TreeParams::default;
    for (params, name) in [
        (TreeParams { max_depth: 0, ..base() }, "max_depth"),
        (TreeParams { max_depth: 13, ..base() }, "max_depth"),
        (TreeParams { n_bins: 1, ..base() }, "n_bins"),
        (TreeParams { n_bins: 257, ..base() }, "n_bins"),
        (TreeParams { row_subsample: 0.0, ..base() }, "row_subsample"),
        (TreeParams { lambda_l2: f64::NAN, ..base() }, "lambda_l2"),
        (TreeParams { feature_weights: vec![1.0], ..base() }, "feature_weights"),
        (TreeParams { monotone: vec![Monotone { feature_idx: 0, output_idx: 0, rising: true }], ..base() }, "monotone"),
    ] {
        let error = Booster::new(ensemble(), params, 0, 1).err().unwrap();
        assert!(error.to_string().starts_with(name), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_step_moves_each_leaf_by_its_mean_gradient(n in 1usize..200, seed in any::<u64>(), depth in 1usize..6) {
        let ensemble = Ensemble::new(schema(2, 0), vec![OutputGroup::sgd("y", 0..2, Schedule::Constant(1.0))]).unwrap();
        let mut booster = Booster::new(ensemble, TreeParams { max_depth: depth, ..TreeParams::default() }, 0, 1).unwrap();
        let mut stream = Stream::new(seed, "p", 0);
        let x: Vec<f32> = (0..2 * n).map(|_| stream.normal() as f32).collect();
        let g: Vec<f32> = (0..2 * n).map(|_| stream.normal() as f32).collect();
        let mut data = booster.dataset();
        booster.append(&mut data, &x, 0..0, &mut []).unwrap();
        booster.complete(&mut data).unwrap();
        booster.step(&mut data, &(0..n as u32).collect::<Vec<_>>(), &g).unwrap();
        let tree = &booster.ensemble().trees()[0];
        let mut sums = vec![[0.0f64; 3]; tree.n_leaves()];
        for i in 0..n {
            let leaf = &mut sums[tree.leaf_idx(&x[2 * i..2 * i + 2])];
            leaf[0] += f64::from(g[2 * i]);
            leaf[1] += f64::from(g[2 * i + 1]);
            leaf[2] += 1.0;
        }
        for (leaf, [a, b, count]) in sums.into_iter().enumerate() {
            prop_assert_eq!(tree.covers()[leaf], count as u32);
            let expected = if count > 0.0 { [-a / count, -b / count] } else { [0.0; 2] };
            for (value, expected) in tree.leaf(leaf).iter().zip(expected) {
                prop_assert!((f64::from(*value) - expected).abs() <= 1e-6 * expected.abs().max(1.0));
            }
        }
    }
}

#[test]
fn a_step_on_rows_that_nobody_keeps_is_the_same_step() {
    let mut stream = Stream::new(3, "once", 0);
    let observations = observations(60, 1);
    let gradients: Vec<f32> = (0..60 * 4).map(|_| stream.normal() as f32).collect();
    let weights: Vec<f32> = (0..60).map(|_| stream.uniform() as f32).collect();
    for edges in [Edges::Rollout, Edges::Step, Edges::Fixed] {
        for (value, control_variates) in [(Optimizer::Sgd, false), (Optimizer::Sgd, true), (ADAM, false)] {
            let params = TreeParams { edges, control_variates, row_subsample: 0.8, ..TreeParams::default() };
            let (mut kept, mut once) = (booster(&params, value, 1), booster(&params, value, 1));
            for _ in 0..3 {
                let mut data = kept.dataset();
                kept.append(&mut data, &observations, 0..0, &mut []).unwrap();
                kept.complete(&mut data).unwrap();
                let rows: Vec<u32> = (0..60).collect();
                let report = kept.step_weighted(&mut data, &rows, &gradients, Some(&weights)).unwrap();
                assert_eq!(once.step_once(&observations, &gradients, Some(&weights)).unwrap(), report);
            }
            assert_eq!(once.ensemble(), kept.ensemble());
        }
    }
    let mut booster = booster(&TreeParams::default(), Optimizer::Sgd, 1);
    assert_eq!(booster.step_once(&observations[1..], &gradients, None).unwrap_err().class(), ErrorClass::Value);
    assert_eq!(booster.step_once(&observations, &gradients[1..], None).unwrap_err().class(), ErrorClass::Value);
    assert_eq!(booster.n_trees(), 0);
}
