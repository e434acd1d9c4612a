//! The CUDA backend: trees grown on an NVIDIA GPU, whole updates learnt there, equal to the CPU's to the bit.
//!
//! Integer sums do not depend on the order of threads, and scores and losses are the same f64 operations one after the
//! other, so a device gives the bytes that the processor gives. The driver is found at run time: the crate builds, and
//! [`CudaBackend::new`] says what is missing, where there is no CUDA at all.
//!
//! | layer | what it promises |
//! |---|---|
//! | `kernels/*.cu` | one file per file of `gbrl-core/src/backend/cpu`, in one dialect (`device.cu`) |
//! | `launch` | a kernel's arguments have the types and lengths that it reads: the only unsafe code here |
//! | [`image`] | the kernels compiled beforehand, or at run time |
//! | [`rules`] | what is worth giving to a device |
//! | `device` | a device, its stream, and buffers that grow |
//! | `predict` | the device's copy of the trees, and rows that they are added to |
//! | `slots` | which node's histogram lies where |
//! | `results` | what a step leaves for the host, in one piece |
//! | [`CudaBackend`] | [`Backend`](gbrl_core::backend::Backend) on top: safe |
//! | `learn` | [`Updates`](gbrl_core::backend::Updates): an update whose rows stay on the device |
//! | [`AutoBackend`] | the processor or a GPU, by the size of the work |

mod auto;
pub mod ceilings;
mod cuda_backend;
mod device;
pub mod image;
mod launch;
mod learn;
mod predict;
mod results;
pub mod rules;
mod slots;

use gbrl_core::backend::MakeBackend;
use gbrl_core::config;

pub use auto::AutoBackend;
pub use cuda_backend::CudaBackend;
pub use device::{Counters, device_name, n_devices};

/// What grows trees on `device`; whether it is there is said when a backend is made.
pub fn backend(device: config::Device) -> MakeBackend {
    match device {
        config::Device::Cpu => MakeBackend::default(),
        config::Device::Auto => MakeBackend::new(|threads| Ok(Box::new(AutoBackend::new(threads.clone())?))),
        config::Device::Cuda(ordinal) => MakeBackend::new(move |_| Ok(Box::new(CudaBackend::new(ordinal)?))),
    }
}
