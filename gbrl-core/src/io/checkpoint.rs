//! Checkpoints: a model with everything a run needs to go on exactly where it stood.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::io::container::{self, Array, Container, OTHER_KIND};
use crate::io::model::{self, Model, ModelRef};

const KIND: &str = "checkpoint";
const BLOB: &str = "blob.";

/// Longest name of a byte section, in bytes of UTF-8.
pub const MAX_BLOB_NAME_BYTES: usize = container::MAX_NAME_BYTES - BLOB.len();

/// The model in a model file or in a checkpoint, whichever `path` is.
///
/// # Errors
/// As [`model::load`].
pub fn load_model(path: impl AsRef<Path>) -> Result<Model> {
    either(model::load(&path), || Checkpoint::load(path).map(|checkpoint| checkpoint.model))
}

/// A checkpoint, or a model file's model as one with a state of null and no blobs, whichever these bytes are.
///
/// # Errors
/// As [`Checkpoint::from_bytes`].
pub fn from_either(bytes: &[u8]) -> Result<Checkpoint> {
    either(Checkpoint::from_bytes(bytes), || model::from_bytes(bytes).map(|model| Checkpoint::new(model, Value::Null)))
}

/// The first, or the second where that is another kind of file; where both are, the first one says so.
fn either<T>(first: Result<T>, second: impl FnOnce() -> Result<T>) -> Result<T> {
    let is_other = |error: &Error| matches!(error.kind(), ErrorKind::Format { problem, .. } if *problem == OTHER_KIND);
    match first {
        Err(error) if is_other(&error) => match second() {
            Err(other) if is_other(&other) => Err(error),
            known => known,
        },
        known => known,
    }
}

/// A model, a state and named bytes, with the guarantees of a model file. For saving, a [`ModelRef`] will do in place of
/// the model, so that no tree is copied.
///
/// Small and structured things (random streams, counters, normalisers) go into `state`, bulk (environment states,
/// caches) into `blobs`. JSON has no infinity and no NaN, and `serde_json::to_value` turns them into `null` silently:
/// numbers that can be either go into a blob, or into the state as bits.
///
/// ```
/// use gbrl_core::data::schema::FeatureSchema;
/// use gbrl_core::ensemble::{Ensemble, OutputGroup, Schedule};
/// use gbrl_core::io::{Checkpoint, Model};
///
/// let groups = vec![OutputGroup::sgd("value", 0..1, Schedule::Constant(0.1))];
/// let model = Model::new(Ensemble::new(FeatureSchema::numeric(2), groups)?);
/// let mut checkpoint = Checkpoint::new(model, serde_json::json!({"steps": 2048}));
/// checkpoint.blobs.insert("env/0".into(), vec![1, 2, 3]);
///
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("2048.gbrl");
/// checkpoint.save(&path)?;
/// assert_eq!(Checkpoint::load(&path)?, checkpoint);
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<M = Model> {
    /// The model as it stood.
    pub model: M,
    /// The trainer's state: at most [`container::MAX_JSON_DEPTH`] levels and [`container::MAX_JSON_BYTES`] of text.
    pub state: Value,
    /// Bytes by name; a name has at most [`MAX_BLOB_NAME_BYTES`] bytes and no control characters.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

impl<M> Checkpoint<M>
where
    for<'a> ModelRef<'a>: From<&'a M>,
{
    /// A checkpoint without byte sections.
    pub fn new(model: M, state: Value) -> Self {
        Checkpoint { model, state, blobs: BTreeMap::new() }
    }

    /// Writes exactly `path`, in one step: a run that is killed while saving keeps its last checkpoint.
    ///
    /// # Errors
    /// As [`Checkpoint::to_bytes`] and [`container::write_atomic`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        container::write_atomic(path, &self.to_bytes()?)
    }

    /// The checkpoint as bytes; equal checkpoints give equal bytes. O(size).
    ///
    /// # Errors
    /// Class `Value` as [`ModelRef::check`], or when a name or size breaks a limit of the [`container`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut container = Container::new(KIND)?;
        model::write(&mut container, &ModelRef::from(&self.model))?;
        container.insert_json("state", &self.state)?;
        for (name, bytes) in &self.blobs {
            container.insert(format!("{BLOB}{name}"), Array::vector(bytes.clone()))?;
        }
        container.into_bytes()
    }
}

impl Checkpoint {
    /// Reads a checkpoint; the file is treated as hostile.
    ///
    /// # Errors
    /// Class `NotFound` or `Io` when it cannot be read, `Format` when it is anything but a valid checkpoint of this
    /// version.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(Container::load(path, KIND)?)
    }

    /// The checkpoint in these bytes. O(number of bytes), whatever they claim.
    ///
    /// # Errors
    /// Class `Format` for anything but a valid checkpoint of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(Container::from_bytes(bytes, KIND)?)
    }

    fn read(mut container: Container) -> Result<Self> {
        let model = model::read(&mut container)?;
        let state = container.take_json("state")?;
        let names: Vec<String> = container.arrays().keys().filter(|name| name.starts_with(BLOB)).cloned().collect();
        let mut blobs = BTreeMap::new();
        for name in names {
            let bytes = container.take_vector(&name)?;
            blobs.insert(name[BLOB.len()..].to_owned(), bytes);
        }
        container.finish()?;
        Ok(Checkpoint { model, state, blobs })
    }
}
