//! WebAssembly: the C form compiled by clang, and a module that loads it in a browser or in Node.js.

use std::path::Path;
use std::process::Command;

use super::c::C;
use super::form::{EdgeHead, EdgePolicy};
use super::host;
use super::vector::{Outputs, Rows};
use super::{Artefact, Details, Exporter};
use crate::error::{Error, Result};

const MODULE: &str = include_str!("c/wasm.c");
const STRING_H: &str = include_str!("c/string.h");
const LOADER: &str = include_str!("c/policy.mjs");
/// Decides on the rows of a file, as the harness in C does.
const RUNNER: &str = include_str!("c/run.mjs");
const FLAGS: [&str; 12] = [
    "--target=wasm32",
    "-std=c99",
    "-O2",
    "-ffp-contract=off",
    "-ffreestanding",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-I.",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
];

/// The exporter of `--format wasm`. It needs clang and lld.
#[derive(Clone, Copy, Debug)]
pub struct Wasm;

impl Exporter for Wasm {
    fn format(&self) -> &'static str {
        "wasm"
    }

    fn export(&self, policy: &EdgePolicy, details: &Details) -> Result<Artefact> {
        let prefix = &details.prefix;
        let folder = tempfile::tempdir().map_err(|error| Error::file(std::env::temp_dir(), error))?;
        let write = |name: &str, content: &[u8]| write(folder.path(), name, content);
        for (name, content) in C.export(policy, details)?.files {
            write(&name, &content)?;
        }
        write("module.c", MODULE.as_bytes())?;
        write("string.h", STRING_H.as_bytes())?;
        let mut clang = Command::new("clang");
        clang.current_dir(folder.path()).args(FLAGS).args(host::defines(policy, details));
        // Nothing needs more than a page or two of stack.
        clang.args(["-Wl,-z,stack-size=65536", "module.c", &format!("{prefix}.c"), "-o", "policy.wasm"]);
        succeed(&mut clang, "clang", "compiling for wasm32 (install clang and lld)")?;
        let path = folder.path().join("policy.wasm");
        let wasm = std::fs::read(&path).map_err(|error| Error::file(&path, error))?;
        let array = if is_box(policy) { "Float32Array" } else { "Int32Array" };
        let loader = LOADER
            .replace("ABOUT", &details.about)
            .replace("NAME", prefix)
            .replace("VALUE_ARRAY", array)
            .replace("VALUE_N_FEATURES", &policy.n_features.to_string())
            .replace("VALUE_N_LOGITS", &policy.n_logits.to_string())
            .replace("VALUE_ACTION_LEN", &policy.action_len().to_string())
            .replace("VALUE_MASK_LEN", &policy.mask_len().to_string());
        Ok(Artefact { files: vec![(format!("{prefix}.wasm"), wasm), (format!("{prefix}.mjs"), loader.into_bytes())] })
    }
}

/// Whether Node.js is there to run an artefact.
pub fn has_node() -> bool {
    Command::new("node").arg("--version").output().is_ok_and(|run| run.status.success())
}

/// What an artefact says about rows, run by Node.js after its own test.
///
/// # Errors
/// Class `Device` when Node.js is absent or the artefact fails.
pub fn run(policy: &EdgePolicy, details: &Details, artefact: &Artefact, rows: &Rows) -> Result<Outputs> {
    let folder = tempfile::tempdir().map_err(|error| Error::file(std::env::temp_dir(), error))?;
    for (name, content) in &artefact.files {
        write(folder.path(), name, content)?;
    }
    write(folder.path(), "run.mjs", RUNNER.as_bytes())?;
    write(folder.path(), "rows", &host::to_bytes(policy, rows))?;
    let mut node = Command::new("node");
    node.current_dir(folder.path()).args(["run.mjs", &details.prefix]).args(is_box(policy).then_some("box"));
    succeed(&mut node, "node", "running the exported module")?;
    let path = folder.path().join("outputs");
    let bytes = std::fs::read(&path).map_err(|error| Error::file(&path, error))?;
    host::from_bytes(policy, &bytes)
}

fn is_box(policy: &EdgePolicy) -> bool {
    matches!(policy.head, EdgeHead::Box(_) | EdgeHead::SquashedBox(_))
}

fn write(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = folder.join(name);
    std::fs::write(&path, content).map_err(|error| Error::file(&path, error))
}

fn succeed(command: &mut Command, device: &str, operation: &'static str) -> Result<()> {
    let run = command.output().map_err(|error| Error::device(device, operation, error))?;
    if run.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&run.stderr);
    let said: Vec<&str> = said.lines().take(20).collect();
    Err(Error::device(device, operation, format!("{}: {}", run.status, said.join("\n"))))
}
