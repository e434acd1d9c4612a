//! One definition per setting, from which its field, default, range check, parser and documentation come.

use crate::config::Schedule;

/// Everything that is known about one setting.
#[derive(Clone, Copy, Debug)]
pub struct ParamDef {
    /// The table it belongs to: "run", "agent" (all algorithms), an algorithm's name, or "tree".
    pub section: &'static str,
    /// Its name, unique over all tables.
    pub name: &'static str,
    /// How its value is written.
    pub kind: &'static str,
    /// Prints the default.
    pub default: fn() -> String,
    /// The values that are allowed; also the text of the error that refuses others.
    pub rule: &'static str,
    /// What is counted, or "" for a plain number.
    pub unit: &'static str,
    /// What it does.
    pub doc: &'static str,
}

impl ParamDef {
    /// Whether another value makes another experiment. Lengths, seeds, threads, devices and reports do not.
    pub fn decides(&self) -> bool {
        const DECIDING: [&str; 4] = ["n_envs", "max_trees", "compaction_states", "max_compaction_change"];
        self.section != "run" || DECIDING.contains(&self.name)
    }
}

/// A type that a setting can have: how it is written and read.
pub trait ParamValue: Sized {
    /// How a value is written, for documentation.
    const KIND: &'static str;

    /// Reads a value; `None` when the text is not one.
    fn parse(text: &str) -> Option<Self>;

    /// Writes a value so that [`parse`](ParamValue::parse) reads it back.
    fn print(&self) -> String;
}

impl ParamValue for u64 {
    const KIND: &'static str = "whole number";

    /// Accepts `1000000`, `1_000_000` and `1e6`.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.replace('_', "");
        digits.parse().ok().or_else(|| {
            let number: f64 = digits.parse().ok()?;
            let exact = number >= 0.0 && number <= (1u64 << 53) as f64 && number.fract() == 0.0;
            exact.then_some(number as u64)
        })
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl ParamValue for usize {
    const KIND: &'static str = u64::KIND;

    fn parse(text: &str) -> Option<Self> {
        u64::parse(text)?.try_into().ok()
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl ParamValue for f64 {
    const KIND: &'static str = "number";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|x: &f64| x.is_finite())
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl ParamValue for bool {
    const KIND: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    fn print(&self) -> String {
        self.to_string()
    }
}

impl ParamValue for Option<f64> {
    const KIND: &'static str = "number or none";

    fn parse(text: &str) -> Option<Self> {
        if text == "none" { Some(None) } else { f64::parse(text).map(Some) }
    }

    fn print(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), ParamValue::print)
    }
}

impl ParamValue for Option<usize> {
    const KIND: &'static str = "whole number or none";

    fn parse(text: &str) -> Option<Self> {
        if text == "none" { Some(None) } else { usize::parse(text).map(Some) }
    }

    fn print(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), ParamValue::print)
    }
}

impl ParamValue for Schedule {
    const KIND: &'static str = "schedule";

    /// Accepts `0.01`, `lin_0.01` (to 0), `linear:0.01:0.001` and `cosine:0.01:0.001`.
    fn parse(text: &str) -> Option<Self> {
        let ends = |text: &str| {
            let (start, end) = text.split_once(':')?;
            Some((f64::parse(start)?, f64::parse(end)?))
        };
        if let Some(start) = text.strip_prefix("lin_") {
            Some(Schedule::Linear { start: f64::parse(start)?, end: 0.0 })
        } else if let Some(text) = text.strip_prefix("linear:") {
            ends(text).map(|(start, end)| Schedule::Linear { start, end })
        } else if let Some(text) = text.strip_prefix("cosine:") {
            ends(text).map(|(start, end)| Schedule::Cosine { start, end })
        } else {
            f64::parse(text).map(Schedule::Constant)
        }
    }

    fn print(&self) -> String {
        match self {
            Schedule::Constant(value) => value.print(),
            Schedule::Linear { start, end } => format!("linear:{start}:{end}"),
            Schedule::Cosine { start, end } => format!("cosine:{start}:{end}"),
        }
    }
}

impl ParamValue for Option<Schedule> {
    const KIND: &'static str = "schedule or none";

    fn parse(text: &str) -> Option<Self> {
        if text == "none" { Some(None) } else { Schedule::parse(text).map(Some) }
    }

    fn print(&self) -> String {
        self.as_ref().map_or_else(|| "none".to_owned(), ParamValue::print)
    }
}

impl ParamValue for Vec<f64> {
    const KIND: &'static str = "numbers with commas between, or nothing";

    fn parse(text: &str) -> Option<Self> {
        list(text, f64::parse)
    }

    fn print(&self) -> String {
        print_list(self, ParamValue::print)
    }
}

/// Items with commas between; an empty text is no item.
pub(super) fn list<T>(text: &str, item: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    if text.trim().is_empty() { Some(Vec::new()) } else { text.split(',').map(|part| item(part.trim())).collect() }
}

/// The inverse of [`list`].
pub(super) fn print_list<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    items.iter().map(item).collect::<Vec<_>>().join(",")
}

/// Implements [`ParamValue`] for an enum of plain words.
macro_rules! words {
    ($name:ty, $kind:literal, $($word:literal => $variant:expr),+) => {
        impl $crate::config::knob::ParamValue for $name {
            const KIND: &'static str = $kind;

            fn parse(text: &str) -> Option<Self> {
                match text {
                    $($word => Some($variant),)+
                    _ => None,
                }
            }

            fn print(&self) -> String {
                [$(($word, $variant)),+]
                    .into_iter()
                    .find(|(_, variant)| variant == self)
                    .map_or_else(String::new, |(word, _)| word.to_owned())
            }
        }
    };
}

/// Declares a table of settings: the struct with serde and `Default`, its [`ParamDef`]s, `set`, `get` and `check_each`.
///
/// Each field reads `name: type = default, "unit", "rule", |value| whether it holds;` below its doc comment.
macro_rules! params {
    (
        $(#[doc = $about:literal])+
        $section:literal $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[serde($($serde:tt)*)])?
                $field:ident : $type:ty = $default:expr, $unit:literal, $rule:literal, $holds:expr;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                #[doc = concat!("\n\nAllowed: ", $rule, ".")]
                $(#[serde($($serde)*)])?
                pub $field: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)+ }
            }
        }

        impl $name {
            /// The definitions of all settings of this table, in order.
            pub const DEFS: &'static [$crate::config::ParamDef] = &[
                $($crate::config::ParamDef {
                    section: $section,
                    name: stringify!($field),
                    kind: <$type as $crate::config::ParamValue>::KIND,
                    default: || {
                        let default: $type = $default;
                        $crate::config::ParamValue::print(&default)
                    },
                    rule: $rule,
                    unit: $unit,
                    doc: concat!($($doc),+),
                },)+
            ];

            /// Sets the setting `key` from text.
            ///
            /// # Errors
            /// [`ErrorKind::UnknownName`](crate::error::ErrorKind::UnknownName) with the nearest names, or
            /// [`ErrorKind::Parameter`](crate::error::ErrorKind::Parameter) with the rule that `value` breaks; the
            /// settings are then as before.
            pub fn set(&mut self, key: &str, value: &str) -> $crate::error::Result<()> {
                match key {
                    $(stringify!($field) => {
                        let holds: fn(&$type) -> bool = $holds;
                        match <$type as $crate::config::ParamValue>::parse(value.trim()).filter(holds) {
                            Some(read) => self.$field = read,
                            None => {
                                let rule = $crate::config::knob::wanted(
                                    $rule, <$type as $crate::config::ParamValue>::KIND);
                                return Err($crate::error::Error::parameter(key, value, rule));
                            }
                        }
                    })+
                    _ => {
                        let known = Self::DEFS.iter().map(|def| def.name);
                        return Err($crate::error::Error::unknown_name("setting", key, known));
                    }
                }
                Ok(())
            }

            /// The setting `key` as text that [`set`](Self::set) reads back; `None` when there is none of that name.
            pub fn get(&self, key: &str) -> Option<String> {
                match key {
                    $(stringify!($field) => Some($crate::config::ParamValue::print(&self.$field)),)+
                    _ => None,
                }
            }

            /// Checks every setting by itself against its rule.
            pub(super) fn check_each(&self) -> $crate::error::Result<()> {
                $({
                    let holds: fn(&$type) -> bool = $holds;
                    if !holds(&self.$field) {
                        let value = $crate::config::ParamValue::print(&self.$field);
                        return Err($crate::error::Error::parameter(stringify!($field), value, $rule));
                    }
                })+
                Ok(())
            }
        }
    };
}

pub(super) use {params, words};

/// The rule as an error prints it: with the kind where the rule alone does not say how a value is written.
pub(super) fn wanted(rule: &str, kind: &str) -> String {
    if rule == kind || kind.is_empty() { rule.to_owned() } else { format!("{rule} ({kind})") }
}

/// Whether both ends of a schedule satisfy `holds` and are finite.
pub(super) fn ends_hold(schedule: &Schedule, holds: fn(f64) -> bool) -> bool {
    let (start, end) = schedule.ends();
    [start, end].into_iter().all(|x| x.is_finite() && holds(x))
}

/// Schedules in files: a number or the text that [`ParamValue::parse`] reads.
pub(super) mod schedule {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::ParamValue;
    use crate::config::Schedule;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub fn serialize<S: Serializer>(schedule: &Schedule, serializer: S) -> Result<S::Ok, S::Error> {
        match *schedule {
            Schedule::Constant(value) => Written::Number(value),
            _ => Written::Text(schedule.print()),
        }
        .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Schedule, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Schedule::Constant(value)),
            Written::Text(text) => {
                Schedule::parse(&text).ok_or_else(|| D::Error::custom(format!("'{text}' is not a schedule")))
            }
        }
    }
}

/// The same for schedules that may be absent, written "none".
pub(super) mod optional_schedule {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::config::Schedule;

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super::schedule")] Schedule);

    pub fn serialize<S: Serializer>(schedule: &Option<Schedule>, serializer: S) -> Result<S::Ok, S::Error> {
        schedule.map(Wrapped).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Schedule>, D::Error> {
        Ok(Option::<Wrapped>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: ParamValue + PartialEq + std::fmt::Debug>(text: &str) {
        let value = T::parse(text).unwrap_or_else(|| panic!("'{text}' is not read"));
        assert_eq!(T::parse(&value.print()), Some(value));
    }

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["0.01", "lin_0.01", "linear:0.01:0.001", "cosine:1e-3:0"] {
            round_trip::<Schedule>(text);
            round_trip::<Option<Schedule>>(text);
        }
        round_trip::<Option<f64>>("none");
        round_trip::<Option<usize>>("none");
        round_trip::<Option<usize>>("1e3");
        round_trip::<Vec<f64>>("1, 0.5,2");
        round_trip::<Vec<f64>>("");
        assert_eq!(u64::parse("1e6"), Some(1_000_000));
        assert_eq!(u64::parse("1_000_000"), Some(1_000_000));
        assert_eq!(Schedule::parse("lin_0.01"), Some(Schedule::Linear { start: 0.01, end: 0.0 }));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        assert!(["1.5", "-1", "", "1e60"].into_iter().all(|text| u64::parse(text).is_none()));
        assert!(["nan", "inf", "x"].into_iter().all(|text| f64::parse(text).is_none()));
        assert!(["lin_", "linear:1", "cosine:a:b"].into_iter().all(|text| Schedule::parse(text).is_none()));
        assert!(Vec::<f64>::parse("1,,2").is_none());
    }
}
