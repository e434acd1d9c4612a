//! What is worth giving to a device, as numbers. None of them has been measured on a GPU yet: they are set so that a
//! device is only asked where it has a great deal to do. Results do not depend on them.

/// Rows times trees from which on the device predicts: what one thread of a processor takes about a tenth of a
/// millisecond for, longer than sending the rows and waiting for the answer can be expected to take.
pub const LEAST_PREDICTION: usize = 1 << 18;
