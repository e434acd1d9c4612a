//! What a device can do at most, measured: the ceilings that a step's time is compared with.

use std::time::Instant;

use gbrl_core::error::Result;

use crate::device::{Buffer, Device};
use crate::launch::Kernels;

/// Measured limits of a device.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings {
    /// Bytes per second of a copy within the device's memory, read and written ones added.
    pub bytes: f64,
    /// Additions of 64-bit numbers per second to shared memory as histograms do them, by all blocks, no two of a moment to one
    /// cell.
    pub atomics: f64,
    /// Launches per second of a kernel with next to nothing to do, one after the other in a stream.
    pub launches: f64,
}

impl Ceilings {
    /// Measures device number `ordinal`; `quick` with so little work that the numbers mean nothing.
    ///
    /// # Errors
    /// Class `Device` where the device is absent or fails.
    pub fn measure(ordinal: usize, quick: bool) -> Result<Self> {
        let device = Device::open(ordinal)?;
        let kernels = Kernels::new(&device)?;
        let (mut from, mut to) = (Buffer::<u8>::default(), Buffer::<u8>::default());
        let n_bytes = if quick { 1 << 12 } else { 1 << 30 };
        from.resize(&device, n_bytes, false)?;
        from.clear(&device, 0, n_bytes)?;
        to.resize(&device, n_bytes, false)?;
        let bytes = best(&device, 2.0 * n_bytes as f64, || to.copy(&device, &from))?;
        let (blocks, rounds) = if quick { (1, 1) } else { (4096, 1000) };
        let mut sink = Buffer::<i64>::default();
        sink.resize(&device, 1, false)?;
        sink.clear(&device, 0, 1)?;
        let n_atomics = f64::from(blocks) * 256.0 * f64::from(rounds);
        let atomics = best(&device, n_atomics, || kernels.atomics(&device, blocks, rounds, &mut sink))?;
        let n_launches = if quick { 2 } else { 1000 };
        let launches = best(&device, f64::from(n_launches), || {
            (0..n_launches).try_for_each(|_| kernels.atomics(&device, 1, 0, &mut sink))
        })?;
        Ok(Ceilings { bytes, atomics, launches })
    }
}

/// The best of a few rounds, in units of work per second; the first round warms up.
fn best(device: &Device, work: f64, mut round: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut shortest = f64::INFINITY;
    for i in 0..6 {
        let start = Instant::now();
        round()?;
        device.wait()?;
        if i > 0 {
            shortest = shortest.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(work / shortest)
}
