//! Recorded states: what artefacts are tested on, and what smaller policies are fitted to.

use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::vector::Rows;
use crate::error::{Error, Result};

impl Rows {
    /// Recorded states as a training run leaves them, a safetensors file with `observations` f32 `[n, n_features]`, n at
    /// least 1, and perhaps `masks` u8 `[n, mask_len]`.
    ///
    /// # Errors
    /// Class `NotFound` or `Io` for the file, class `Format` for other contents or another width.
    pub fn load(path: impl AsRef<Path>, n_features: usize) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|error| Error::file(path, error))?;
        Rows::from_bytes(&bytes, &path.display().to_string(), n_features)
    }

    /// The states in the bytes of such a file, which errors call `name`.
    ///
    /// # Errors
    /// Class `Format`.
    pub fn from_bytes(bytes: &[u8], name: &str, n_features: usize) -> Result<Self> {
        let broken = |error| Error::format(name, "not recorded states", "safetensors with `observations`", error);
        let file = SafeTensors::deserialize(bytes).map_err(broken)?;
        let tensor = file.tensor("observations").map_err(broken)?;
        let n = match (tensor.dtype(), tensor.shape()) {
            (Dtype::F32, &[n, width]) if n > 0 && width == n_features => n,
            (dtype, shape) => {
                let expected = format!("F32 of shape [at least 1, {n_features}]");
                return Err(Error::format(name, "other observations", expected, format!("{dtype:?} {shape:?}")));
            }
        };
        let numbers = tensor.data().chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]));
        let mut rows = Rows { observations: numbers.collect(), masks: Vec::new() };
        if let Ok(masks) = file.tensor("masks") {
            match (masks.dtype(), masks.shape()) {
                (Dtype::U8, &[of, _]) if of == n => {
                    rows.masks.extend(masks.data().iter().map(|&allowed| allowed != 0));
                }
                (dtype, shape) => {
                    let expected = format!("U8 of shape [{n}, mask_len]");
                    return Err(Error::format(name, "other masks", expected, format!("{dtype:?} {shape:?}")));
                }
            }
        }
        Ok(rows)
    }
}
