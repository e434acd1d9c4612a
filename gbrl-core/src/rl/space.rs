//! Observation and action spaces, with Gymnasium's names and meaning.
//!
//! Trees want one flat row per observation. Every space flattens to columns of `f32`: a `Box` gives one numeric column
//! per element, a discrete quantity **one** categorical column holding its code (not one-hot columns), `Dict` and
//! `Tuple` concatenate their parts in order and prefix the names.

use serde::{Deserialize, Serialize};

use crate::data::schema::{Feature, FeatureSchema, MAX_CATEGORIES, UNSEEN};
use crate::ensemble::MAX_FEATURES;
use crate::error::{Error, Result};

/// A set of values that observations or actions are drawn from.
///
/// ```
/// use gbrl_core::rl::space::Space;
/// let space = Space::Dict(vec![
///     ("position".into(), Space::unbounded(2)),
///     ("gear".into(), Space::discrete(5)),
/// ]);
/// assert_eq!(space.flat_len(), 3);
/// assert_eq!(space.schema().features()[2].name(), "gear");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Space {
    /// Real numbers, each with its own bounds, of any shape; row-major.
    Box {
        /// The array's shape; `[]` is a scalar.
        shape: Vec<usize>,
        /// Lower bounds, one per element; −∞ where unbounded.
        #[serde(with = "bounds")]
        low: Vec<f32>,
        /// Upper bounds, one per element; +∞ where unbounded.
        #[serde(with = "bounds")]
        high: Vec<f32>,
    },
    /// One of `n` values start, start+1, …
    Discrete {
        /// How many values.
        n: u32,
        /// The smallest value; flattened codes are relative to it.
        start: i64,
    },
    /// Several discrete values side by side; element i is in `0..nvec[i]`.
    MultiDiscrete {
        /// How many values each element has.
        nvec: Vec<u32>,
    },
    /// `n` bits.
    MultiBinary {
        /// How many bits.
        n: usize,
    },
    /// A string of any length; one categorical column whose codes follow first appearance. Observations only.
    Text,
    /// Named parts, in the order given (Gymnasium sorts keys; keep its order when you mirror it).
    Dict(#[serde(with = "parts")] Vec<(String, Space)>),
    /// Unnamed parts.
    Tuple(#[serde(with = "parts")] Vec<Space>),
}

impl Space {
    /// A one-dimensional box with bounds per element.
    ///
    /// # Errors
    /// [`ErrorKind::Shape`](crate::error::ErrorKind::Shape) when the bounds differ in length,
    /// [`ErrorKind::Element`](crate::error::ErrorKind::Element) when one is NaN or `low > high`.
    pub fn bounded(low: &[f32], high: &[f32]) -> Result<Self> {
        let space = Space::Box { shape: vec![low.len()], low: low.to_vec(), high: high.to_vec() };
        space.check("space")?;
        Ok(space)
    }

    /// `n` real numbers without bounds.
    pub fn unbounded(n: usize) -> Self {
        Space::Box { shape: vec![n], low: vec![f32::NEG_INFINITY; n], high: vec![f32::INFINITY; n] }
    }

    /// One of `n` values 0, 1, …
    pub fn discrete(n: u32) -> Self {
        Space::Discrete { n, start: 0 }
    }

    /// Columns of the flattened value; `usize::MAX` where there are more than that.
    pub fn flat_len(&self) -> usize {
        match self {
            Space::Box { shape, .. } => shape.iter().fold(1, |n, &size| n.saturating_mul(size)),
            Space::Discrete { .. } | Space::Text => 1,
            Space::MultiDiscrete { nvec } => nvec.len(),
            Space::MultiBinary { n } => *n,
            Space::Dict(parts) => parts.iter().fold(0, |n, (_, part)| n.saturating_add(part.flat_len())),
            Space::Tuple(parts) => parts.iter().fold(0, |n, part| n.saturating_add(part.flat_len())),
        }
    }

    /// The flattened columns as features: numeric for `Box`, categorical with the declared number of codes otherwise.
    ///
    /// Names: `obs` or the key, with `[i]` (or `[i,j]`) for elements of arrays and `.` between nested names.
    pub fn schema(&self) -> FeatureSchema {
        let mut features = Vec::with_capacity(self.flat_len());
        self.push_features("", &mut features);
        FeatureSchema::new(features)
    }

    fn push_features(&self, prefix: &str, out: &mut Vec<Feature>) {
        let stem = if prefix.is_empty() { "obs" } else { prefix };
        match self {
            Space::Box { shape, .. } if shape.is_empty() => out.push(Feature::numeric(stem)),
            Space::Box { shape, .. } => {
                let n: usize = shape.iter().product();
                out.extend((0..n).map(|i| Feature::numeric(format!("{stem}[{}]", unravel(i, shape)))));
            }
            Space::Discrete { n, .. } => out.push(Feature::declared(stem, *n)),
            Space::Text => out.push(Feature::strings(stem)),
            Space::MultiDiscrete { nvec } => {
                out.extend(nvec.iter().enumerate().map(|(i, n)| Feature::declared(format!("{stem}[{i}]"), *n)));
            }
            Space::MultiBinary { n } => {
                out.extend((0..*n).map(|i| Feature::declared(format!("{stem}[{i}]"), 2)));
            }
            Space::Dict(parts) => {
                for (key, part) in parts {
                    part.push_features(&join(prefix, key), out);
                }
            }
            Space::Tuple(parts) => {
                for (i, part) in parts.iter().enumerate() {
                    part.push_features(&join(prefix, &i.to_string()), out);
                }
            }
        }
    }

    /// Checks that the space itself makes sense: no more columns than an ensemble may have, bounds ordered and complete,
    /// no empty discrete set.
    ///
    /// # Errors
    /// A [`Error`] of class `Value` naming `what` and the first thing that is wrong.
    pub fn check(&self, what: &str) -> Result<()> {
        let n = self.flat_len();
        if n > MAX_FEATURES {
            return Err(Error::parameter(format!("{what}'s columns"), n, format!("at most {MAX_FEATURES}")));
        }
        match self {
            Space::Box { low, high, .. } => {
                for (side, bounds) in [("low", low), ("high", high)] {
                    if bounds.len() != n {
                        return Err(Error::shape(format!("{what}.{side}"), n, bounds.len()));
                    }
                }
                match low.iter().zip(high).position(|(l, h)| !matches!(l.partial_cmp(h), Some(o) if o.is_le())) {
                    None => Ok(()),
                    Some(i) => Err(Error::element(
                        format!("{what}.low"),
                        (0, i),
                        format!("at most high = {}", high[i]),
                        low[i],
                    )),
                }
            }
            Space::Discrete { n, .. } if *n == 0 => Err(Error::parameter(format!("{what}.n"), 0, "at least 1")),
            Space::Discrete { .. } => Ok(()),
            Space::MultiDiscrete { nvec } => match nvec.iter().position(|&n| n == 0) {
                None => Ok(()),
                Some(i) => Err(Error::element(format!("{what}.nvec"), (0, i), "at least 1", 0)),
            },
            Space::MultiBinary { .. } | Space::Text => Ok(()),
            Space::Dict(parts) => parts.iter().try_for_each(|(key, part)| part.check(&join(what, key))),
            Space::Tuple(parts) => {
                parts.iter().enumerate().try_for_each(|(i, part)| part.check(&join(what, &i.to_string())))
            }
        }
    }

    /// Index of the first flattened element that does not belong to this space, if any.
    ///
    /// NaN belongs to every `Box`: it means "missing". Flattened codes must be whole numbers in range.
    pub fn first_outside(&self, flat: &[f32]) -> Option<usize> {
        let code = |x: f32, n: u32| x.fract() == 0.0 && x >= 0.0 && x < n as f32;
        match self {
            Space::Box { low, high, .. } => {
                (0..flat.len()).find(|&i| !(flat[i].is_nan() || (low[i] <= flat[i] && flat[i] <= high[i])))
            }
            Space::Discrete { n, .. } => (!code(flat[0], *n)).then_some(0),
            Space::Text => (flat[0] != UNSEEN && !code(flat[0], MAX_CATEGORIES)).then_some(0),
            Space::MultiDiscrete { nvec } => (0..nvec.len()).find(|&i| !code(flat[i], nvec[i])),
            Space::MultiBinary { n } => (0..*n).find(|&i| !code(flat[i], 2)),
            Space::Dict(parts) => first_outside_parts(parts.iter().map(|(_, part)| part), flat),
            Space::Tuple(parts) => first_outside_parts(parts.iter(), flat),
        }
    }
}

fn first_outside_parts<'a>(parts: impl Iterator<Item = &'a Space>, flat: &[f32]) -> Option<usize> {
    let mut from = 0;
    for part in parts {
        let to = from + part.flat_len();
        if let Some(i) = part.first_outside(&flat[from..to]) {
            return Some(from + i);
        }
        from = to;
    }
    None
}

fn join(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

/// Row-major index as "i,j,k".
fn unravel(mut index: usize, shape: &[usize]) -> String {
    let mut parts = vec![0; shape.len()];
    for (part, &n) in parts.iter_mut().zip(shape).rev() {
        *part = index % n.max(1);
        index /= n.max(1);
    }
    parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A list under a name, since a tagged variant has to be a map.
mod parts {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parts<T> {
        parts: T,
    }

    pub fn serialize<T: Serialize, S: Serializer>(parts: &T, serializer: S) -> Result<S::Ok, S::Error> {
        Parts { parts }.serialize(serializer)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        Ok(Parts::deserialize(deserializer)?.parts)
    }
}

/// JSON has no infinities; bounds are written as numbers or the strings "inf" and "-inf".
mod bounds {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Bound {
        Finite(f32),
        Named(String),
    }

    pub fn serialize<S: Serializer>(bounds: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let name = |&x: &f32| if x.is_finite() { Bound::Finite(x) } else { Bound::Named(x.to_string()) };
        bounds.iter().map(name).collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let read = |bound| match bound {
            Bound::Finite(x) => Ok(x),
            Bound::Named(name) if name == "inf" => Ok(f32::INFINITY),
            Bound::Named(name) if name == "-inf" => Ok(f32::NEG_INFINITY),
            Bound::Named(name) => Err(D::Error::custom(format!("expected a number, inf or -inf, got '{name}'"))),
        };
        Vec::<Bound>::deserialize(deserializer)?.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_spaces_flatten_in_order_with_names() {
        let space = Space::Dict(vec![
            ("image".into(), Space::Box { shape: vec![2, 2], low: vec![0.0; 4], high: vec![1.0; 4] }),
            ("pair".into(), Space::Tuple(vec![Space::discrete(3), Space::MultiBinary { n: 2 }])),
        ]);
        let names: Vec<_> = space.schema().features().iter().map(|f| f.name().to_owned()).collect();
        assert_eq!(names, ["image[0,0]", "image[0,1]", "image[1,0]", "image[1,1]", "pair.0", "pair.1[0]", "pair.1[1]"]);
        assert_eq!(space.first_outside(&[0.0, 0.0, 0.5, 1.0, 2.0, 1.0, 0.0]), None);
        assert_eq!(space.first_outside(&[0.0, 0.0, 0.5, 1.0, 3.0, 1.0, 0.0]), Some(4));
        assert_eq!(space.first_outside(&[0.0, f32::NAN, 0.5, 1.5, 2.0, 1.0, 0.0]), Some(3));
    }

    #[test]
    fn crossed_bounds_are_refused() {
        let error = Space::bounded(&[0.0, 2.0], &[1.0, 1.0]).unwrap_err();
        assert_eq!(error.to_string(), "space.low[0, 1]: expected at most high = 1, got 2");
    }

    #[test]
    fn spaces_of_more_columns_than_an_ensemble_may_have_are_refused_before_anything_is_made_of_them() {
        let many = Space::MultiBinary { n: 1 << 60 };
        let shape = vec![usize::MAX, 3];
        for space in [
            many.clone(),
            Space::Tuple(vec![many.clone(), Space::MultiBinary { n: usize::MAX }]),
            Space::Box { shape, low: vec![], high: vec![] },
        ] {
            let error = space.check("observation_space").unwrap_err();
            assert_eq!(error.class(), crate::ErrorClass::Value);
            assert!(error.to_string().starts_with("observation_space's columns: expected at most 1048576"), "{error}");
        }
        Space::MultiBinary { n: MAX_FEATURES }.check("space").unwrap();
    }

    #[test]
    fn every_space_survives_json() {
        let spaces = vec![
            Space::unbounded(2),
            Space::Discrete { n: 3, start: -1 },
            Space::MultiDiscrete { nvec: vec![2, 3] },
            Space::MultiBinary { n: 4 },
            Space::Text,
        ];
        let tuple = Space::Tuple(spaces);
        let nested =
            Space::Dict(vec![("a".into(), tuple.clone()), ("b".into(), Space::Dict(vec![("c".into(), tuple)]))]);
        let json = serde_json::to_string(&nested).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&json).unwrap(), nested);
        let dict = serde_json::to_string(&Space::Dict(vec![("key".into(), Space::Text)])).unwrap();
        assert_eq!(dict, r#"{"kind":"dict","parts":[["key",{"kind":"text"}]]}"#);
    }

    #[test]
    fn a_text_is_a_code_or_unseen() {
        let space = Space::Tuple(vec![Space::Text, Space::discrete(2)]);
        assert_eq!(space.schema().features()[0].name(), "0");
        for (flat, outside) in
            [([-1.0, 0.0], None), ([7.0, 1.0], None), ([0.5, 0.0], Some(0)), ([f32::NAN, 0.0], Some(0))]
        {
            assert_eq!(space.first_outside(&flat), outside);
        }
    }

    #[test]
    fn infinite_bounds_survive_json() {
        let space = Space::bounded(&[f32::NEG_INFINITY, -1.0], &[f32::INFINITY, 1.5]).unwrap();
        let json = serde_json::to_string(&space).unwrap();
        assert_eq!(serde_json::from_str::<Space>(&json).unwrap(), space);
    }
}
