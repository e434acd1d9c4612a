//! The Python package: its wheel in fresh virtual environments, its types, its tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::steps::Outcome;
use crate::{process, python, workspace};

const PACKAGE: &str = "gbrl-py";
/// Without Stable-Baselines3 and torch: what the package itself asks for, and the tools of its tests.
const BARE: (&str, &str) = (".venv", "gbrl-py/tests/requirements.txt");
/// With them.
const SB3: (&str, &str) = (".venv-sb3", "gbrl-py/tests/requirements-sb3.txt");

/// The stub of the extension module against the module: a Rust test that needs Python's shared library.
pub fn stub() -> Result<Outcome> {
    let system = match python::system() {
        Ok(system) => system,
        Err(reason) => return Ok(Outcome::Skipped(reason)),
    };
    let paths = "import sysconfig as s; print(s.get_config_var('LIBDIR'), s.get_config_var('LDLIBRARY'))";
    let paths = process::output(process::command(system).args(["-c", paths]))?;
    let library: PathBuf = paths.split_whitespace().collect();
    if !library.is_file() {
        return Ok(Outcome::Skipped(format!("no {}: install python3-dev", library.display())));
    }
    process::run(process::cargo().args(["test", "--package", PACKAGE, "--locked"]))?;
    Ok(Outcome::Passed)
}

/// Builds the wheel as pip would, installs it where nothing else is but what it asks for, checks types and runs the
/// tests there; then again beside Stable-Baselines3.
pub fn run() -> Result<Outcome> {
    if let Err(reason) = python::system() {
        return Ok(Outcome::Skipped(reason));
    }
    let bare = python::install_file(BARE.0, BARE.1)?;
    let wheel = build(&bare)?;
    install(&bare, &wheel)?;
    process::run(in_package(&bare).args(["-m", "mypy", "--config-file", "pyproject.toml", "python/gbrl_rs"]))?;
    process::run(in_package(&bare).args(["-m", "pytest", "-q"]))?;
    let sb3 = python::install_file(SB3.0, SB3.1)?;
    install(&sb3, &wheel)?;
    process::run(in_package(&sb3).args(["-m", "pytest", "-q"]))?;
    Ok(Outcome::Passed)
}

/// A newly built wheel, for whoever wants it elsewhere.
pub fn wheel() -> Result<PathBuf> {
    build(&python::install_file(BARE.0, BARE.1)?)
}

/// The path of a newly built wheel.
fn build(python: &Path) -> Result<PathBuf> {
    let folder = workspace::target().join("wheels");
    // The only wheel there afterwards is the new one.
    let _ = fs::remove_dir_all(&folder);
    let mut maturin = process::command(python);
    maturin.args(["-m", "maturin", "build", "--release", "--locked", "--quiet", "--manifest-path"]);
    process::run(maturin.arg(format!("{PACKAGE}/Cargo.toml")).arg("--out").arg(&folder))?;
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let wheels: Vec<PathBuf> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    match wheels.as_slice() {
        [wheel] => Ok(wheel.clone()),
        _ => bail!("{}: expected one wheel, got {}", folder.display(), wheels.len()),
    }
}

fn install(python: &Path, wheel: &Path) -> Result<()> {
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall"];
    process::run(process::command(python).args(pip).arg(wheel))
}

/// A command in the package's folder. Its sources lie in `python/`, so what is imported is the installed wheel.
fn in_package(python: &Path) -> std::process::Command {
    let mut command = process::command(python);
    command.current_dir(workspace::root().join(PACKAGE));
    command
}
