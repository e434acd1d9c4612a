//! Steps to grow a tree from, and the oracle's answer: what every backend is tested against.

use std::ops::Range;

use gbrl_core::backend::naive::NaiveBackend;
use gbrl_core::backend::{Backend, Task};
use gbrl_core::config::{BinStrategy, GrowPolicy, SplitScore, TreeParams};
use gbrl_core::data::{BinnedMatrix, Binning, Feature, FeatureSchema, Tiles};
use gbrl_core::error::Result;
use gbrl_core::grow::{self, Grown};
use gbrl_core::rng::Stream;
use gbrl_core::threads::Threads;
use gbrl_core::tree::Sums;
use proptest::prelude::*;

/// A step with everything that can vary.
#[derive(Debug, Clone)]
pub struct Case {
    seed: u64,
    n_rows: usize,
    n_features: usize,
    n_outputs: usize,
    pub n_bins: usize,
    pub categorical: usize,
    n_codes: u32,
    pub missing: f64,
    /// Values are rounded to multiples of this, to make ties.
    grid: f32,
    zero_gradients: bool,
    weighted: bool,
    pub subset: bool,
    columns: Range<usize>,
    monotone: Vec<(u32, u32, i8)>,
    pub params: TreeParams,
}

pub struct Data {
    bins: BinnedMatrix,
    pub rows: Vec<u32>,
    gradients: Vec<f32>,
    weights: Option<Vec<f32>>,
    feature_weights: Vec<f64>,
}

/// A grown tree and the sums of its leaves.
pub struct Tree {
    grown: Grown,
    sums: Vec<Sums>,
}

impl Case {
    /// Rows, bins and gradients.
    pub fn data(&self) -> Data {
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

    /// The step.
    pub fn task<'a>(&'a self, data: &'a Data) -> Task<'a> {
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
            monotone: &self.monotone,
        }
    }

    fn grow(&self, data: &Data, backend: &mut dyn Backend) -> Result<Tree> {
        let task = self.task(data);
        backend.begin(&task)?;
        let grown = grow::grow(backend, &task, &self.params)?;
        let sums = grown.leaves.iter().map(|&leaf| backend.sums(&task, leaf)).collect::<Result<_>>()?;
        Ok(Tree { grown, sums })
    }

    /// What the oracle grows.
    pub fn expected(&self) -> (Data, Tree) {
        let data = self.data();
        let tree = self.grow(&data, &mut NaiveBackend::default()).unwrap();
        let total: u32 = tree.sums.iter().map(|s| s.n_rows).sum();
        assert_eq!(total as usize, data.rows.len(), "leaves share out the rows");
        (data, tree)
    }

    /// Whether `backend` grows what the oracle grows, twice, so that scratch left over from one tree cannot leak into
    /// the next.
    pub fn check(&self, data: &Data, expected: &Tree, backend: &mut dyn Backend, what: &str) {
        self.try_check(data, expected, backend, what).unwrap();
    }

    /// The same for a backend that may fail.
    pub fn try_check(&self, data: &Data, expected: &Tree, backend: &mut dyn Backend, what: &str) -> Result<()> {
        for _ in 0..2 {
            let tree = self.grow(data, backend)?;
            assert_eq!(tree.grown.shape, expected.grown.shape, "{what}, {self:?}");
            let bits = |gains: &[f32]| gains.iter().map(|g| g.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&tree.grown.gains), bits(&expected.grown.gains), "{what}, {self:?}");
            assert_eq!(tree.sums, expected.sums, "{what}, {self:?}");
        }
        Ok(())
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

/// Steps of every kind, mostly small.
pub fn case() -> impl Strategy<Value = Case> {
    let n_rows = prop_oneof![3 => 0usize..12, 5 => 12usize..150, 1 => 250usize..300];
    let n_bins = prop_oneof![6 => 2usize..40, 1 => 62usize..67, 1 => 254usize..257];
    let shape = (n_rows, 1usize..7, 1usize..10, n_bins);
    let missing = prop_oneof![Just(0.0), 0.05f64..0.9];
    let grid = prop_oneof![Just(1e-6f32), Just(0.5), Just(3.0)];
    let data = (0usize..3, 1u32..12, missing, grid);
    let flags = (
        prop::bool::weighted(0.05),
        prop::bool::weighted(0.3),
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.2),
    );
    (any::<u64>(), shape, data, flags, params()).prop_map(|(seed, shape, data, flags, params)| {
        let (n_rows, n_features, n_outputs, n_bins) = shape;
        let (categorical, n_codes, missing, grid) = data;
        let (zero_gradients, weighted, subset, part, monotone) = flags;
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
            monotone: if monotone && n_features > categorical {
                vec![(n_features as u32 - 1, 0, 1)]
            } else {
                Vec::new()
            },
            params,
        }
    })
}

/// A step with many rows and a category of many codes.
pub fn large(n_rows: usize, n_outputs: usize, grow_policy: GrowPolicy) -> Case {
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
        monotone: Vec::new(),
        params: TreeParams { grow_policy, max_leaves: 12, ..TreeParams::default() },
    }
}
