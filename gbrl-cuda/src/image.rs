//! The kernels as the driver loads them.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaModule};
use cudarc::nvrtc::{CompileError, CompileOptions, Ptx, compile_ptx_with_opts, sys};

/// The kernels' text, all files joined; needs no header.
pub const SOURCE: &str = concat!(
    include_str!("../kernels/device.cu"),
    include_str!("../kernels/math.cu"),
    include_str!("../kernels/ceilings.cu"),
    include_str!("../kernels/gradients.cu"),
    include_str!("../kernels/histogram.cu"),
    include_str!("../kernels/nodes.cu"),
    include_str!("../kernels/score.cu"),
    include_str!("../kernels/level.cu"),
    include_str!("../kernels/minibatch.cu"),
    include_str!("../kernels/predict.cu"),
);

/// The same, compiled by `cargo xtask kernels` for the architectures of kernels/kernels.toml and as PTX for later ones.
const COMPILED: &[u8] = include_bytes!("../kernels/kernels.fatbin");

/// Set to 1 to compile the text at run time: for whoever changes a kernel.
const COMPILE: &str = "GBRL_CUDA_COMPILE";

/// Loads the kernels: the compiled ones, or, where the driver cannot use them, what NVRTC makes of their text.
///
/// # Errors
/// Why not, for people.
pub fn load(context: &Arc<CudaContext>) -> Result<Arc<CudaModule>, String> {
    let asked = std::env::var(COMPILE).is_ok_and(|value| value == "1");
    let refused = match asked {
        true => format!("{COMPILE}=1"),
        false => match context.load_module(Ptx::from_binary(COMPILED.to_vec())) {
            Ok(module) => return Ok(module),
            Err(error) => error.to_string(),
        },
    };
    if !has_compiler() {
        return Err(format!("the compiled kernels cannot be used ({refused}), and there is no NVRTC to compile them"));
    }
    context.load_module(compile()?).map_err(|error| format!("what NVRTC made: {error}"))
}

/// Whether NVRTC is there: of an installed toolkit, or loaded before by whoever knows where it lies.
pub fn has_compiler() -> bool {
    // SAFETY: loading the library runs its initialisers, as every program that uses NVRTC does.
    #[allow(unsafe_code)]
    unsafe {
        sys::is_culib_present()
    }
}

/// What NVRTC makes of the kernels' text; only where [`has_compiler`] says so.
///
/// # Errors
/// What the compiler says.
pub fn compile() -> Result<Ptx, String> {
    let options = CompileOptions { fmad: Some(false), ..CompileOptions::default() };
    compile_ptx_with_opts(SOURCE, options).map_err(|error| match error {
        CompileError::CompileError { log, .. } => format!("NVRTC: {}", log.to_string_lossy()),
        other => format!("NVRTC: {other:?}"),
    })
}
