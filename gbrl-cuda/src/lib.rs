//! The CUDA backend: trees grown on an NVIDIA GPU, equal to the CPU's to the bit.
//!
//! Integer sums do not depend on the order of threads, and scores are the same f64 operations one after the other, so
//! a device gives the bytes that the processor gives. The driver is found at run time: the crate builds, and
//! [`CudaBackend::new`] says what is missing, where there is no CUDA at all.
//!
//! | layer | what it promises |
//! |---|---|
//! | `kernels/*.cu` | one file per file of `gbrl-core/src/backend/cpu`, in one dialect (`device.cu`) |
//! | `launch` | a kernel's arguments have the types and lengths that it reads: the only unsafe code here |
//! | [`image`] | the kernels compiled beforehand, or at run time |
//! | `device` | a device, its stream, and buffers that grow |
//! | [`backend`] | [`Backend`](gbrl_core::backend::Backend) on top: safe |

pub mod backend;
mod device;
pub mod image;
mod launch;

use gbrl_core::backend::MakeBackend;

pub use backend::CudaBackend;
pub use device::n_devices;

/// Grows trees on device number `ordinal`; what is missing is said when a backend is made.
pub fn on(ordinal: usize) -> MakeBackend {
    MakeBackend::new(move |_| Ok(Box::new(CudaBackend::new(ordinal)?)))
}
