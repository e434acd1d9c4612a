//! Where things lie in the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;

/// The folder of the workspace's Cargo.toml.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the workspace")
}

/// Where tools that the workspace needs are installed; ignored by git, never on anybody's PATH.
pub fn tools() -> PathBuf {
    root().join(".cache/tools")
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Paths, relative to the root and sorted, of the files that git tracks or would offer to add.
pub fn files() -> Result<Vec<PathBuf>> {
    let listed =
        process::output(process::command("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))
            .context("listing the workspace's files (is this a git checkout?)")?;
    let mut files: Vec<PathBuf> = listed.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    // A file deleted but not yet committed is still listed.
    files.retain(|path| root().join(path).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}

/// Folders of the workspace's members, in the order of Cargo.toml.
pub fn members() -> Result<Vec<String>> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).context("reading Cargo.toml")?;
    let manifest: toml::Table = manifest.parse().context("reading Cargo.toml")?;
    let members = manifest["workspace"]["members"].as_array().context("Cargo.toml: workspace.members is no list")?;
    Ok(members.iter().filter_map(|member| member.as_str().map(str::to_owned)).collect())
}
