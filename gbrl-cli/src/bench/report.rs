//! Results: one JSON object, or lines for people.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::output;

/// Prints `settings` with `results` added.
pub fn print(json: bool, mut settings: Map<String, Value>, results: Value) -> Result<(), Failure> {
    if let Value::Object(results) = results {
        settings.extend(results);
    }
    if json {
        return output::print(&Value::Object(settings).to_string());
    }
    let width = settings.keys().map(String::len).max().unwrap_or(0);
    let lines: Vec<String> = settings.iter().map(|(key, value)| format!("{key:width$}  {}", shown(value))).collect();
    output::print(&lines.join("\n"))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.5}", number.as_f64().unwrap_or(0.0)),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
