//! Virtual environments inside the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{process, workspace};

/// A python3 that can make virtual environments, or what to do about it.
pub fn system() -> Result<PathBuf, String> {
    let python = process::find("python3").ok_or("no python3 on this machine: install Python 3.10 or later")?;
    // Debian ships venv without ensurepip until python3-venv is installed.
    match process::output(process::command(&python).args(["-c", "import ensurepip, venv"])) {
        Ok(_) => Ok(python),
        Err(_) => Err("python3 cannot make virtual environments: install python3-venv".into()),
    }
}

/// The interpreter of the virtual environment `folder` (relative to the root), which is made if it does not exist.
pub fn environment(folder: &str) -> Result<PathBuf> {
    let folder = workspace::root().join(folder);
    let python = folder.join("bin/python");
    if !python.is_file() {
        let system = system().map_err(anyhow::Error::msg)?;
        process::run(process::command(system).args(["-m", "venv"]).arg(&folder))?;
    }
    Ok(python)
}

/// Installs this project's package, built from the sources as they are, whatever was there before.
pub fn install_own(python: &Path) -> Result<()> {
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", "./gbrl-py"];
    process::run(process::command(python).args(pip))
}

/// Installs what the file `requirements` (relative to the root) lists into `folder`, once per change of the file.
pub fn install_file(folder: &str, requirements: &str) -> Result<PathBuf> {
    let python = environment(folder)?;
    let wanted = std::fs::read_to_string(workspace::root().join(requirements))
        .with_context(|| format!("reading {requirements}"))?;
    let stamp = workspace::root().join(folder).join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    process::run(process::command(&python).args(["-m", "pip", "install", "--quiet", "-r", requirements]))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))?;
    Ok(python)
}
