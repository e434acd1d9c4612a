//! `cargo xtask kernels`: compiles the CUDA kernels for every architecture, without a GPU or an installed toolkit.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{process, python, workspace};

/// Packages that hold a working nvcc.
const COMPILER: (&str, &str) = (".venv-nvcc", "gbrl-cuda/kernels/requirements.txt");
/// Joined in this order; `gbrl-cuda/src/image.rs` joins the same.
const FILES: [&str; 10] =
    ["device", "math", "ceilings", "gradients", "histogram", "nodes", "score", "level", "minibatch", "predict"];
/// Compiled for these; PTX of the first is what later ones are made from by the driver.
const ARCHITECTURES: [u32; 7] = [75, 80, 86, 89, 90, 100, 120];

/// Compiles, and records what was compiled.
pub fn run() -> Result<()> {
    let python = python::install_file(COMPILER.0, COMPILER.1)?;
    let nvcc = find_nvcc(&python)?;
    let folder = workspace::root().join("gbrl-cuda/kernels");
    let read = |name: &str| {
        let path = folder.join(format!("{name}.cu"));
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    let source = FILES.iter().map(|name| read(name)).collect::<Result<String>>()?;
    let work = workspace::target().join("kernels");
    fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    let (joined, fatbin) = (work.join("kernels.cu"), folder.join("kernels.fatbin"));
    fs::write(&joined, &source).with_context(|| joined.display().to_string())?;
    let mut command = process::command(&nvcc);
    command.args(["-fatbin", "--fmad=false", "-O3", "-compress-mode=size", "-Xptxas", "-v"]);
    for arch in ARCHITECTURES {
        command.arg("-gencode").arg(format!("arch=compute_{arch},code=sm_{arch}"));
    }
    command.arg("-gencode").arg(format!("arch=compute_{0},code=compute_{0}", ARCHITECTURES[0]));
    let report = process::errors(command.arg("-o").arg(&fatbin).arg(&joined))?;
    let compiled = fs::read(&fatbin).with_context(|| fatbin.display().to_string())?;
    let version = process::output(process::command(&nvcc).arg("--version"))?;
    let record = folder.join("kernels.toml");
    fs::write(&record, describe(&source, &compiled, &version, &report))
        .with_context(|| record.display().to_string())?;
    println!("{} bytes for sm_{ARCHITECTURES:?} and PTX", compiled.len());
    Ok(())
}

fn find_nvcc(python: &Path) -> Result<PathBuf> {
    let code =
        "import nvidia, pathlib; print(*[p for f in nvidia.__path__ for p in pathlib.Path(f).glob('*/bin/nvcc')])";
    let found = process::output(process::command(python).args(["-c", code]))?;
    Ok(found.split_whitespace().next().context("no nvcc among the packages")?.into())
}

/// SHA-256 in hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The record that the tests compare: hashes, the compiler, and what ptxas says of every kernel, the most of any
/// architecture.
fn describe(source: &str, compiled: &[u8], version: &str, report: &str) -> String {
    let release = version.lines().find(|line| line.contains("release")).unwrap_or_default();
    let mut text = String::from("# Written by `cargo xtask kernels`; a test compares the hashes.\n\n");
    let _ = writeln!(text, "source_sha256 = \"{}\"", hash(source.as_bytes()));
    let _ = writeln!(text, "fatbin_sha256 = \"{}\"", hash(compiled));
    let _ = writeln!(text, "compiler = \"{}\"", release.trim());
    let _ = writeln!(text, "architectures = {ARCHITECTURES:?}");
    for (name, [registers, shared, spilled]) in resources(report) {
        let _ = writeln!(text, "\n[kernels.{name}]\nregisters = {registers}\nshared_bytes = {shared}");
        let _ = writeln!(text, "spilled_bytes = {spilled}");
    }
    text
}

/// Registers, shared bytes and spilled bytes of each kernel, from ptxas's report.
fn resources(report: &str) -> BTreeMap<String, [u64; 3]> {
    let mut most: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    let mut kernel = String::new();
    for line in report.lines() {
        if let Some(rest) = line.split_once("Compiling entry function '").map(|(_, rest)| rest) {
            kernel = rest.split('\'').next().unwrap_or_default().to_owned();
        }
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let before = |unit: &[&str]| {
            let at = words.windows(unit.len()).position(|window| window == unit)?;
            words.get(at.checked_sub(1)?)?.parse::<u64>().ok()
        };
        let entry = most.entry(kernel.clone()).or_default();
        for (i, unit) in [&["registers"][..], &["bytes", "smem"], &["bytes", "spill", "stores"]].iter().enumerate() {
            entry[i] = entry[i].max(before(unit).unwrap_or(0));
        }
    }
    most.remove("");
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_report() {
        let report = "ptxas info    : Compiling entry function 'score' for 'sm_80'\n\
                      ptxas info    : Function properties for score\n\
                      \x20   0 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads\n\
                      ptxas info    : Used 72 registers, used 1 barriers, 30720 bytes smem\n\
                      ptxas info    : Compiling entry function 'score' for 'sm_90'\n\
                      ptxas info    : Used 64 registers, used 1 barriers, 30720 bytes smem\n";
        assert_eq!(resources(report), BTreeMap::from([("score".to_owned(), [72, 30720, 8])]));
    }
}
