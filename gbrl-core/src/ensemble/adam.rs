//! Adam across trees: an output as a fold over the mean gradients of its leaves.

use super::Optimizer;

/// Moments of one output of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// Decaying mean of the gradients.
    pub m: f64,
    /// Decaying mean of their squares.
    pub v: f64,
}

/// The step counter that all rows share, with its bias corrections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamClock {
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    power1: f64,
    power2: f64,
}

impl AdamClock {
    /// Before the first tree; `None` for a group that is a plain sum.
    pub fn new(optimizer: &Optimizer) -> Option<Self> {
        match *optimizer {
            Optimizer::Sgd => None,
            Optimizer::Adam { beta1, beta2, epsilon } => {
                Some(AdamClock { beta1, beta2, epsilon, power1: 1.0, power2: 1.0 })
            }
        }
    }

    /// Counts a tree.
    pub fn tick(&mut self) {
        self.power1 *= self.beta1;
        self.power2 *= self.beta2;
    }

    /// One row's output after the tree that was counted last: m and v move towards the leaf's mean gradient `g`, the
    /// output by −rate · m̂/(√v̂ + ε).
    pub fn advance(&self, output: f32, moments: &mut Moments, g: f32, rate: f32) -> f32 {
        let g = f64::from(g);
        moments.m = self.beta1 * moments.m + (1.0 - self.beta1) * g;
        moments.v = self.beta2 * moments.v + (1.0 - self.beta2) * g * g;
        let mean = moments.m / (1.0 - self.power1);
        let square = moments.v / (1.0 - self.power2);
        (f64::from(output) - f64::from(rate) * mean / (square.sqrt() + self.epsilon)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_step_has_the_length_of_the_rate() {
        let mut clock = AdamClock::new(&Optimizer::Adam { beta1: 0.9, beta2: 0.999, epsilon: 1e-12 }).unwrap();
        clock.tick();
        for g in [1e-3f32, 5.0, -700.0] {
            let y = clock.advance(1.0, &mut Moments::default(), g, 0.25);
            assert!((y - (1.0 - 0.25 * g.signum())).abs() < 1e-6);
        }
    }
}
