//! A file of named, typed arrays: safetensors with a checksum, limits and one canonical form.
//!
//! Every safetensors reader opens these files. What this module adds: a kind and a version in the metadata, a CRC-32
//! in the last four bytes over everything before it, limits that are checked before anything is allocated, and a
//! header that has exactly one valid spelling, so equal contents are equal bytes. The bytes are specified in
//! `docs/format/v1.md`.
//!
//! The header is read here and not by the `safetensors` crate, whose parser accepts many spellings of the same header
//! and adds offsets without overflow checks; the tests hold both readers against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// The version that is written and the only one that is read.
pub const VERSION: u32 = 1;
/// Largest file, in bytes: 16 GiB.
pub const MAX_FILE_BYTES: u64 = 1 << 34;
/// Largest safetensors header, in bytes: 16 MiB.
pub const MAX_HEADER_BYTES: usize = 1 << 24;
/// Largest JSON array ([`Container::insert_json`]), in bytes: 64 MiB.
pub const MAX_JSON_BYTES: usize = 1 << 26;
/// Deepest nesting of a JSON array.
pub const MAX_JSON_DEPTH: usize = 64;
/// Most arrays in a file, the checksum not counted.
pub const MAX_ARRAYS: usize = 1 << 16;
/// Longest array name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 256;
/// Most dimensions of an array.
pub const MAX_RANK: usize = 4;

/// What is wrong with a file that was never one of ours.
const NOT_OURS: &str = "not a gbrl file";
const ZIP: &[u8] = b"PK\x03\x04";
/// What is wrong with a file that is whole but of another kind.
pub(crate) const OTHER_KIND: &str = "another kind of file";

const FORMAT: &str = "gbrl-rs";
const CHECKSUM: &str = "checksum";
const METADATA: &str = "__metadata__";
const LENGTH_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 4;

/// The elements of an [`Array`], row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Bytes.
    U8(Vec<u8>),
    /// 32-bit whole numbers.
    U32(Vec<u32>),
    /// 32-bit signed whole numbers.
    I32(Vec<i32>),
    /// 64-bit whole numbers.
    U64(Vec<u64>),
    /// Single-precision numbers, kept bit by bit.
    F32(Vec<f32>),
    /// Double-precision numbers, kept bit by bit.
    F64(Vec<f64>),
}

/// A shape and its elements.
///
/// ```
/// use gbrl_core::io::container::Array;
/// let array = Array::new(vec![2, 3], vec![0u32, 1, 2, 3, 4, 5])?;
/// assert_eq!(array.shape(), [2, 3]);
/// assert!(Array::new(vec![2, 2], vec![0u32; 5]).is_err());
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: Data,
}

/// A type that arrays can hold: `u8`, `u32`, `i32`, `u64`, `f32`, `f64`.
pub trait Element: sealed::Element {}

mod sealed {
    use super::{Data, Dtype};

    pub trait Element: Sized {
        const DTYPE: Dtype;
        fn wrap(elements: Vec<Self>) -> Data;
        fn unwrap(data: Data) -> Option<Vec<Self>>;
    }
}

/// One line per element type, so that no list of them can be incomplete.
macro_rules! element_types {
    ($($variant:ident $element:ty),*) => {
        $(
            impl Element for $element {}
            impl sealed::Element for $element {
                const DTYPE: Dtype = Dtype::$variant;
                fn wrap(elements: Vec<Self>) -> Data {
                    Data::$variant(elements)
                }
                fn unwrap(data: Data) -> Option<Vec<Self>> {
                    match data {
                        Data::$variant(elements) => Some(elements),
                        _ => None,
                    }
                }
            }
        )*

        impl Data {
            fn dtype(&self) -> Dtype {
                match self { $(Data::$variant(_) => Dtype::$variant,)* }
            }

            /// Number of elements.
            pub fn len(&self) -> usize {
                match self { $(Data::$variant(elements) => elements.len(),)* }
            }

            fn write(&self, out: &mut Vec<u8>) {
                match self { $(Data::$variant(elements) => {
                    for element in elements {
                        out.extend_from_slice(&element.to_le_bytes());
                    }
                })* }
            }

            /// `None` for an element type that these files do not use.
            fn read(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
                match dtype {
                    $(Dtype::$variant => {
                        let (words, []) = bytes.as_chunks::<{ size_of::<$element>() }>() else { return None };
                        Some(Data::$variant(words.iter().map(|word| <$element>::from_le_bytes(*word)).collect()))
                    })*
                    _ => None,
                }
            }
        }

        /// Bytes per element; `None` for a type that these files do not use.
        fn width(dtype: Dtype) -> Option<usize> {
            match dtype {
                $(Dtype::$variant => Some(size_of::<$element>()),)*
                _ => None,
            }
        }
    };
}

element_types!(U8 u8, U32 u32, I32 i32, U64 u64, F32 f32, F64 f64);

impl Data {
    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Array {
    /// An array of this shape, row-major.
    ///
    /// # Errors
    /// Class `Value` when the shape does not have as many elements as came, or more than [`MAX_RANK`] dimensions.
    pub fn new<T: Element>(shape: Vec<usize>, elements: Vec<T>) -> Result<Self> {
        if shape.len() > MAX_RANK {
            return Err(Error::shape("array", format!("at most {MAX_RANK} dimensions"), format!("{shape:?}")));
        }
        match count(&shape) {
            Some(n) if n == elements.len() => Ok(Array { shape, data: T::wrap(elements) }),
            _ => Err(Error::shape("array", format!("{shape:?}"), format!("{} elements", elements.len()))),
        }
    }

    /// An array of one dimension.
    pub fn vector<T: Element>(elements: Vec<T>) -> Self {
        Array { shape: vec![elements.len()], data: T::wrap(elements) }
    }

    /// The length of each dimension.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, row-major.
    pub fn data(&self) -> &Data {
        &self.data
    }
}

/// Named arrays on their way to or from a file.
///
/// Writing: [`insert`](Container::insert) and [`insert_json`](Container::insert_json), then
/// [`save`](Container::save). Reading: [`load`](Container::load), then [`take`](Container::take) what the kind is known
/// to hold, then [`finish`](Container::finish), which refuses what nobody took. Both cost O(bytes) time and memory.
///
/// ```
/// use gbrl_core::io::container::{Array, Container};
/// let mut container = Container::new("notes")?;
/// container.insert("weights", Array::vector(vec![0.5f32, f32::INFINITY]))?;
/// container.insert_json("header", &serde_json::json!({"author": "me"}))?;
/// let bytes = container.into_bytes()?;
///
/// let mut read = Container::from_bytes(&bytes, "notes")?;
/// assert_eq!(read.take::<f32>("weights", &[2])?, [0.5, f32::INFINITY]);
/// let header: serde_json::Value = read.take_json("header")?;
/// assert_eq!(header["author"], "me");
/// read.finish()?;
///
/// let mut altered = bytes.clone();
/// altered[20] ^= 1;
/// assert!(Container::from_bytes(&altered, "notes").is_err());
/// # Ok::<(), gbrl_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Container {
    kind: String,
    arrays: BTreeMap<String, Array>,
    /// What error messages call this file.
    origin: String,
}

impl Container {
    /// An empty container of this kind ("model", "checkpoint", …).
    ///
    /// # Errors
    /// Class `Value` when the kind is not 1 to 64 of `a`–`z`, `0`–`9` and `-`.
    pub fn new(kind: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if kind.is_empty() || kind.len() > 64 || !kind.bytes().all(plain) {
            return Err(Error::parameter("kind", kind, "1 to 64 lower-case letters, digits and hyphens"));
        }
        Ok(Container { kind: kind.to_owned(), arrays: BTreeMap::new(), origin: kind.to_owned() })
    }

    /// The kind of file.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The arrays that are there, by name.
    pub fn arrays(&self) -> &BTreeMap<String, Array> {
        &self.arrays
    }

    /// Adds an array.
    ///
    /// # Errors
    /// Class `Value` when the name is taken, reserved (`checksum`, `__metadata__`), empty, longer than
    /// [`MAX_NAME_BYTES`] or holds a control character, or when there are [`MAX_ARRAYS`] already.
    pub fn insert(&mut self, name: impl Into<String>, array: Array) -> Result<()> {
        let name = name.into();
        if let Some(rule) = broken_name_rule(&name) {
            return Err(Error::parameter("array name", name.escape_debug(), rule));
        }
        if self.arrays.len() >= MAX_ARRAYS {
            return Err(Error::parameter("arrays", self.arrays.len() + 1, format!("at most {MAX_ARRAYS}")));
        }
        if self.arrays.contains_key(&name) {
            return Err(Error::parameter("array name", name, "a name that is not taken"));
        }
        self.arrays.insert(name, array);
        Ok(())
    }

    /// Adds a JSON value as an array of bytes, keys sorted, without white space.
    ///
    /// # Errors
    /// As [`Container::insert`], and class `Value` when the value nests deeper than [`MAX_JSON_DEPTH`] or its text is
    /// longer than [`MAX_JSON_BYTES`].
    pub fn insert_json(&mut self, name: impl Into<String>, value: &Value) -> Result<()> {
        let name = name.into();
        let text = canonical_json(&name, value)?;
        self.insert(name, Array::vector(text))
    }

    /// Takes out the array `name`, which must have this element type and shape.
    ///
    /// # Errors
    /// Class `Format` when it is not there, or is of another type or shape.
    pub fn take<T: Element>(&mut self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        match self.arrays.get(name) {
            Some(array) if array.shape != shape => Err(Error::format(
                self.section(name),
                "wrong shape",
                format!("{shape:?}"),
                format!("{:?}", array.shape),
            )),
            _ => self.take_elements(name),
        }
    }

    /// Takes out the array `name`, which must have this element type and one dimension of any length.
    ///
    /// # Errors
    /// Class `Format` when it is not there, or is of another type or rank.
    pub fn take_vector<T: Element>(&mut self, name: &str) -> Result<Vec<T>> {
        let len = self.arrays.get(name).map_or(0, |array| array.data.len());
        self.take(name, &[len])
    }

    fn take_elements<T: Element>(&mut self, name: &str) -> Result<Vec<T>> {
        let Some(array) = self.arrays.remove(name) else {
            return Err(Error::format(
                self.section(name),
                "array missing",
                format!("an array of {}", T::DTYPE),
                "none",
            ));
        };
        let got = array.data.dtype();
        T::unwrap(array.data)
            .ok_or_else(|| Error::format(self.section(name), "wrong element type", T::DTYPE.to_string(), got))
    }

    /// Takes out a value that [`Container::insert_json`] wrote.
    ///
    /// # Errors
    /// Class `Format` when it is not there, longer than [`MAX_JSON_BYTES`], deeper than [`MAX_JSON_DEPTH`], or not the
    /// JSON of a `T`.
    pub fn take_json<T: DeserializeOwned>(&mut self, name: &str) -> Result<T> {
        let text = self.take_vector::<u8>(name)?;
        let section = self.section(name);
        parse_json(&section, &text)
    }

    /// Ends reading: everything must have been taken.
    ///
    /// # Errors
    /// Class `Format`, naming the first array that is left.
    pub fn finish(self) -> Result<()> {
        match self.arrays.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::format(
                self.section(name),
                "unknown array",
                format!("only the arrays of a {}", self.kind),
                format!("'{}'", name.escape_debug()),
            )),
        }
    }

    /// What error messages call array `name` of this file.
    pub(crate) fn section(&self, name: &str) -> String {
        format!("{}: {}", self.origin, name.escape_debug())
    }

    /// The file's bytes: the same contents give the same bytes, always and everywhere. Each array is freed once it is
    /// written, so that the contents are hardly ever in memory twice.
    ///
    /// # Errors
    /// Class `Value` when the header or the file would be larger than [`MAX_HEADER_BYTES`] or [`MAX_FILE_BYTES`].
    pub fn into_bytes(mut self) -> Result<Vec<u8>> {
        let described = self.arrays.iter().map(|(name, array)| (name.as_str(), array.data.dtype(), &array.shape[..]));
        let Some(plan) = Plan::new(&self.kind, described.collect()) else {
            return Err(Error::parameter("file size", "more", format!("at most {MAX_FILE_BYTES} bytes")));
        };
        if plan.header.len() > MAX_HEADER_BYTES {
            return Err(Error::parameter("header bytes", plan.header.len(), format!("at most {MAX_HEADER_BYTES}")));
        }
        let mut bytes = Vec::with_capacity(plan.file_len);
        bytes.extend_from_slice(&(plan.header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&plan.header);
        let order: Vec<String> = plan.places.iter().map(|(name, _)| (*name).to_owned()).collect();
        for name in order {
            if let Some(array) = self.arrays.remove(&name) {
                array.data.write(&mut bytes);
            }
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Reads a file's bytes; `kind` is the kind that is wanted.
    ///
    /// Allocation is bounded by the bytes that are really there, whatever the header claims.
    ///
    /// # Errors
    /// Class `Format` for anything but a complete, unaltered, canonical file of this kind and version. Every change of
    /// up to 32 neighbouring bits and every truncation or extension is certain to be noticed, any other change up to
    /// one chance in 2³².
    pub fn from_bytes(bytes: &[u8], kind: &str) -> Result<Self> {
        Self::decode(bytes, kind, kind)
    }

    /// Writes the file in one step: `path` holds the old file or the new one, never a part.
    ///
    /// # Errors
    /// As [`Container::into_bytes`] and [`write_atomic`].
    pub fn save(self, path: impl AsRef<Path>) -> Result<()> {
        write_atomic(path, &self.into_bytes()?)
    }

    /// Reads a file of this kind.
    ///
    /// # Errors
    /// Class `NotFound` or `Io` when it cannot be read, else as [`Container::from_bytes`], naming the file.
    pub fn load(path: impl AsRef<Path>, kind: &str) -> Result<Self> {
        let path = path.as_ref();
        Self::decode(&read_file(path)?, kind, &path.display().to_string())
    }

    fn decode(bytes: &[u8], kind: &str, origin: &str) -> Result<Self> {
        let fail = |problem, expected: String, got: String| Error::format(origin, problem, expected, got);
        let (header, rest) = split_header(bytes, bytes.len() as u64, origin)?;
        let raw: RawHeader = match serde_json::from_slice(header) {
            Ok(raw) => raw,
            Err(error) => return Err(fail("unreadable header", "a safetensors header".into(), error.to_string())),
        };
        let said = |key: &str| raw.metadata.get(key).map_or("none", String::as_str);
        let quoted = |text: &str| format!("'{}'", text.escape_debug());
        if said("format") != FORMAT {
            return Err(fail(NOT_OURS, format!("format '{FORMAT}'"), quoted(said("format"))));
        }
        if said("version") != VERSION.to_string() {
            return Err(fail("unknown version", VERSION.to_string(), quoted(said("version"))));
        }
        let Some((data, &checksum)) = rest.split_last_chunk::<CHECKSUM_BYTES>() else {
            return Err(fail("truncated", format!("{CHECKSUM_BYTES} bytes of checksum"), rest.len().to_string()));
        };
        let (stored, computed) =
            (u32::from_le_bytes(checksum), crc32fast::hash(&bytes[..bytes.len() - CHECKSUM_BYTES]));
        if stored != computed {
            return Err(fail("altered or truncated", format!("checksum {stored:08x}"), format!("{computed:08x}")));
        }
        if said("kind") != kind {
            return Err(fail(OTHER_KIND, format!("kind '{kind}'"), quoted(said("kind"))));
        }

        let mut described = Vec::with_capacity(raw.arrays.len());
        for (name, info) in raw.arrays.iter().filter(|(name, _)| *name != CHECKSUM) {
            if let Some(rule) = broken_name_rule(name) {
                return Err(fail("bad array name", rule, quoted(name)));
            }
            if info.shape.len() > MAX_RANK {
                let got = format!("{} dimensions of {}", info.shape.len(), quoted(name));
                return Err(fail("array of too many dimensions", format!("at most {MAX_RANK}"), got));
            }
            if width(info.dtype).is_none() {
                let got = format!("{} in {}", info.dtype, quoted(name));
                return Err(fail("unknown element type", "U8, U32, I32, U64, F32 or F64".into(), got));
            }
            described.push((name.as_str(), info.dtype, &info.shape[..]));
        }
        if described.len() > MAX_ARRAYS {
            return Err(fail("too many arrays", format!("at most {MAX_ARRAYS}"), described.len().to_string()));
        }
        let Some(plan) = Plan::new(kind, described) else {
            return Err(fail("impossible sizes", format!("at most {MAX_FILE_BYTES} bytes"), "more".into()));
        };
        if plan.file_len != bytes.len() {
            return Err(fail("wrong length", format!("{} bytes", plan.file_len), format!("{} bytes", bytes.len())));
        }
        // Order, offsets, spelling, padding and the checksum's own entry: all settled by one comparison.
        if plan.header != header {
            let at = plan.header.iter().zip(header).position(|(a, b)| a != b).unwrap_or(header.len());
            return Err(fail("header not canonical", "the one valid spelling".into(), format!("another at byte {at}")));
        }

        let mut arrays = BTreeMap::new();
        for (name, place) in plan.places {
            let info = &raw.arrays[name];
            match data.get(place).and_then(|bytes| Data::read(info.dtype, bytes)) {
                Some(elements) => arrays.insert(name.to_owned(), Array { shape: info.shape.clone(), data: elements }),
                None => return Err(fail("array outside the file", "offsets within the file".into(), quoted(name))),
            };
        }
        Ok(Container { kind: kind.to_owned(), arrays, origin: origin.to_owned() })
    }
}

/// The header of a safetensors file as it stands there.
#[derive(Deserialize)]
struct RawHeader {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    arrays: BTreeMap<String, TensorInfo>,
}

/// Where everything goes: a function of the kind and of the arrays' names, types and shapes alone.
struct Plan<'a> {
    header: Vec<u8>,
    /// Arrays in file order with their bytes, counted from the end of the header; the checksum follows them.
    places: Vec<(&'a str, std::ops::Range<usize>)>,
    file_len: usize,
}

impl<'a> Plan<'a> {
    /// `None` when a size overflows or passes [`MAX_FILE_BYTES`].
    fn new(kind: &str, mut arrays: Vec<(&'a str, Dtype, &[usize])>) -> Option<Self> {
        // Wide elements first keeps every array aligned to its elements.
        arrays.sort_by_key(|&(name, dtype, _)| (std::cmp::Reverse(width(dtype)), name));
        let mut header = format!(r#"{{"{METADATA}":{{"format":"{FORMAT}","kind":"{kind}","version":"{VERSION}"}}"#);
        let mut places = Vec::with_capacity(arrays.len());
        let mut at = 0usize;
        for (name, dtype, shape) in arrays {
            let end = count(shape)?.checked_mul(width(dtype)?)?.checked_add(at)?;
            push_entry(&mut header, name, dtype, shape, at..end)?;
            places.push((name, at..end));
            at = end;
        }
        let end = at.checked_add(CHECKSUM_BYTES)?;
        push_entry(&mut header, CHECKSUM, Dtype::U8, &[CHECKSUM_BYTES], at..end)?;
        header.push('}');
        let mut header = header.into_bytes();
        header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
        let file_len = end.checked_add(header.len())?.checked_add(LENGTH_BYTES)?;
        (file_len as u64 <= MAX_FILE_BYTES).then_some(Plan { header, places, file_len })
    }
}

fn push_entry(
    header: &mut String,
    name: &str,
    dtype: Dtype,
    shape: &[usize],
    place: std::ops::Range<usize>,
) -> Option<()> {
    let info = TensorInfo { dtype, shape: shape.to_vec(), data_offsets: (place.start, place.end) };
    header.push(',');
    header.push_str(&serde_json::to_string(name).ok()?);
    header.push(':');
    header.push_str(&serde_json::to_string(&info).ok()?);
    Some(())
}

/// Number of elements of a shape.
fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))
}

fn broken_name_rule(name: &str) -> Option<String> {
    let fine = !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.chars().any(char::is_control)
        && ![CHECKSUM, METADATA].contains(&name);
    (!fine).then(|| format!("1 to {MAX_NAME_BYTES} bytes without control characters, not '{CHECKSUM}' or '{METADATA}'"))
}

/// The header and what follows it, in a file of `file_len` bytes of which `bytes` are at least the first ones.
fn split_header<'a>(bytes: &'a [u8], file_len: u64, origin: &str) -> Result<(&'a [u8], &'a [u8])> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(Error::format(origin, "truncated", "at least 8 bytes", format!("{} bytes", bytes.len())));
    };
    // What most other files begin with is no length of a header.
    if bytes.starts_with(ZIP) {
        let got = "a zip archive, as Stable-Baselines3 and torch write";
        return Err(Error::format(origin, NOT_OURS, "a file of gbrl's", got));
    }
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES as u64 {
        return Err(Error::format(origin, NOT_OURS, format!("a header of at most {MAX_HEADER_BYTES} bytes"), length));
    }
    if length + (LENGTH_BYTES + CHECKSUM_BYTES) as u64 > file_len {
        let expected = format!("at least {} bytes", length + (LENGTH_BYTES + CHECKSUM_BYTES) as u64);
        return Err(Error::format(origin, "truncated", expected, format!("{file_len} bytes")));
    }
    Ok(rest.split_at_checked(length as usize).unwrap_or((rest, &[])))
}

/// The whole file, refused from its length and its first bytes where possible.
fn read_file(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::file(path, error);
    let origin = path.display().to_string();
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > MAX_FILE_BYTES {
        return Err(Error::format(origin, "too long", format!("at most {MAX_FILE_BYTES} bytes"), length));
    }
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(LENGTH_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
    split_header(&bytes, length, &origin)?;
    // One byte more than the length, so that a file that grows meanwhile is refused and not cut.
    file.take(length.saturating_sub(LENGTH_BYTES as u64) + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Writes `bytes` to exactly `path`, or leaves what was there.
///
/// The bytes go to a temporary file in the same folder, are flushed to the disk, and take the name in one rename. A
/// symbolic link stays one; the file it points to is replaced. Who may read and write an old file may do so with the new
/// one, and nobody else, at no time.
///
/// # Errors
/// Class `NotFound` when the folder does not exist, `Io` when it cannot be written; nothing is left behind then.
///
/// ```
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("x.ext");
/// gbrl_core::io::container::write_atomic(&path, b"all or nothing")?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"all or nothing");
/// # Ok::<(), gbrl_core::Error>(())
/// ```
pub fn write_atomic(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let failed = |error| Error::file(path, error);
    #[cfg(unix)]
    let old = std::fs::metadata(&target).ok().map(|old| old.permissions());
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; a finished one that is new gets what the user's umask allows.
    #[cfg(unix)]
    if old.is_none() {
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    }
    let mut file = builder.prefix(".gbrl-").suffix(".tmp").tempfile_in(folder).map_err(|error| {
        // tempfile wraps the system's error to add a path of its own; the kind is what callers tell failures by.
        failed(error.kind().into())
    })?;
    file.write_all(bytes).map_err(failed)?;
    #[cfg(unix)]
    if let Some(old) = old {
        file.as_file().set_permissions(old).map_err(failed)?;
    }
    file.as_file().sync_all().map_err(failed)?;
    file.persist(&target).map_err(|error| failed(error.error))?;
    // The rename itself reaches the disk with the folder; some file systems refuse to sync one, and that is no loss.
    #[cfg(unix)]
    if let Ok(folder) = std::fs::File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// JSON with sorted keys and no white space, whatever features the JSON library was built with.
fn canonical_json(what: &str, value: &Value) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    check_depth(value, MAX_JSON_DEPTH)
        .then(|| push_json(&mut text, value))
        .ok_or_else(|| Error::parameter(what, "deeper nesting", format!("at most {MAX_JSON_DEPTH} levels")))?
        .map_err(|error| Error::parameter(what, error, "a value that JSON can hold"))?;
    if text.len() > MAX_JSON_BYTES {
        return Err(Error::parameter(what, format!("{} bytes", text.len()), format!("at most {MAX_JSON_BYTES} bytes")));
    }
    Ok(text)
}

/// Whether `value` nests at most `levels` deep.
pub(crate) fn check_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(|item| check_depth(item, levels - 1)),
        Value::Object(entries) => levels > 0 && entries.values().all(|item| check_depth(item, levels - 1)),
        _ => true,
    }
}

fn push_json(out: &mut Vec<u8>, value: &Value) -> serde_json::Result<()> {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_json(out, item)?;
            }
            out.push(b']');
        }
        Value::Object(entries) => {
            let keys: BTreeSet<&String> = entries.keys().collect();
            out.push(b'{');
            for (i, key) in keys.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                push_json(out, &entries[key])?;
            }
            out.push(b'}');
        }
        // The standard library's shortest text: a JSON library may change how it writes numbers, the format may not.
        Value::Number(number) if number.is_f64() => {
            out.extend_from_slice(format!("{:?}", number.as_f64().unwrap_or_default()).as_bytes());
        }
        leaf => serde_json::to_writer(out, leaf)?,
    }
    Ok(())
}

/// JSON text as a `T`, within the limits.
pub(crate) fn parse_json<T: DeserializeOwned>(what: &str, text: &[u8]) -> Result<T> {
    if text.len() > MAX_JSON_BYTES {
        let expected = format!("at most {MAX_JSON_BYTES} bytes");
        return Err(Error::format(what, "JSON too long", expected, text.len()));
    }
    if nesting(text) > MAX_JSON_DEPTH {
        let expected = format!("at most {MAX_JSON_DEPTH} levels");
        return Err(Error::format(what, "JSON too deep", expected, nesting(text)));
    }
    serde_json::from_slice(text).map_err(|error| Error::format(what, "invalid contents", "a valid description", error))
}

/// The deepest nesting of brackets outside strings.
fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
