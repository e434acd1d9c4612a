//! Features, groups and settings as JSON: shared by the model file's header and the JSON export.
//!
//! These types fix the file format. They are kept apart from the types they describe, so that a change there cannot
//! change the format unseen.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::TreeParams;
use crate::data::schema::{Feature, FeatureKind, FeatureSchema, Vocabulary};
use crate::ensemble::{Ensemble, Optimizer, OutputGroup, Schedule};
use crate::error::{Error, Result};
use crate::io::model::ModelRef;
use crate::tree::{Split, Test};

/// Everything of a model but bias and trees.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub features: Vec<FeatureText>,
    pub groups: Vec<GroupText>,
    /// Names of the output columns, where they have any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    pub params: Option<TreeParams>,
    pub extra: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum FeatureText {
    Numeric {
        name: String,
    },
    Declared {
        name: String,
        n: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        labels: Option<LabelsText>,
    },
    Strings {
        name: String,
        strings: Vec<String>,
    },
}

/// Labels of codes, or the column before that has the same ones.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum LabelsText {
    As(usize),
    Own(Vec<String>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupText {
    name: String,
    columns: [usize; 2],
    rate: ScheduleText,
    optimizer: OptimizerText,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum ScheduleText {
    Constant { value: f64 },
    Linear { start: f64, end: f64 },
    Cosine { start: f64, end: f64 },
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum OptimizerText {
    // A struct without fields, because serde lets a plain variant pass with unknown fields.
    Sgd {},
    Adam { beta1: f64, beta2: f64, epsilon: f64 },
}

impl Header {
    pub fn of(model: &ModelRef<'_>) -> Self {
        Header {
            features: FeatureText::all(model.ensemble.schema()),
            groups: model.ensemble.groups().iter().map(GroupText::of).collect(),
            outputs: model.ensemble.output_names().to_vec(),
            params: model.params.cloned(),
            extra: model.extra.clone().into_owned(),
        }
    }

    pub fn to_value(&self, what: &str) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| Error::parameter(what, error, "a value that JSON can hold"))
    }
}

impl FeatureText {
    pub fn all(schema: &FeatureSchema) -> Vec<Self> {
        let features = schema.features();
        features.iter().enumerate().map(|(i, feature)| FeatureText::of(feature, &features[..i])).collect()
    }

    fn of(feature: &Feature, before: &[Feature]) -> Self {
        let name = feature.name().to_owned();
        match feature.kind() {
            FeatureKind::Numeric => FeatureText::Numeric { name },
            FeatureKind::Categorical(Vocabulary::Declared(n)) => {
                let is_declared =
                    |other: &Feature| matches!(other.kind(), FeatureKind::Categorical(Vocabulary::Declared(_)));
                let same = before.iter().position(|other| is_declared(other) && other.labels() == feature.labels());
                let labels = match (feature.labels(), same) {
                    ([], _) => None,
                    (_, Some(i)) => Some(LabelsText::As(i)),
                    (labels, None) => Some(LabelsText::Own(labels.to_vec())),
                };
                FeatureText::Declared { name, n: *n, labels }
            }
            FeatureKind::Categorical(Vocabulary::Learned(strings)) => {
                FeatureText::Strings { name, strings: strings.as_slice().to_vec() }
            }
        }
    }

    fn into_feature(self, before: &[Feature], section: &str) -> Result<Feature> {
        match self {
            FeatureText::Numeric { name } => Ok(Feature::numeric(name)),
            FeatureText::Declared { name, n, labels: None } => Ok(Feature::declared(name, n)),
            FeatureText::Declared { name, n, labels: Some(labels) } => {
                let labels = match labels {
                    LabelsText::Own(labels) => labels.into(),
                    LabelsText::As(i) => before.get(i).map(Feature::shared_labels).unwrap_or_default(),
                };
                match labels.len() == n as usize {
                    true => Ok(Feature::labelled(name, labels)),
                    false => Err(Error::format(
                        section,
                        "labels that do not fit the codes",
                        format!("{n} of them"),
                        labels.len(),
                    )),
                }
            }
            FeatureText::Strings { name, strings } => {
                let mut feature = Feature::strings(name);
                for (code, text) in strings.iter().enumerate() {
                    match feature.learn(text) {
                        Ok(learned) if learned == code as f32 => {}
                        Ok(first) => {
                            let got = format!("code {code} and code {first} of '{}'", feature.name().escape_debug());
                            return Err(Error::format(section, "a category named twice", "distinct strings", got));
                        }
                        Err(error) => {
                            return Err(Error::format(section, "too many categories", "a vocabulary", error));
                        }
                    }
                }
                Ok(feature)
            }
        }
    }
}

/// The schema that these describe.
pub(crate) fn schema(features: Vec<FeatureText>, section: &str) -> Result<FeatureSchema> {
    let mut schema: Vec<Feature> = Vec::with_capacity(features.len());
    for text in features {
        schema.push(text.into_feature(&schema, section)?);
    }
    Ok(FeatureSchema::new(schema))
}

impl GroupText {
    fn of(group: &OutputGroup) -> Self {
        GroupText {
            name: group.name.clone(),
            columns: [group.columns.start, group.columns.end],
            rate: match group.rate {
                Schedule::Constant(value) => ScheduleText::Constant { value },
                Schedule::Linear { start, end } => ScheduleText::Linear { start, end },
                Schedule::Cosine { start, end } => ScheduleText::Cosine { start, end },
            },
            optimizer: match group.optimizer {
                Optimizer::Sgd => OptimizerText::Sgd {},
                Optimizer::Adam { beta1, beta2, epsilon } => OptimizerText::Adam { beta1, beta2, epsilon },
            },
        }
    }

    pub fn into_group(self) -> OutputGroup {
        OutputGroup {
            name: self.name,
            columns: self.columns[0]..self.columns[1],
            rate: match self.rate {
                ScheduleText::Constant { value } => Schedule::Constant(value),
                ScheduleText::Linear { start, end } => Schedule::Linear { start, end },
                ScheduleText::Cosine { start, end } => Schedule::Cosine { start, end },
            },
            optimizer: match self.optimizer {
                OptimizerText::Sgd {} => Optimizer::Sgd,
                OptimizerText::Adam { beta1, beta2, epsilon } => Optimizer::Adam { beta1, beta2, epsilon },
            },
        }
    }
}

/// A name as one line of visible text: control characters escaped, everything else as it is.
pub(crate) fn one_line(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The question that a split asks: `speed > 0.5`, `speed is missing`, `gear == 3`, `mission == "red"`.
///
/// The feature must exist ([`ModelRef::check`]).
pub(crate) fn question(schema: &FeatureSchema, split: &Split) -> String {
    let feature = &schema.features()[split.feature_idx as usize];
    let name = one_line(feature.name());
    match split.test {
        Test::Greater { threshold: f32::INFINITY, missing_right: true } => format!("{name} is missing"),
        Test::Greater { threshold, .. } => format!("{name} > {threshold:?}"),
        Test::Equal { code } => match feature.kind() {
            FeatureKind::Categorical(Vocabulary::Declared(_)) if feature.labels().is_empty() => {
                format!("{name} == {}", feature.label(code))
            }
            _ => {
                let label = feature.label(code).replace('\\', "\\\\").replace('"', "\\\"");
                format!("{name} == \"{}\"", one_line(&label))
            }
        },
    }
}

/// Whether it matters to say that a missing value goes right: it does unless the question is just that.
pub(crate) fn sends_missing_right(split: &Split) -> bool {
    matches!(split.test, Test::Greater { threshold, missing_right: true } if threshold != f32::INFINITY)
}

/// [`Ensemble::output_name`] on one line.
pub(crate) fn output_name(ensemble: &Ensemble, column: usize) -> String {
    one_line(&ensemble.output_name(column))
}
