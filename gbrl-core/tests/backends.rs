//! The fast backend equals the oracle: same splits, same gains, same sums, on ordinary and hostile data, at every
//! vector level and thread count.

use std::ops::Range;

use gbrl_core::backend::cpu::CpuBackend;
use gbrl_core::backend::cpu::simd::{Level, Simd};
use gbrl_core::backend::naive::NaiveBackend;
use gbrl_core::backend::{Backend, Task};
use gbrl_core::config::{BinStrategy, GrowPolicy, SplitScore, TreeParams};
use gbrl_core::data::{BinnedMatrix, Binning, Feature, FeatureSchema, Tiles};
use gbrl_core::grow::{self, Grown};
use gbrl_core::rng::Stream;
use gbrl_core::threads::Threads;
use gbrl_core::tree::{Candidate, Sums};
use proptest::prelude::*;

/// A step with everything that can vary.
#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    n_rows: usize,
    n_features: usize,
    n_outputs: usize,
    n_bins: usize,
    categorical: usize,
    n_codes: u32,
    missing: f64,
    /// Values are rounded to multiples of this, to make ties.
    grid: f32,
    zero_gradients: bool,
    weighted: bool,
    subset: bool,
    columns: Range<usize>,
    params: TreeParams,
}

struct Data {
    bins: BinnedMatrix,
    rows: Vec<u32>,
    gradients: Vec<f32>,
    weights: Option<Vec<f32>>,
    feature_weights: Vec<f64>,
}

impl Case {
    fn data(&self) -> Data {
        let mut stream = Stream::new(self.seed, "case", 0);
        let feature = |f: usize| {
            if f < self.categorical {
                Feature::declared(format!("c{f}"), self.n_codes)
            } else {
                Feature::numeric(format!("x{f}"))
            }
        };
        let schema = FeatureSchema::new((0..self.n_features).map(feature).collect());
        let mut raw = Tiles::new(self.n_features);
        for _ in 0..self.n_rows {
            let row: Vec<f32> = (0..self.n_features)
                .map(|f| match f {
                    _ if stream.uniform() < self.missing => f32::NAN,
                    f if f < self.categorical => stream.below(u64::from(self.n_codes) + 1) as f32 - 1.0,
                    _ => (stream.normal() as f32 / self.grid).round() * self.grid,
                })
                .collect();
            raw.append(&row).unwrap();
        }
        let mut bins = BinnedMatrix::default();
        let binning = Binning { n_bins: self.n_bins, strategy: BinStrategy::Quantile, reserve_missing: false };
        bins.rebin(&schema, &raw, None, binning, &Threads::one(), &mut Vec::new());
        let rows: Vec<u32> = (0..self.n_rows as u32).filter(|_| !self.subset || stream.uniform() < 0.6).collect();
        let n = rows.len();
        let scale = if self.zero_gradients { 0.0 } else { 1.0 };
        let gradients = (0..n * self.n_outputs)
            .map(|i| (stream.normal() * scale * [1.0, 1e-20, 3e4][i % self.n_outputs % 3]) as f32)
            .collect();
        let weights = self.weighted.then(|| (0..n).map(|_| stream.below(3) as f32 * 0.7).collect());
        let feature_weights = (0..self.n_features).map(|f| if f == 3 { 0.0 } else { 1.0 + 0.1 * f as f64 }).collect();
        Data { bins, rows, gradients, weights, feature_weights }
    }

    fn task<'a>(&'a self, data: &'a Data) -> Task<'a> {
        Task {
            bins: &data.bins,
            rows: &data.rows,
            gradients: &data.gradients,
            n_outputs: self.n_outputs,
            columns: &self.columns,
            weights: data.weights.as_deref(),
            score: self.params.split_score,
            lambda: self.params.lambda_l2,
            min_data_in_leaf: self.params.min_data_in_leaf,
            feature_weights: &data.feature_weights,
            monotone: &[],
        }
    }

    fn grow(&self, data: &Data, backend: &mut dyn Backend) -> (Grown, Vec<Sums>) {
        let task = self.task(data);
        backend.begin(&task).unwrap();
        let grown = grow::grow(backend, &task, &self.params).unwrap();
        let sums = grown.leaves.iter().map(|&leaf| backend.sums(&task, leaf).unwrap()).collect();
        (grown, sums)
    }

    fn check(&self) {
        let data = self.data();
        let (expected, expected_sums) = self.grow(&data, &mut NaiveBackend::default());
        let total: u32 = expected_sums.iter().map(|s| s.n_rows).sum();
        assert_eq!(total as usize, data.rows.len(), "leaves share out the rows");
        for simd in Level::ALL.into_iter().filter_map(Simd::force) {
            for n_threads in [1, 2, 4] {
                let mut backend = CpuBackend::with_simd(simd, Threads::new(n_threads).unwrap());
                // Twice, so that scratch left over from one tree cannot leak into the next.
                for _ in 0..2 {
                    let (grown, sums) = self.grow(&data, &mut backend);
                    assert_eq!(grown.shape, expected.shape, "{simd:?} {n_threads} threads, {self:?}");
                    let bits = |gains: &[f32]| gains.iter().map(|g| g.to_bits()).collect::<Vec<_>>();
                    assert_eq!(bits(&grown.gains), bits(&expected.gains), "{simd:?}, {self:?}");
                    assert_eq!(sums, expected_sums);
                }
            }
        }
    }
}

fn params() -> impl Strategy<Value = TreeParams> {
    let grow = prop_oneof![Just(GrowPolicy::Oblivious), Just(GrowPolicy::Depthwise), Just(GrowPolicy::Bestfirst)];
    let score = prop_oneof![Just(SplitScore::Cosine), Just(SplitScore::L2)];
    let least = prop_oneof![Just(0usize), 1usize..9];
    let lambda = prop_oneof![Just(0.0), 0.1f64..9.0];
    (grow, score, 1usize..6, 2usize..20, least, lambda).prop_map(
        |(grow_policy, split_score, max_depth, max_leaves, min_data_in_leaf, lambda_l2)| TreeParams {
            grow_policy,
            split_score,
            max_depth,
            max_leaves,
            min_data_in_leaf,
            lambda_l2,
            ..TreeParams::default()
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let n_rows = prop_oneof![3 => 0usize..12, 5 => 12usize..150, 1 => 250usize..300];
    let n_bins = prop_oneof![6 => 2usize..40, 1 => 62usize..67, 1 => 254usize..257];
    let shape = (n_rows, 1usize..7, 1usize..10, n_bins);
    let missing = prop_oneof![Just(0.0), 0.05f64..0.9];
    let grid = prop_oneof![Just(1e-6f32), Just(0.5), Just(3.0)];
    let data = (0usize..3, 1u32..12, missing, grid);
    let flags = (prop::bool::weighted(0.05), prop::bool::weighted(0.3), any::<bool>(), any::<bool>());
    (any::<u64>(), shape, data, flags, params()).prop_map(|(seed, shape, data, flags, params)| {
        let (n_rows, n_features, n_outputs, n_bins) = shape;
        let (categorical, n_codes, missing, grid) = data;
        let (zero_gradients, weighted, subset, part) = flags;
        Case {
            seed,
            n_rows,
            n_features,
            n_outputs,
            n_bins,
            categorical: categorical.min(n_features),
            n_codes,
            missing,
            grid,
            zero_gradients,
            weighted,
            subset,
            columns: usize::from(part && n_outputs > 1)..n_outputs,
            params,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fast_equals_slow(case in case()) {
        case.check();
    }
}

fn large(n_rows: usize, n_outputs: usize, grow_policy: GrowPolicy) -> Case {
    Case {
        seed: 5,
        n_rows,
        n_features: 4,
        n_outputs,
        n_bins: 64,
        categorical: 1,
        n_codes: 400,
        missing: 0.1,
        grid: 1e-6,
        zero_gradients: false,
        weighted: false,
        subset: false,
        columns: 0..n_outputs,
        params: TreeParams { grow_policy, max_leaves: 12, ..TreeParams::default() },
    }
}

#[test]
fn kept_histograms_wide_bins_and_many_outputs() {
    for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        for n_outputs in [1, 3, 7, 12, 20, 40] {
            large(3000, n_outputs, grow_policy).check();
        }
    }
}

#[test]
fn small_steps_with_few_and_many_outputs() {
    for (n_rows, n_outputs) in
        [(1024, 3), (1025, 3), (700, 5), (300, 4), (260, 8), (300, 9), (300, 12), (200, 20), (90, 70)]
    {
        for grow_policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise] {
            for (missing, subset, split_score) in
                [(0.0, false, SplitScore::L2), (0.0, true, SplitScore::Cosine), (0.01, false, SplitScore::Cosine)]
            {
                let mut case = large(n_rows, n_outputs, grow_policy);
                case.n_bins = if n_outputs == 3 { 64 } else { 256 };
                (case.missing, case.subset, case.params.split_score) = (missing, subset, split_score);
                case.check();
            }
        }
    }
}

/// Nothing obliges a grower to look for candidates in every node that it splits.
#[test]
fn nodes_may_be_split_unseen() {
    let mut case = large(400, 3, GrowPolicy::Depthwise);
    (case.missing, case.categorical) = (0.0, 0);
    let data = case.data();
    let task = case.task(&data);
    let unseen = |backend: &mut dyn Backend| {
        backend.begin(&task).unwrap();
        let at = |feature_idx, bin| Candidate { feature_idx, bin, missing_right: false };
        backend.partition(&task, &[(0, at(0, 20))]).unwrap();
        backend.partition(&task, &[(1, at(1, 30)), (2, at(2, 40))]).unwrap();
        backend.partition(&task, &[(4, at(0, 10))]).unwrap();
        let mut each = Vec::new();
        backend.best_each(&task, &[3, 5, 6, 7, 8], &mut each).unwrap();
        (each, backend.best_joint(&task, &[3, 5, 6, 7, 8]).unwrap())
    };
    let expected = unseen(&mut NaiveBackend::default());
    for simd in Level::ALL.into_iter().filter_map(Simd::force) {
        assert_eq!(unseen(&mut CpuBackend::with_simd(simd, Threads::one())), expected, "{simd:?}");
    }
}
