//! Settings from presets, files and the command line, and as text that can be read again.

use std::fmt::Write;
use std::path::Path;

use gbrl_core::Error;
use gbrl_core::config::{Algorithm, ParamValue, Settings};
use toml::{Table, Value};

use crate::failure::Failure;

/// Keys of a preset that are no settings.
const REMARKS: [&str; 3] = ["source", "env", "algo"];

/// Settings with a name.
pub struct Preset {
    /// How it was asked for: "paper", or a file.
    pub name: String,
    algorithm: Algorithm,
    values: Table,
}

impl Preset {
    /// The preset `name` of an environment.
    ///
    /// Every environment has `generic`, and goes by it where it has no `default` of its own.
    pub fn of(env_id: &str, algorithm: Algorithm, name: &str) -> Result<Self, Failure> {
        let mut tables = built_in(env_id, algorithm)?;
        match tables.iter().position(|(known, _)| known == name) {
            Some(at) => Ok(Preset { name: name.to_owned(), algorithm, values: tables.swap_remove(at).1 }),
            None => {
                let known: Vec<&str> = tables.iter().map(|(known, _)| known.as_str()).collect();
                let error = Error::unknown_name(format!("preset of {env_id}"), name, known.iter().copied());
                Err(Failure::new(format!("{error} (there is {}; a file is named by a path)", known.join(", "))))
            }
        }
    }

    /// A file of plain `setting = value` lines, such as a run's config.toml. Its algorithm is the one that it names;
    /// where it names none, `algorithm`, or PPO.
    pub fn from_file(path: &Path, algorithm: Option<Algorithm>) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| Error::file(path, error))?;
        let values = parse(&name, &text)?;
        let named = match values.get("algo").map(|value| value.as_str().unwrap_or_default()) {
            Some(named) => Some(Algorithm::parse(named).map_err(|error| Failure::from(error).within(&name))?),
            None => None,
        };
        match (algorithm, named) {
            (Some(asked), Some(named)) if asked != named => {
                Err(Failure::expected("--algo", &format!("{}, as in {name}", named.name()), asked.name()))
            }
            _ => Ok(Preset { name, algorithm: named.or(algorithm).unwrap_or_default(), values }),
        }
    }

    /// A preset by name, or a file if it looks like one.
    pub fn find(env_id: &str, algorithm: Option<Algorithm>, name: &str) -> Result<Self, Failure> {
        let path = Path::new(name);
        let is_file = name.contains(['/', '\\']) || path.extension().is_some_and(|ending| ending == "toml");
        match is_file {
            true => Preset::from_file(path, algorithm),
            false => Preset::of(env_id, algorithm.unwrap_or_default(), name),
        }
    }

    /// What it says of one setting, as `--set` would have it.
    pub fn get(&self, key: &str) -> Option<String> {
        self.values.get(key).and_then(text)
    }

    /// Where the values come from, if it says so.
    pub fn source(&self) -> Option<&str> {
        self.values.get("source").and_then(Value::as_str)
    }

    /// The algorithm's defaults, changed by what the preset says.
    pub fn settings(&self) -> Result<Settings, Failure> {
        let mut settings = Settings::new(self.algorithm);
        for (key, value) in self.values.iter().filter(|(key, _)| !REMARKS.contains(&key.as_str())) {
            let set = match text(value) {
                Some(value) => settings.set(key, &value),
                None => Err(Error::parameter(key, value.type_str(), "a number, a text, true or false")),
            };
            set.map_err(|error| Failure::from(error).within(&format!("preset {}", self.name)))?;
        }
        Ok(settings)
    }
}

/// Names of the presets of an environment, with where their values come from.
pub fn names(env_id: &str, algorithm: Algorithm) -> Result<Vec<(String, String)>, Failure> {
    let source = |(name, values): (String, Table)| {
        let source = values.get("source").and_then(Value::as_str).unwrap_or_default().to_owned();
        (name, source)
    };
    Ok(built_in(env_id, algorithm)?.into_iter().map(source).collect())
}

fn built_in(env_id: &str, algorithm: Algorithm) -> Result<Vec<(String, Table)>, Failure> {
    envs::spec(env_id)?;
    let table = |(name, algorithms): (String, Value)| match algorithms {
        Value::Table(mut algorithms) => match algorithms.remove(algorithm.name()) {
            Some(Value::Table(values)) => Some((name, values)),
            _ => None,
        },
        _ => None,
    };
    let own = parse(env_id, envs::presets::of(env_id).unwrap_or_default())?;
    let mut tables: Vec<(String, Table)> = own.into_iter().filter_map(table).collect();
    for (name, values) in parse("generic presets", envs::presets::GENERIC)?.into_iter().filter_map(table) {
        if tables.iter().all(|(known, _)| known != "default") {
            tables.insert(0, ("default".to_owned(), values.clone()));
        }
        tables.push((name, values));
    }
    Ok(tables)
}

/// Reads TOML; what is wrong is said in one line.
fn parse(what: &str, text: &str) -> Result<Table, Failure> {
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].lines().count().max(1));
        let reason = error.message().replace('\n', ", ");
        Failure::new(format!("{what}: line {line}: expected `setting = value` lines (TOML), got {reason}"))
    })
}

/// The value as `--set` would have it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Reads a whole number as `--set` does.
pub fn whole(text: &str) -> Result<u64, String> {
    u64::parse(text).ok_or_else(|| "expected a whole number, such as 100000, 100_000 or 1e5".to_owned())
}

/// Applies one `--set key=value`.
pub fn set(settings: &mut Settings, assignment: &str) -> Result<(), Failure> {
    match assignment.split_once('=') {
        Some((key, value)) => Ok(settings.set(key.trim(), value.trim())?),
        None => Err(Failure::expected("--set", "key=value", &format!("'{assignment}'"))),
    }
}

/// Every setting as TOML, table by table, `remarks` first; readable by [`Preset::from_file`].
pub fn to_toml(settings: &Settings, remarks: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (key, value) in remarks {
        let _ = writeln!(out, "{key} = {}", quoted(value));
    }
    let own = settings.algorithm();
    for (section, title) in [("run", "Run"), ("agent", "All algorithms"), (own.name(), own.title()), ("tree", "Trees")]
    {
        let mut defs = settings.defs().filter(|def| def.section == section).peekable();
        if defs.peek().is_some() {
            let _ = writeln!(out, "\n# {title}");
        }
        for def in defs {
            let _ = writeln!(out, "{} = {}", def.name, written(&settings.get(def.name).unwrap_or_default()));
        }
    }
    out
}

fn written(value: &str) -> String {
    let plain_integer = value.parse::<i64>().is_ok();
    let plain_float = value.contains('.') && value.parse::<f64>().is_ok();
    if plain_integer || plain_float || value == "true" || value == "false" { value.to_owned() } else { quoted(value) }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for algorithm in Algorithm::ALL {
            let mut settings = Settings::new(algorithm);
            for assignment in [
                "policy_lr=linear:0.1:0.001",
                "seed=18446744073709551615",
                "gamma=1",
                "monotone=0:1:rising",
                "feature_weights=1,0.5",
                "max_value_grad_norm=0.00000012345",
                "total_timesteps=1e6",
            ] {
                set(&mut settings, assignment).unwrap();
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("config.toml");
            let text = to_toml(&settings, &[("env", "A \"quoted\" name"), ("algo", algorithm.name())]);
            std::fs::write(&path, text).unwrap();
            assert_eq!(Preset::from_file(&path, None).unwrap().settings().unwrap(), settings);
        }
    }

    #[test]
    fn a_file_says_which_algorithm_it_is_for() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str, asked| {
            let path = folder.path().join("mine.toml");
            std::fs::write(&path, text).unwrap();
            Preset::from_file(&path, asked).and_then(|preset| preset.settings())
        };
        assert_eq!(read("gamma = 0.5", None).unwrap().algorithm(), Algorithm::Ppo);
        assert_eq!(read("gamma = 0.5", Some(Algorithm::A2c)).unwrap().agent.n_steps, 5);
        assert_eq!(read("algo = \"awr\"\nbeta = 0.5", None).unwrap().get("beta").as_deref(), Some("0.5"));
        let Err(Failure::Told(message)) = read("algo = \"awr\"", Some(Algorithm::Ppo)) else { panic!("not refused") };
        assert!(message.starts_with("--algo: expected awr, as in ") && message.ends_with("got ppo"), "{message}");
        assert!(read("algo = \"dqn\"", None).is_err() && read("algo = \"a2c\"\nbeta = 1", None).is_err());
    }

    #[test]
    fn every_preset_of_every_environment_can_be_used() {
        for spec in envs::specs() {
            for algorithm in Algorithm::ALL {
                let names = names(spec.id, algorithm).unwrap();
                for wanted in ["default", "generic"] {
                    let n = names.iter().filter(|(name, _)| name == wanted).count();
                    assert_eq!(n, 1, "{wanted} of {} {}", spec.id, algorithm.name());
                }
                for (name, source) in names {
                    let settings = Preset::of(spec.id, algorithm, &name).unwrap().settings().unwrap();
                    settings.check().unwrap();
                    assert_eq!(settings.algorithm(), algorithm);
                    assert!(!source.is_empty(), "{} {name} does not say where it comes from", spec.id);
                }
            }
        }
    }

    #[test]
    fn the_generic_preset_is_one_for_all_and_the_default_of_who_has_none() {
        let of = |env: &str, name| Preset::of(env, Algorithm::Ppo, name).unwrap().settings().unwrap();
        let generic = of("CartPole-v1", "generic");
        assert_ne!(of("CartPole-v1", "default"), generic);
        assert_eq!((of("Taxi-v3", "default"), of("Taxi-v3", "generic")), (generic.clone(), generic));
    }

    #[test]
    fn mistakes_are_named() {
        let message = |result: Result<Preset, Failure>| match result {
            Err(Failure::Told(message)) => message,
            _ => panic!("not refused"),
        };
        assert!(message(Preset::of("CartPole-v1", Algorithm::A2c, "papr")).contains("did you mean 'paper'?"));
        assert!(message(Preset::find("CartPole-v1", None, "no/such.toml")).contains("no/such.toml"));
        match parse("f", "a = 1\nb = = 2") {
            Err(Failure::Told(message)) => assert!(message.starts_with("f: line 2: "), "{message}"),
            _ => panic!("not refused"),
        }
    }
}
