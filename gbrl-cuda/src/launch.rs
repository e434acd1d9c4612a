//! Launching kernels: one function each, whose arguments have the types and lengths that the kernel reads.
//!
//! This is the only place where the device is told to touch memory. Every launch is checked by the same reasons:
//!
//! 1. The kernel's parameters are those of its text in `kernels/`, in order and type; structs are `repr(C)` twins.
//! 2. Every buffer is at least as long as the kernel's highest index. The function asserts it, or, where buffers come as
//!    addresses in a struct, it is so by the construction of the struct: `cuda_backend` and `learn`, and they alone, fill them.
//! 3. All work goes to one stream, in order, and a buffer is freed in the order of that stream.

#![allow(unsafe_code)]

use std::ops::Range;

use cudarc::driver::{CudaFunction, DeviceRepr, LaunchConfig, PushKernelArg, ValidAsZeroBits};
use gbrl_core::backend::update::LOSS_TILE;
use gbrl_core::data::{Lanes, TILE};
use gbrl_core::error::Result;
use gbrl_core::tree::quantise::CHUNK;

use crate::device::{Buffer, Device};

/// Threads of a block; `THREADS` in kernels/device.cu.
const THREADS: u32 = 256;
/// Most blocks that share out rows: enough to fill any device, few enough to be cheap.
const MAX_BLOCKS: usize = 1024;

/// Tiles and output columns of a block of `predict`.
const TILES_OF_BLOCK: usize = 2;
const COLUMNS_OF_BLOCK: usize = 8;

/// Most levels of a tree that is grown without asking between them: their nodes are numbered in shared memory
/// (`LEVEL_NODES` in kernels/level.cu).
pub const MOST_LEVELS: usize = 8;

/// Rows of a block of `losses`.
const ROWS_OF_TILE: usize = LOSS_TILE;

/// Twin of `Step` in kernels/device.cu: pointers are the device's.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Step {
    pub bins: u64,
    pub features: u64,
    pub rows: u64,
    pub node_of: u64,
    pub score_ints: u64,
    pub leaf_ints: u64,
    pub weight_ints: u64,
    pub units: u64,
    pub monotone: u64,
    pub sums: u64,
    pub cells: u64,
    pub best: u64,
    pub chosen: u64,
    pub arrived: u64,
    pub slot_cells: u64,
    pub lambda: f64,
    pub n_rows: u32,
    pub n_features: u32,
    pub n_outputs: u32,
    pub weighted: u32,
    pub two_kinds: u32,
    pub cosine: u32,
    pub n_monotone: u32,
    pub min_rows: u32,
}

/// Twin of `Numbers` in kernels/gradients.cu: pointers are the device's, 0 where there are no moments or weights.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Numbers {
    pub values: u64,
    pub moments: u64,
    pub weights: u64,
    pub n_rows: u32,
    pub stride: u32,
    pub first: u32,
    pub n_columns: u32,
}

/// Twin of `Quantised` in kernels/gradients.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Quantised {
    pub leaf_ints: u64,
    pub score_ints: u64,
    pub weight_ints: u64,
    pub node_of: u64,
    pub units: u64,
    pub sums: u64,
    pub bits: i32,
    pub two_kinds: u32,
}

/// Twin of `Minibatch` in kernels/minibatch.cu.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Minibatch {
    pub rows: u64,
    pub outputs: u64,
    pub gradients: u64,
    pub work: u64,
    pub sums: u64,
    pub largest: u64,
    pub choices: u64,
    pub log_std: u64,
    pub acted: u64,
    pub masks: u64,
    pub weights: u64,
    pub old_log_probs: u64,
    pub returns: u64,
    pub old_values: u64,
    pub n_rows: u32,
    pub n_outputs: u32,
    pub kind: u32,
    pub n_parts: u32,
    pub action_len: u32,
    pub mask_len: u32,
    pub n_log_std: u32,
    pub has_policy: u32,
    pub has_value: u32,
    pub clips_policy_norm: u32,
    pub clips_value_norm: u32,
    pub unused: u32,
    pub mean: f64,
    pub scale: f64,
    pub clip_range: f64,
    pub ent_coef: f64,
    pub policy_norm: f64,
    pub vf_range: f64,
    pub vf_coef: f64,
    pub value_norm: f64,
}

/// Twin of `Feature` in kernels/device.cu.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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

// SAFETY: plain numbers without padding that matters, any bits of which are a value; the same layout on the device.
unsafe impl DeviceRepr for Step {}
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
unsafe impl DeviceRepr for Numbers {}
// SAFETY: as above.
unsafe impl DeviceRepr for Quantised {}
// SAFETY: as above.
unsafe impl DeviceRepr for Minibatch {}
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

/// Every kernel, ready to be launched.
pub struct Kernels {
    largest: CudaFunction,
    sum_chunks: CudaFunction,
    quantise: CudaFunction,
    grow_level: CudaFunction,
    choose_smaller: CudaFunction,
    histogram: CudaFunction,
    subtract: CudaFunction,
    find_splits: CudaFunction,
    divide_rows: CudaFunction,
    losses: CudaFunction,
    make_keys: CudaFunction,
    predict: CudaFunction,
    atomics: CudaFunction,
}

fn blocks(n: usize) -> u32 {
    n.div_ceil(THREADS as usize).clamp(1, MAX_BLOCKS) as u32
}

/// Blocks that share out the rows of one feature.
fn shares(step: &Step) -> u32 {
    blocks(step.n_rows as usize).min(MAX_BLOCKS.div_ceil(step.n_features as usize).max(4) as u32)
}

fn grid(x: u32, y: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (x, y, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
}

/// Launches `kernel` with arguments in order, on a grid.
macro_rules! launch {
    ($device:expr, $kernel:expr, $name:literal, $grid:expr, $($argument:expr),+ $(,)?) => {{
        let mut builder = $device.stream.launch_builder($kernel);
        $(builder.arg($argument);)+
        $device.counters.launched();
        // SAFETY: the reasons of this module's head.
        unsafe { builder.launch($grid) }.map(|_| ()).map_err(|error| $device.failure($name, error))
    }};
}

impl Kernels {
    /// Looks all kernels up.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Kernels {
            largest: device.kernel("largest")?,
            sum_chunks: device.kernel("sum_chunks")?,
            quantise: device.kernel("quantise")?,
            grow_level: device.kernel("grow_level")?,
            choose_smaller: device.kernel("choose_smaller")?,
            histogram: device.kernel("histogram")?,
            subtract: device.kernel("subtract")?,
            find_splits: device.kernel("find_splits")?,
            divide_rows: device.kernel("divide_rows")?,
            losses: device.kernel("losses")?,
            make_keys: device.kernel("make_keys")?,
            predict: device.kernel("predict")?,
            atomics: device.kernel("atomics")?,
        })
    }

    /// Raises `out[slot]` to the bits of the largest magnitude: of the columns as they are, or standardised, and of the
    /// weights.
    pub fn largest(
        &self,
        device: &Device,
        numbers: &Numbers,
        (standardised, and_weights): (bool, bool),
        out: u64,
    ) -> Result<()> {
        let (first, weights) = (if standardised { numbers.n_columns } else { 0 }, u32::from(and_weights));
        // There may be more outputs than a grid's y can number, never more shares of rows.
        let grid = grid(numbers.n_columns + weights, blocks(numbers.n_rows as usize));
        launch!(device, &self.largest, "largest", grid, numbers, &first, &weights, &out)
    }

    /// Means of the columns, or what they then deviate by, into `moments`, by way of a number per chunk and column.
    pub fn sum_chunks(
        &self,
        device: &Device,
        numbers: &Numbers,
        squares: bool,
        parts: &mut Buffer<i64>,
        moments: &mut Buffer<f64>,
        arrived: u64,
    ) -> Result<()> {
        let n_parts = (numbers.n_rows as usize).div_ceil(CHUNK) * numbers.n_columns as usize;
        assert!(parts.len() >= n_parts && moments.len() >= 2 * numbers.n_columns as usize);
        let (grid, squares) = (grid(n_parts.div_ceil(THREADS as usize) as u32, 1), u32::from(squares));
        let (parts, moments) = (parts.all_mut(), moments.all_mut());
        launch!(device, &self.sum_chunks, "sum_chunks", grid, numbers, &squares, parts, moments, &arrived)
    }

    /// Turns gradients and weights into integers; all rows are in node 0 then, and summed.
    pub fn quantise(
        &self,
        device: &Device,
        numbers: &Numbers,
        (raw, others): (u64, u64),
        out: &Quantised,
    ) -> Result<()> {
        let slots = numbers.n_columns * (1 + out.two_kinds) + u32::from(numbers.weights != 0);
        let grid = grid(slots, blocks(numbers.n_rows as usize));
        launch!(device, &self.quantise, "quantise", grid, numbers, &raw, &others, out)
    }

    /// Grows level `depth` of an oblivious tree up to the choice of its candidate.
    pub fn grow_level(&self, device: &Device, step: &Step, depth: usize) -> Result<()> {
        assert!(depth < MOST_LEVELS);
        let depth = depth as u32;
        for (first, count) in y_ranges(step.n_features as usize) {
            let (first, grid) = (first as u32, grid(shares(step), count as u32));
            launch!(device, &self.grow_level, "grow_level", grid, step, &first, &depth)?;
        }
        Ok(())
    }

    /// Decides which child of every pair is summed.
    pub fn choose_smaller(
        &self,
        device: &Device,
        step: &Step,
        pairs: &Buffer<Pair>,
        slot_of: &mut Buffer<i32>,
    ) -> Result<()> {
        let n = pairs.len() as u32;
        let grid = grid(n.div_ceil(THREADS), 1);
        launch!(device, &self.choose_smaller, "choose_smaller", grid, step, pairs.all(), &n, slot_of.all_mut())
    }

    /// Adds every row whose node has a slot to that slot's cells. `fresh` are all the slots, where they follow one another.
    pub fn histogram(
        &self,
        device: &Device,
        step: &Step,
        slot_of: &Buffer<i32>,
        fresh: Option<&Range<usize>>,
    ) -> Result<()> {
        let (first_slot, n_slots) = fresh.map_or((0, 0), |fresh| (fresh.start as u32, fresh.len() as u32));
        for (first, count) in y_ranges(step.n_features as usize) {
            let (first, grid, slots) = (first as u32, grid(shares(step), count as u32), slot_of.all());
            launch!(device, &self.histogram, "histogram", grid, step, &first, slots, &first_slot, &n_slots)?;
        }
        Ok(())
    }

    /// Turns parent and smaller child into left and right child.
    pub fn subtract(&self, device: &Device, step: &Step, pairs: &Buffer<Pair>) -> Result<()> {
        let numbers = step.slot_cells as usize * (1 + step.weighted + step.n_outputs) as usize;
        for (first, count) in y_ranges(pairs.len()) {
            let pairs = pairs.all().slice(first..first + count);
            launch!(device, &self.subtract, "subtract", grid(blocks(numbers), count as u32), step, &pairs)?;
        }
        Ok(())
    }

    /// The best candidate for all of `nodes` together, or for each, whose histograms are in `slots`, into `chosen`.
    pub fn find_splits(
        &self,
        device: &Device,
        step: &Step,
        (nodes, slots): (&Buffer<u32>, &Buffer<i32>),
        joint: bool,
        chosen: &mut Buffer<Best>,
    ) -> Result<()> {
        let n = if joint { 1 } else { nodes.len() };
        assert!(chosen.len() >= n && slots.len() >= nodes.len());
        let (n_nodes, flag, grid) = (nodes.len() as u32, u32::from(joint), grid(step.n_features, n as u32));
        let (nodes, slots, chosen) = (nodes.all(), slots.all(), chosen.all_mut());
        let (kernel, arrived) = (&self.find_splits, &step.arrived);
        launch!(device, kernel, "find_splits", grid, step, nodes, slots, &n_nodes, &flag, chosen, arrived)
    }

    /// Sends rows to the children of their nodes, `count` nodes from `first` on, and sums these: by an entry of `cuts` per
    /// node and the candidates in `chosen`, or all by the one candidate there.
    pub fn divide_rows(
        &self,
        device: &Device,
        step: &Step,
        cuts: Option<&Buffer<Cut>>,
        chosen: u64,
        (first, count): (usize, usize),
    ) -> Result<()> {
        let (cuts, grid) = (cuts.map_or(0, |cuts| cuts.address(device, 0)), grid(blocks(step.n_rows as usize), 1));
        let (first, count) = (first as u32, count as u32);
        launch!(device, &self.divide_rows, "divide_rows", grid, step, &cuts, &chosen, &first, &count)
    }

    /// Losses and gradients of a minibatch.
    pub fn losses(&self, device: &Device, minibatch: &Minibatch) -> Result<()> {
        let tiles = (minibatch.n_rows as usize).div_ceil(ROWS_OF_TILE) as u32;
        let grid = LaunchConfig { block_dim: (ROWS_OF_TILE as u32, 1, 1), ..grid(tiles, 1) };
        launch!(device, &self.losses, "losses", grid, minibatch)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::SOURCE;

    #[test]
    fn both_sides_count_alike() {
        for (name, value) in [
            ("THREADS", THREADS as usize),
            ("WARP", ROWS_OF_TILE),
            ("CHUNK", CHUNK),
            ("LEVEL_NODES", 1 << (MOST_LEVELS - 1)),
            ("LANES", TILE),
            ("ROWS", TILES_OF_BLOCK * TILE),
        ] {
            assert!(SOURCE.contains(&format!("#define {name} {value}\n")), "{name}");
        }
        let pointers_and_numbers =
            [(size_of::<Step>(), 16 * 8 + 8 * 4), (size_of::<Minibatch>(), 14 * 8 + 12 * 4 + 8 * 8)];
        pointers_and_numbers.iter().for_each(|(got, expected)| assert_eq!(got, expected));
    }
}
