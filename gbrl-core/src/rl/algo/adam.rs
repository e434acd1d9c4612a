//! Adam (Kingma and Ba 2015) for the few numbers that no tree holds.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam's memory: m ← 0.9m + 0.1g, v ← 0.999v + 0.001g², x ← x − rate·m̂/(√v̂ + 10⁻⁸), with bias-corrected m̂ and v̂.
///
/// ```
/// use gbrl_core::rl::algo::adam::Adam;
/// let mut x = [1.0];
/// let mut adam = Adam::new(1);
/// adam.step(&mut x, &[123.0], 0.1);
/// assert!((x[0] - 0.9f64).abs() < 1e-9); // the first step has the length of the rate
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    m: Vec<f64>,
    v: Vec<f64>,
    /// β₁ᵗ and β₂ᵗ.
    decay: (f64, f64),
}

impl Adam {
    /// For `n` numbers.
    pub fn new(n: usize) -> Self {
        Adam { m: vec![0.0; n], v: vec![0.0; n], decay: (1.0, 1.0) }
    }

    /// Checks a memory that came from a file.
    ///
    /// # Errors
    /// [`ErrorKind::Format`](crate::error::ErrorKind::Format) when it is not for `n` numbers.
    pub fn check(&self, n: usize) -> Result<()> {
        if (self.m.len(), self.v.len()) == (n, n) {
            return Ok(());
        }
        Err(Error::format("Adam", "wrong length", n, format!("{} and {}", self.m.len(), self.v.len())))
    }

    /// One step of `values` against `gradients`.
    pub fn step(&mut self, values: &mut [f64], gradients: &[f64], rate: f64) {
        self.decay = (self.decay.0 * BETA1, self.decay.1 * BETA2);
        for (((x, &g), m), v) in values.iter_mut().zip(gradients).zip(&mut self.m).zip(&mut self.v) {
            *m = BETA1 * *m + (1.0 - BETA1) * g;
            *v = BETA2 * *v + (1.0 - BETA2) * (g * g);
            let m_hat = *m / (1.0 - self.decay.0);
            let v_hat = *v / (1.0 - self.decay.1);
            *x -= rate * m_hat / (v_hat.sqrt() + EPSILON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_minimum_of_a_parabola() {
        let (mut x, mut adam) = ([3.0, -2.0], Adam::new(2));
        for _ in 0..3000 {
            let g = [2.0 * (x[0] - 1.0), 20.0 * (x[1] - 0.5)];
            adam.step(&mut x, &g, 0.01);
        }
        assert!((x[0] - 1.0).abs() < 1e-3 && (x[1] - 0.5).abs() < 1e-3);
    }
}
