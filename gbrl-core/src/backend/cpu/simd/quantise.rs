//! Gradients to integers, a column at a time over rows of padded lanes.

use super::vector::Vector;
use crate::tree::quantise::{CHUNK, quantise};

super::kernel! {
    /// Largest magnitude per output over row-major `[n, stride]`, outputs from `first`; +∞ or NaN where a value is
    /// not finite.
    pub fn largest(gradients: &[f32], stride: usize, first: usize, out: &mut [f32]) = largest_body
}

super::kernel! {
    /// `ints[row * lanes + d] = round(gradients[row * stride + first + d] · scales[d])`; the lane behind the outputs
    /// becomes 1, the rest 0.
    pub fn quantise_rows(
        gradients: &[f32], stride: usize, first: usize, scales: &[f64], ints: &mut [i32], lanes: usize,
    ) = quantise_rows_body
}

super::kernel! {
    /// Per output over all rows, in the order of [`moments`](crate::tree::quantise::moments): the sum of the gradients less `means`, and of its square; and the largest
    /// magnitude of it. `means` of zero give the plain sums.
    pub fn deviations(
        gradients: &[f32], stride: usize, first: usize, means: &[f64], sums: &mut [f64], squares: &mut [f64],
        largest: &mut [f64],
    ) = deviations_body
}

super::kernel! {
    /// `quantise_rows` of (gradient − mean)/σ; 0 where σ is 0.
    pub fn standardise_rows(
        gradients: &[f32], stride: usize, first: usize, moments: &[(f64, f64)], scales: &[f64], ints: &mut [i32],
        lanes: usize,
    ) = standardise_rows_body
}

#[inline(always)]
fn largest_body<V: Vector>(gradients: &[f32], stride: usize, first: usize, out: &mut [f32]) {
    out.fill(0.0);
    match (stride, out.len()) {
        (2, 2) => largest_lanes::<2>(gradients, out),
        (3, 3) => largest_lanes::<3>(gradients, out),
        (5, 5) => largest_lanes::<5>(gradients, out),
        (7, 7) => largest_lanes::<7>(gradients, out),
        _ => {
            for row in gradients.chunks_exact(stride) {
                for (largest, &g) in out.iter_mut().zip(&row[first..]) {
                    *largest = larger(*largest, g);
                }
            }
        }
    }
}

#[inline(always)]
fn largest_lanes<const D: usize>(gradients: &[f32], out: &mut [f32]) {
    let mut largest = [0f32; D];
    for row in gradients.as_chunks::<D>().0 {
        for d in 0..D {
            largest[d] = larger(largest[d], row[d]);
        }
    }
    out.copy_from_slice(&largest);
}

/// max(a, |b|) that keeps a NaN once it has seen one: magnitudes compare as integers, and NaN is above infinity.
#[inline(always)]
pub fn larger(a: f32, b: f32) -> f32 {
    f32::from_bits(a.to_bits().max(b.to_bits() & 0x7FFF_FFFF))
}

#[inline(always)]
fn quantise_rows_body<V: Vector>(
    gradients: &[f32],
    stride: usize,
    first: usize,
    scales: &[f64],
    ints: &mut [i32],
    lanes: usize,
) {
    match (stride, scales.len(), lanes) {
        (2, 2, 4) => quantise_lanes::<2, 4>(gradients, scales, ints),
        (3, 3, 4) => quantise_lanes::<3, 4>(gradients, scales, ints),
        (5, 5, 8) => quantise_lanes::<5, 8>(gradients, scales, ints),
        (7, 7, 8) => quantise_lanes::<7, 8>(gradients, scales, ints),
        _ => {
            for (ints, row) in ints.chunks_exact_mut(lanes).zip(gradients.chunks_exact(stride)) {
                for ((int, &g), &scale) in ints.iter_mut().zip(&row[first..]).zip(scales) {
                    *int = quantise(f64::from(g), scale);
                }
                ints[scales.len()] = 1;
                ints[scales.len() + 1..].fill(0);
            }
        }
    }
}

#[inline(always)]
fn quantise_lanes<const D: usize, const L: usize>(gradients: &[f32], scales: &[f64], ints: &mut [i32]) {
    let scales: &[f64; D] = scales.first_chunk().expect("a scale per output");
    for (ints, row) in ints.as_chunks_mut::<L>().0.iter_mut().zip(gradients.as_chunks::<D>().0) {
        for d in 0..D {
            ints[d] = quantise(f64::from(row[d]), scales[d]);
        }
        ints[D] = 1;
        ints[D + 1..].fill(0);
    }
}

/// Outputs side by side: each column's sum is one chain of additions, and eight chains run at once.
#[inline(always)]
fn deviations_body<V: Vector>(
    gradients: &[f32],
    stride: usize,
    first: usize,
    means: &[f64],
    sums: &mut [f64],
    squares: &mut [f64],
    largest: &mut [f64],
) {
    for from in (0..means.len()).step_by(8) {
        let (first, means) = (first + from, &means[from..]);
        let out = (&mut sums[from..], &mut squares[from..], &mut largest[from..]);
        match means.len() {
            1 => deviations_lanes::<1>(gradients, stride, first, means, out),
            2 => deviations_lanes::<2>(gradients, stride, first, means, out),
            3 => deviations_lanes::<3>(gradients, stride, first, means, out),
            4 => deviations_lanes::<4>(gradients, stride, first, means, out),
            5 => deviations_lanes::<5>(gradients, stride, first, means, out),
            6 => deviations_lanes::<6>(gradients, stride, first, means, out),
            7 => deviations_lanes::<7>(gradients, stride, first, means, out),
            _ => deviations_lanes::<8>(gradients, stride, first, means, out),
        }
    }
}

#[inline(always)]
fn deviations_lanes<const D: usize>(
    gradients: &[f32],
    stride: usize,
    first: usize,
    means: &[f64],
    (sums, squares, largest): (&mut [f64], &mut [f64], &mut [f64]),
) {
    let (mut mean, mut sum, mut square, mut most) = ([0.0; 8], [0.0; 8], [0.0; 8], [0.0f64; 8]);
    mean[..D].copy_from_slice(&means[..D]);
    for chunk in gradients.chunks(CHUNK * stride) {
        let (mut part, mut part_square) = ([0.0; 8], [0.0; 8]);
        for row in chunk.chunks_exact(stride) {
            let row = padded::<D>(&row[first..]);
            for d in 0..8 {
                let deviation = f64::from(row[d]) - mean[d];
                part[d] += deviation;
                part_square[d] += deviation * deviation;
                let size = deviation.abs();
                most[d] = if size > most[d] { size } else { most[d] };
            }
        }
        for d in 0..8 {
            sum[d] += part[d];
            square[d] += part_square[d];
        }
    }
    sums[..D].copy_from_slice(&sum[..D]);
    squares[..D].copy_from_slice(&square[..D]);
    largest[..D].copy_from_slice(&most[..D]);
}

/// The first `D` numbers of a row, then zeros.
#[inline(always)]
fn padded<const D: usize>(row: &[f32]) -> [f32; 8] {
    let row: &[f32; D] = row.first_chunk().expect("a number per output");
    let mut padded = [0.0; 8];
    padded[..D].copy_from_slice(row);
    padded
}

#[inline(always)]
fn standardise_rows_body<V: Vector>(
    gradients: &[f32],
    stride: usize,
    first: usize,
    moments: &[(f64, f64)],
    scales: &[f64],
    ints: &mut [i32],
    lanes: usize,
) {
    for from in (0..lanes).step_by(8) {
        let n_outputs = scales.len().saturating_sub(from);
        let rows = Standardise { gradients, stride, first: first + from, from, lanes, moments, scales };
        match n_outputs {
            0 => rows.write::<0>(ints),
            1 => rows.write::<1>(ints),
            2 => rows.write::<2>(ints),
            3 => rows.write::<3>(ints),
            4 => rows.write::<4>(ints),
            5 => rows.write::<5>(ints),
            6 => rows.write::<6>(ints),
            7 => rows.write::<7>(ints),
            _ => rows.write::<8>(ints),
        }
    }
}

/// What becomes the lanes from `from` on, eight of them or four where there are no more.
struct Standardise<'a> {
    gradients: &'a [f32],
    stride: usize,
    first: usize,
    from: usize,
    lanes: usize,
    moments: &'a [(f64, f64)],
    scales: &'a [f64],
}

impl Standardise<'_> {
    #[inline(always)]
    fn write<const D: usize>(&self, ints: &mut [i32]) {
        if self.lanes == 4 { self.write_lanes::<D, 4>(ints) } else { self.write_lanes::<D, 8>(ints) }
    }

    #[inline(always)]
    fn write_lanes<const D: usize, const L: usize>(&self, ints: &mut [i32]) {
        let n_outputs = self.scales.len();
        // Where σ is 0 so is the scale: whatever the quotient by 1 is becomes 0. So do lanes without an output.
        let (mut mean, mut std, mut scale, mut counts) = ([0.0; 8], [1.0; 8], [0.0; 8], [0; 8]);
        for d in 0..D {
            scale[d] = self.scales[self.from + d];
            if self.moments[self.from + d].1 > 0.0 {
                (mean[d], std[d]) = self.moments[self.from + d];
            }
        }
        if (self.from..self.from + L).contains(&n_outputs) {
            counts[n_outputs - self.from] = 1;
        }
        for (ints, row) in ints.chunks_exact_mut(self.lanes).zip(self.gradients.chunks_exact(self.stride)) {
            let row = padded::<D>(&row[self.first.min(self.stride)..]);
            let ints: &mut [i32; L] = ints[self.from..].first_chunk_mut().expect("lanes are a multiple of L");
            for d in 0..L {
                ints[d] = quantise((f64::from(row[d]) - mean[d]) / std[d], scale[d]) + counts[d];
            }
        }
    }
}
