//! Launching kernels: one function each, whose arguments have the types and lengths that the kernel reads.
//!
//! This is the only place where the device is told to touch memory. Every launch is checked by the same reasons:
//!
//! 1. The kernel's parameters are those of its text in `kernels/`, in order and type; structs are `repr(C)` twins.
//! 2. Every buffer is at least as long as the kernel's highest index, which the function asserts where it does not
//!    follow from the caller's construction.
//! 3. All work goes to one stream, in order, and a buffer is freed in the order of that stream.

#![allow(unsafe_code)]

use std::ops::Range;
use std::sync::atomic::Ordering;

use cudarc::driver::{CudaFunction, CudaSlice, DevicePtr, DeviceRepr, LaunchConfig, PushKernelArg, ValidAsZeroBits};
use gbrl_core::data::{Lanes, TILE};
use gbrl_core::error::Result;

use crate::device::{Buffer, Device};

/// Threads of a block; `THREADS` in kernels/device.cu.
const THREADS: u32 = 256;
/// Most blocks that share out rows: enough to fill any device, few enough to be cheap.
const MAX_BLOCKS: usize = 1024;

/// Tiles and output columns of a block of `predict`.
const TILES_OF_BLOCK: usize = 2;
const COLUMNS_OF_BLOCK: usize = 8;

/// Twin of `Rule` in kernels/device.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Rule {
    pub cosine: u32,
    pub n_outputs: u32,
    pub weighted: u32,
    pub n_monotone: u32,
    pub min_rows: u32,
    pub unused: u32,
    pub lambda: f64,
    pub weight_unit: f64,
}

/// Twin of `Feature` in kernels/device.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Feature {
    pub first_bin: u32,
    pub n_bins: u32,
    pub n_values: u32,
    pub categorical: u32,
    pub missing: u32,
    pub wide: u32,
    pub first_byte: u64,
    pub weight: f64,
}

/// Twin of `Best` in kernels/device.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Best {
    pub score: f64,
    pub feature: u32,
    pub bin: u32,
    pub missing_right: u32,
    pub found: u32,
}

/// Twin of `Pair` in kernels/histogram.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Pair {
    pub left: u32,
    pub right: u32,
    pub parent_slot: u32,
    pub fresh_slot: u32,
}

/// Twin of `Cut` in kernels/nodes.cu.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Cut {
    pub chosen_idx: i32,
    pub left: u32,
}

impl Default for Cut {
    fn default() -> Self {
        Cut { chosen_idx: -1, left: 0 }
    }
}

/// Twin of `Question` in kernels/predict.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Question {
    pub feature: u32,
    pub low: u32,
    pub width: u32,
    pub left: i32,
    pub right: i32,
}

/// Twin of `Laid` in kernels/predict.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Laid {
    pub first_question: u64,
    pub first_value: u64,
    pub n_questions: u32,
    pub oblivious: u32,
    pub first_column: u32,
    pub n_columns: u32,
}

/// Twin of `Numbers` in kernels/gradients.cu: pointers are the device's.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct NumbersArg {
    values: u64,
    n_rows: u32,
    stride: u32,
    first: u32,
    n_columns: u32,
    means: u64,
    deviations: u64,
    weights: u64,
}

// SAFETY: plain numbers without padding that matters, any bits of which are a value; the same layout on the device.
unsafe impl DeviceRepr for Rule {}
// SAFETY: as above.
unsafe impl DeviceRepr for Feature {}
// SAFETY: as above.
unsafe impl DeviceRepr for Best {}
// SAFETY: as above.
unsafe impl DeviceRepr for Pair {}
// SAFETY: as above.
unsafe impl DeviceRepr for Cut {}
// SAFETY: as above.
unsafe impl DeviceRepr for Question {}
// SAFETY: as above.
unsafe impl DeviceRepr for Laid {}
// SAFETY: as above.
unsafe impl DeviceRepr for NumbersArg {}
// SAFETY: zeros are a value of plain numbers.
unsafe impl ValidAsZeroBits for Feature {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Best {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Pair {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Cut {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Question {}
// SAFETY: as above.
unsafe impl ValidAsZeroBits for Laid {}

/// The numbers of tiles one after the other, to be sent.
pub fn numbers(tiles: &[Lanes<f32>]) -> &[f32] {
    // SAFETY: `Lanes` is repr(C) around [f32; 16] with an alignment of 64 bytes, its size: no padding, and f32 needs less.
    unsafe { std::slice::from_raw_parts(tiles.as_ptr().cast(), tiles.len() * TILE) }
}

/// The same, to be fetched into.
pub fn numbers_mut(tiles: &mut [Lanes<f32>]) -> &mut [f32] {
    // SAFETY: as above; any bits are an f32.
    unsafe { std::slice::from_raw_parts_mut(tiles.as_mut_ptr().cast(), tiles.len() * TILE) }
}

/// Numbers to be quantised: columns `first..first + n_columns` of `values`, row-major `[n_rows, stride]`, standardised
/// by `moments` (means and deviations) and multiplied by `weights` where there are some.
pub struct Numbers<'a> {
    pub values: &'a Buffer<f32>,
    pub n_rows: usize,
    pub stride: usize,
    pub first: usize,
    pub n_columns: usize,
    pub moments: Option<(&'a Buffer<f64>, &'a Buffer<f64>)>,
    pub weights: Option<&'a Buffer<f32>>,
}

impl Numbers<'_> {
    fn argument(&self, device: &Device) -> NumbersArg {
        assert!(self.values.len() >= self.n_rows * self.stride && self.stride >= self.first + self.n_columns);
        NumbersArg {
            values: address(device, self.values.all()),
            n_rows: self.n_rows as u32,
            stride: self.stride as u32,
            first: self.first as u32,
            n_columns: self.n_columns as u32,
            means: self.moments.map_or(0, |(means, _)| address(device, means.all())),
            deviations: self.moments.map_or(0, |(_, deviations)| address(device, deviations.all())),
            weights: self.weights.map_or(0, |weights| address(device, weights.all())),
        }
    }
}

fn address<T>(device: &Device, slice: &CudaSlice<T>) -> u64 {
    slice.device_ptr(&device.stream).0
}

/// The rows of a step on the device, and where they are in the growing tree.
pub struct Rows<'a> {
    pub bins: &'a Buffer<u8>,
    pub features: &'a Buffer<Feature>,
    pub rows: &'a Buffer<u32>,
    pub n_rows: usize,
}

/// Quantised gradients `[n_rows, n_outputs]`, and weights where rows have some.
pub struct Ints<'a> {
    pub gradients: &'a Buffer<i32>,
    pub weights: &'a Buffer<i32>,
    pub weighted: bool,
    pub n_outputs: usize,
}

/// Every kernel, ready to be launched.
pub struct Kernels {
    largest: CudaFunction,
    quantise: CudaFunction,
    choose_smaller: CudaFunction,
    histogram: CudaFunction,
    subtract: CudaFunction,
    partition: CudaFunction,
    node_sums: CudaFunction,
    best_of_feature: CudaFunction,
    best_of_all: CudaFunction,
    make_keys: CudaFunction,
    atomics: CudaFunction,
    predict: CudaFunction,
}

fn blocks(n: usize) -> u32 {
    n.div_ceil(THREADS as usize).clamp(1, MAX_BLOCKS) as u32
}

fn grid(x: u32, y: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (x, y, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
}

/// Launches `kernel` with arguments in order, on a grid.
macro_rules! launch {
    ($device:expr, $kernel:expr, $name:literal, $grid:expr, $($argument:expr),+ $(,)?) => {{
        let mut builder = $device.stream.launch_builder($kernel);
        $(builder.arg($argument);)+
        $device.launches.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the reasons of this module's head.
        unsafe { builder.launch($grid) }.map(|_| ()).map_err(|error| $device.failure($name, error))
    }};
}

impl Kernels {
    /// Looks all kernels up.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Kernels {
            largest: device.kernel("largest")?,
            quantise: device.kernel("quantise")?,
            choose_smaller: device.kernel("choose_smaller")?,
            histogram: device.kernel("histogram")?,
            subtract: device.kernel("subtract")?,
            partition: device.kernel("partition")?,
            node_sums: device.kernel("node_sums")?,
            best_of_feature: device.kernel("best_of_feature")?,
            best_of_all: device.kernel("best_of_all")?,
            make_keys: device.kernel("make_keys")?,
            atomics: device.kernel("atomics")?,
            predict: device.kernel("predict")?,
        })
    }

    /// Raises `out[first_out..]` to the bits of each column's largest magnitude.
    pub fn largest(
        &self,
        device: &Device,
        numbers: &Numbers<'_>,
        out: &mut Buffer<u64>,
        first_out: usize,
    ) -> Result<()> {
        assert!(out.len() >= first_out + numbers.n_columns);
        let argument = numbers.argument(device);
        let mut out = out.all_mut().slice_mut(first_out..);
        // There may be more outputs than a grid's y can number, never more shares of rows.
        let grid = grid(numbers.n_columns as u32, blocks(numbers.n_rows));
        launch!(device, &self.largest, "largest", grid, &argument, &mut out)
    }

    /// Writes `ints[row][column]` of every number by `scales[first_scale + column]`.
    pub fn quantise(
        &self,
        device: &Device,
        numbers: &Numbers<'_>,
        (scales, first_scale): (&Buffer<f64>, usize),
        ints: &mut Buffer<i32>,
    ) -> Result<()> {
        assert!(scales.len() >= first_scale + numbers.n_columns && ints.len() >= numbers.n_rows * numbers.n_columns);
        let argument = numbers.argument(device);
        let scales = scales.all().slice(first_scale..);
        let grid = grid(blocks(numbers.n_rows * numbers.n_columns), 1);
        launch!(device, &self.quantise, "quantise", grid, &argument, &scales, ints.all_mut())
    }

    /// Decides which child of every pair, `n` from `first` on, is summed, by `sums`, `[node][lanes]`.
    pub fn choose_smaller(
        &self,
        device: &Device,
        (pairs, (first, n_pairs)): (&Buffer<Pair>, (usize, usize)),
        (sums, lanes): (&Buffer<i64>, usize),
        (slot_of, first_slot): (&mut Buffer<i32>, usize),
        left_is_smaller: &mut Buffer<u32>,
    ) -> Result<()> {
        assert!(left_is_smaller.len() >= first + n_pairs && pairs.len() >= first + n_pairs);
        let (n, lanes) = (n_pairs as u32, lanes as u32);
        let grid = grid(n.div_ceil(THREADS), 1);
        let pairs = pairs.all().slice(first..first + n_pairs);
        let (mut slots, mut smaller) =
            (slot_of.all_mut().slice_mut(first_slot..), left_is_smaller.all_mut().slice_mut(first..));
        let kernel = &self.choose_smaller;
        launch!(device, kernel, "choose_smaller", grid, &pairs, &n, sums.all(), &lanes, &mut slots, &mut smaller)
    }

    /// Adds every row whose node has a slot to that slot's cells.
    pub fn histogram(
        &self,
        device: &Device,
        rows: &Rows<'_>,
        node_of: &Buffer<u32>,
        (slot_of, first_slot): (&Buffer<i32>, usize),
        ints: &Ints<'_>,
        (slot_cells, cells): (u64, &mut Buffer<i64>),
    ) -> Result<()> {
        let (n, n_outputs, weighted) = (rows.n_rows as u32, ints.n_outputs as u32, u32::from(ints.weighted));
        let slots = slot_of.all().slice(first_slot..);
        let per_feature = MAX_BLOCKS.div_ceil(rows.features.len()).max(4) as u32;
        for (first, count) in y_ranges(rows.features.len()) {
            let features = rows.features.all().slice(first..first + count);
            let grid = grid(blocks(rows.n_rows).min(per_feature), count as u32);
            launch!(
                device,
                &self.histogram,
                "histogram",
                grid,
                rows.bins.all(),
                &features,
                rows.rows.all(),
                node_of.all(),
                &n,
                &slots,
                ints.gradients.all(),
                ints.weights.all(),
                &n_outputs,
                &weighted,
                &slot_cells,
                cells.all_mut(),
            )?;
        }
        Ok(())
    }

    /// Turns parent and smaller child into left and right child.
    pub fn subtract(
        &self,
        device: &Device,
        (pairs, (start, n_pairs)): (&Buffer<Pair>, (usize, usize)),
        left_is_smaller: &Buffer<u32>,
        (slot_numbers, cells): (u64, &mut Buffer<i64>),
    ) -> Result<()> {
        for (first, count) in y_ranges(n_pairs) {
            let part = start + first..start + first + count;
            let (pairs, smaller) = (pairs.all().slice(part.clone()), left_is_smaller.all().slice(part));
            let grid = grid(blocks(slot_numbers as usize), count as u32);
            launch!(device, &self.subtract, "subtract", grid, &pairs, &smaller, &slot_numbers, cells.all_mut())?;
        }
        Ok(())
    }

    /// Sends every row of a split node to its child; `cuts` has an entry per node that rows may be in.
    pub fn partition(
        &self,
        device: &Device,
        rows: &Rows<'_>,
        chosen: &Buffer<Best>,
        cuts: &Buffer<Cut>,
        node_of: &mut Buffer<u32>,
    ) -> Result<()> {
        let n = rows.n_rows as u32;
        let (bins, features, row_idx) = (rows.bins.all(), rows.features.all(), rows.rows.all());
        let grid = grid(blocks(rows.n_rows), 1);
        let (chosen, cuts, node_of) = (chosen.all(), cuts.all(), node_of.all_mut());
        launch!(device, &self.partition, "partition", grid, bins, features, row_idx, &n, chosen, cuts, node_of)
    }

    /// Adds the rows of nodes `first..first + count` to `sums[first..][lanes]`.
    pub fn node_sums(
        &self,
        device: &Device,
        (node_of, n_rows): (&Buffer<u32>, usize),
        (first, count): (usize, usize),
        ints: &Ints<'_>,
        sums: &mut Buffer<i64>,
    ) -> Result<()> {
        let lanes = 1 + usize::from(ints.weighted) + ints.n_outputs;
        assert!(sums.len() >= (first + count) * lanes);
        let (n, first_node, n_nodes) = (n_rows as u32, first as u32, count as u32);
        let (n_outputs, weighted) = (ints.n_outputs as u32, u32::from(ints.weighted));
        let mut sums = sums.all_mut().slice_mut(first * lanes..);
        launch!(
            device,
            &self.node_sums,
            "node_sums",
            grid(blocks(n_rows), 1),
            node_of.all(),
            &n,
            &first_node,
            &n_nodes,
            ints.gradients.all(),
            ints.weights.all(),
            &n_outputs,
            &weighted,
            &mut sums,
        )
    }

    /// The best candidate of every feature, for all of `nodes` together or for each: `best[node][feature]`.
    pub fn best_of_feature(
        &self,
        device: &Device,
        features: &Buffer<Feature>,
        (rule, units, monotone): (&Rule, &Buffer<f64>, &Buffer<u32>),
        (slot_of, first_slot): (&Buffer<i32>, usize),
        (nodes, first_node, n_nodes, joint): (&Buffer<u32>, usize, usize, bool),
        sums: &Buffer<i64>,
        (slot_cells, cells): (u64, &Buffer<i64>),
        best: &mut Buffer<Best>,
    ) -> Result<()> {
        let n_features = features.len() as u32;
        let (count, joint_flag) = (n_nodes as u32, u32::from(joint));
        let (slots, nodes) = (slot_of.all().slice(first_slot..), nodes.all().slice(first_node..));
        let grid = grid(n_features, if joint { 1 } else { count });
        launch!(
            device,
            &self.best_of_feature,
            "best_of_feature",
            grid,
            features.all(),
            &n_features,
            rule,
            units.all(),
            monotone.all(),
            &slots,
            &nodes,
            &count,
            &joint_flag,
            sums.all(),
            &slot_cells,
            cells.all(),
            best.all_mut(),
        )
    }

    /// The best of all features, for each of `n` nodes, into `chosen[first..]`.
    pub fn best_of_all(
        &self,
        device: &Device,
        (best, n_features): (&Buffer<Best>, usize),
        n: usize,
        (chosen, first): (&mut Buffer<Best>, usize),
    ) -> Result<()> {
        assert!(chosen.len() >= first + n && best.len() >= n * n_features);
        let n_features = n_features as u32;
        let mut chosen = chosen.all_mut().slice_mut(first..);
        launch!(device, &self.best_of_all, "best_of_all", grid(n as u32, 1), best.all(), &n_features, &mut chosen)
    }

    /// Adds `rounds` numbers per thread to shared memory, to see how long that takes.
    pub fn atomics(&self, device: &Device, n_blocks: u32, rounds: u32, sink: &mut Buffer<i64>) -> Result<()> {
        launch!(device, &self.atomics, "atomics", grid(n_blocks, 1), &rounds, sink.all_mut())
    }

    /// Writes the key of every number.
    pub fn make_keys(&self, device: &Device, numbers: &Buffer<f32>, keys: &mut Buffer<u32>) -> Result<()> {
        assert!(keys.len() >= numbers.len());
        let n = numbers.len() as u64;
        let grid = grid(blocks(numbers.len()), 1);
        launch!(device, &self.make_keys, "make_keys", grid, numbers.all(), &n, keys.all_mut())
    }

    /// Adds trees `range` to output columns `columns` of `sums`, `[tile][n_outputs][16]`; `keys` is
    /// `[tile][n_features][16]`.
    pub fn predict(
        &self,
        device: &Device,
        (keys, n_features): (&Buffer<u32>, usize),
        (forest, range): (&Forest<'_>, Range<usize>),
        columns: Range<usize>,
        (sums, n_outputs): (&mut Buffer<f32>, usize),
    ) -> Result<()> {
        let n_tiles = keys.len() / (n_features * TILE);
        assert!(sums.len() >= n_tiles * n_outputs * TILE && columns.end <= n_outputs);
        assert!(forest.trees.len() > range.end && !range.is_empty() && n_tiles > 0);
        // Grids are numbered by 31 bits, and by 16 where outputs are: both hold what memory and settings can.
        let grid = grid(n_tiles.div_ceil(TILES_OF_BLOCK) as u32, columns.len().div_ceil(COLUMNS_OF_BLOCK) as u32);
        let trees = forest.trees.all().slice(range.start..range.end + 1);
        let (tiles, features, n_trees, outputs) =
            (n_tiles as u64, n_features as u32, range.len() as u32, n_outputs as u32);
        let (first, end) = (columns.start as u32, columns.end as u32);
        launch!(
            device,
            &self.predict,
            "predict",
            grid,
            keys.all(),
            &tiles,
            &features,
            &trees,
            &n_trees,
            forest.questions.all(),
            forest.values.all(),
            &first,
            &end,
            &outputs,
            sums.all_mut(),
        )
    }
}

/// Trees laid out on the device, with a last one behind them that says where the values end.
pub struct Forest<'a> {
    pub trees: &'a Buffer<Laid>,
    pub questions: &'a Buffer<Question>,
    pub values: &'a Buffer<f32>,
}

/// Cuts 0..n into ranges (start, length) that a grid's y can number.
fn y_ranges(n: usize) -> impl Iterator<Item = (usize, usize)> {
    const MOST: usize = 65_535;
    (0..n).step_by(MOST).map(move |first| (first, MOST.min(n - first)))
}
