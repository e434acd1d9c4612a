//! What is worth giving to a device, as numbers. **None of them has been measured on a GPU yet**: they are set so that a
//! device is only asked where it has a great deal to do, and are to be replaced by what `cargo xtask gpu-check` measures.
//! Results do not depend on them.

/// Rows times trees from which on `device = cuda` predicts on the device: what one thread of a processor takes about a
/// tenth of a millisecond for, longer than sending the rows and waiting for the answer can be expected to take.
pub const LEAST_PREDICTION: usize = 1 << 18;

/// Rows times features of a step from which on `device = auto` takes the GPU: 65,536 rows of 64 features, say, for which
/// two threads of a processor need tens of milliseconds. Everything below is the processor's.
pub const AUTO_STEP: usize = 1 << 22;

/// Rows times trees from which on `device = auto` predicts on the GPU: milliseconds of a processor.
pub const AUTO_PREDICTION: usize = 1 << 24;
