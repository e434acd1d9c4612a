//! Random observations and gradients.

use gbrl_core::rng::Stream;

use super::options::Options;

/// Makes batches, one after the other, from one seed.
///
/// Numeric columns are standard normal, some values missing; categorical ones hold equally likely codes. A gradient is
/// standard normal plus the row's first column (0 where that is missing, its standardised code where it is
/// categorical), so that there is something to find.
pub struct Source {
    stream: Stream,
    options: Options,
}

impl Source {
    pub fn new(options: &Options) -> Self {
        Source { stream: Stream::new(options.seed, "bench", 0), options: options.clone() }
    }

    /// Replaces `observations` by new rows, row-major `[rows, features]`.
    pub fn observations(&mut self, rows: usize, observations: &mut Vec<f32>) {
        let Options { features, categorical, categories, nan, .. } = self.options;
        observations.clear();
        for i in 0..rows * features {
            let value = if i % features >= features - categorical {
                self.stream.below(categories as u64) as f32
            } else if nan > 0.0 && self.stream.uniform() < nan {
                f32::NAN
            } else {
                self.stream.normal() as f32
            };
            observations.push(value);
        }
    }

    /// Replaces `gradients` by new ones for these observations, row-major `[rows, outputs]`.
    pub fn gradients(&mut self, observations: &[f32], gradients: &mut Vec<f32>) {
        let Options { features, outputs, categorical, categories, .. } = self.options;
        gradients.clear();
        for row in observations.chunks_exact(features) {
            let first = match row[0] {
                x if x.is_nan() => 0.0,
                code if categorical == features => standardised(code, categories as f32),
                x => x,
            };
            gradients.extend((0..outputs).map(|_| self.stream.normal() as f32 + first));
        }
    }
}

/// A code of 0..n, uniform, with mean 0 and variance 1.
fn standardised(code: f32, n: f32) -> f32 {
    let variance = (n * n - 1.0) / 12.0;
    if variance > 0.0 { (code - (n - 1.0) / 2.0) / variance.sqrt() } else { 0.0 }
}
