//! What each column of an observation means.
//!
//! Every observation is a row of `f32`. A numeric column holds numbers, NaN meaning "missing". A categorical column
//! holds codes 0, 1, 2, … as exact whole numbers; what a code stands for is the column's [`Vocabulary`]. One plain
//! matrix therefore carries every kind of data, and a split is one comparison whatever the column.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The largest number of categories a column can have: codes must fit 16-bit bins beside the "missing" bin.
pub const MAX_CATEGORIES: u32 = 65_534;

/// The code written for a category that a vocabulary does not know: it equals no learned code.
pub const UNSEEN: f32 = -1.0;

/// Named, typed columns, in the order of the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureSchema {
    features: Vec<Feature>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    name: String,
    kind: FeatureKind,
    /// What declared codes stand for, where somebody has said so: one text per code, or none at all.
    labels: Arc<[String]>,
}

/// How a column's values are compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Ordered: a split asks `x > threshold`.
    Numeric,
    /// Unordered: a split asks `x == code`.
    Categorical(Vocabulary),
}

/// What the codes of a categorical column stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vocabulary {
    /// Codes 0..n known beforehand, such as the values of a discrete space.
    Declared(u32),
    /// Strings given codes in the order of their first appearance; a code never changes.
    Learned(Strings),
}

/// Strings with codes in the order of their first appearance, any length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Strings {
    by_code: Vec<String>,
    codes: BTreeMap<String, u32>,
}

impl FeatureSchema {
    /// A schema of these features.
    pub fn new(features: Vec<Feature>) -> Self {
        FeatureSchema { features }
    }

    /// `n` numeric columns called `x[0]`, `x[1]`, …
    pub fn numeric(n: usize) -> Self {
        FeatureSchema::new((0..n).map(|i| Feature::numeric(format!("x[{i}]"))).collect())
    }

    /// Checks that no column declares more codes than [`MAX_CATEGORIES`].
    ///
    /// # Errors
    /// Class `Value`, naming the column.
    pub fn check(&self) -> Result<()> {
        for feature in &self.features {
            if let FeatureKind::Categorical(Vocabulary::Declared(n)) = feature.kind
                && n > MAX_CATEGORIES
            {
                let what = format!("categories of {}", feature.name);
                return Err(Error::parameter(what, n, format!("at most {MAX_CATEGORIES}")));
            }
        }
        Ok(())
    }

    /// Whether the columns of `other` are of the same kinds in the same order, whatever they are called.
    pub fn has_kinds_of(&self, other: &FeatureSchema) -> bool {
        self.features.iter().map(Feature::kind).eq(other.features.iter().map(Feature::kind))
    }

    /// The columns, in order.
    pub fn features(&self) -> &[Feature] {
        &self.features
    }

    /// The columns, in order, for teaching vocabularies new strings.
    pub fn features_mut(&mut self) -> &mut [Feature] {
        &mut self.features
    }

    /// How many columns.
    pub fn len(&self) -> usize {
        self.features.len()
    }

    /// Whether there is no column.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The index of the column called `name`.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownName`](crate::error::ErrorKind::UnknownName) with the nearest names.
    pub fn index_of(&self, name: &str) -> Result<usize> {
        self.features
            .iter()
            .position(|f| f.name == name)
            .ok_or_else(|| Error::unknown_name("feature", name, self.features.iter().map(|f| f.name.as_str())))
    }
}

impl Feature {
    /// A numeric column.
    pub fn numeric(name: impl Into<String>) -> Self {
        Feature { name: name.into(), kind: FeatureKind::Numeric, labels: Arc::default() }
    }

    /// A categorical column whose codes 0..n are known beforehand.
    pub fn declared(name: impl Into<String>, n: u32) -> Self {
        let kind = FeatureKind::Categorical(Vocabulary::Declared(n));
        Feature { name: name.into(), kind, labels: Arc::default() }
    }

    /// A categorical column whose codes are known beforehand, and what each of them stands for. Columns may share labels.
    ///
    /// ```
    /// use gbrl_core::data::Feature;
    /// let gear = Feature::labelled("gear", ["reverse", "neutral", "first"].map(String::from));
    /// assert_eq!(gear.label(1.0), "neutral");
    /// ```
    pub fn labelled(name: impl Into<String>, labels: impl Into<Arc<[String]>>) -> Self {
        let labels = labels.into();
        Feature { labels: labels.clone(), ..Feature::declared(name, labels.len() as u32) }
    }

    /// A categorical column of strings, none seen so far.
    pub fn strings(name: impl Into<String>) -> Self {
        let kind = FeatureKind::Categorical(Vocabulary::Learned(Strings::default()));
        Feature { name: name.into(), kind, labels: Arc::default() }
    }

    /// The column's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the column's values are compared.
    pub fn kind(&self) -> &FeatureKind {
        &self.kind
    }

    /// Whether a split on this column asks for equality.
    pub fn is_categorical(&self) -> bool {
        matches!(self.kind, FeatureKind::Categorical(_))
    }

    /// The code of `text`, giving it the next one when it is new.
    ///
    /// # Errors
    /// [`ErrorKind::Parameter`](crate::error::ErrorKind::Parameter) when the column is not one of strings or has
    /// [`MAX_CATEGORIES`] already.
    pub fn learn(&mut self, text: &str) -> Result<f32> {
        match &mut self.kind {
            FeatureKind::Categorical(Vocabulary::Learned(strings)) => strings.learn(&self.name, text),
            _ => Err(Error::parameter(&self.name, text, "a number: the column is not one of strings")),
        }
    }

    /// The code of `text`, or [`UNSEEN`].
    pub fn code(&self, text: &str) -> f32 {
        match &self.kind {
            FeatureKind::Categorical(Vocabulary::Learned(strings)) => {
                strings.codes.get(text).map_or(UNSEEN, |&code| code as f32)
            }
            _ => UNSEEN,
        }
    }

    /// The labels of declared codes, not copied.
    pub(crate) fn shared_labels(&self) -> Arc<[String]> {
        self.labels.clone()
    }

    /// What the codes stand for: the strings seen so far, or labels; empty where codes are plain numbers.
    pub fn labels(&self) -> &[String] {
        match &self.kind {
            FeatureKind::Categorical(Vocabulary::Learned(strings)) => strings.as_slice(),
            _ => &self.labels,
        }
    }

    /// What `code` stands for, for dumps: the string, the label, or the number itself.
    pub fn label(&self, code: f32) -> String {
        let text = if code >= 0.0 { self.labels().get(code as usize) } else { None };
        text.cloned().unwrap_or_else(|| code.to_string())
    }
}

impl Strings {
    fn learn(&mut self, column: &str, text: &str) -> Result<f32> {
        if let Some(&code) = self.codes.get(text) {
            return Ok(code as f32);
        }
        let code = self.by_code.len() as u32;
        if code >= MAX_CATEGORIES {
            return Err(Error::parameter(
                column,
                format!("category number {code}"),
                format!("at most {MAX_CATEGORIES} categories"),
            ));
        }
        self.by_code.push(text.to_owned());
        self.codes.insert(text.to_owned(), code);
        Ok(code as f32)
    }

    /// The strings in the order of their codes.
    pub fn as_slice(&self) -> &[String] {
        &self.by_code
    }
}

impl From<Vec<String>> for Strings {
    fn from(by_code: Vec<String>) -> Self {
        let codes = by_code.iter().enumerate().map(|(code, text)| (text.clone(), code as u32)).collect();
        Strings { by_code, codes }
    }
}

impl From<Strings> for Vec<String> {
    fn from(strings: Strings) -> Self {
        strings.by_code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_follow_first_appearance_and_never_change() {
        let mut feature = Feature::strings("mission");
        let long = "x".repeat(500);
        let twin = format!("{long}y");
        assert_eq!(feature.learn("b").unwrap(), 0.0);
        assert_eq!(feature.learn(&long).unwrap(), 1.0);
        assert_eq!(feature.learn(&twin).unwrap(), 2.0);
        assert_eq!(feature.learn("b").unwrap(), 0.0);
        assert_eq!(feature.code("never seen"), UNSEEN);
        let copy: Feature = serde_json::from_str(&serde_json::to_string(&feature).unwrap()).unwrap();
        assert_eq!(copy.code(&twin), 2.0);
    }

    #[test]
    fn a_numeric_column_has_no_strings() {
        let error = Feature::numeric("speed").learn("fast").unwrap_err();
        assert_eq!(error.to_string(), "speed: expected a number: the column is not one of strings, got fast");
    }
}
