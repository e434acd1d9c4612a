//! WebAssembly: the C form compiled by clang, and a module that loads it in a browser or in Node.js.

use std::process::Command;

use super::c::C;
use super::form::EdgePolicy;
use super::program::{Folder, Program};
use super::{Artefact, Details, Exporter, host};
use crate::error::Result;

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
        let folder = Folder::new(Some(&C.export(policy, details)?))?;
        folder.write("module.c", MODULE)?;
        folder.write("string.h", STRING_H)?;
        let mut clang = Command::new("clang");
        clang.args(FLAGS).args(host::defines(policy, details));
        // Nothing needs more than a page or two of stack.
        clang.args(["-Wl,-z,stack-size=65536", "module.c", &format!("{prefix}.c"), "-o", "policy.wasm"]);
        folder.run(&mut clang, "compiling for wasm32 (install clang and lld)")?;
        let wasm = folder.read("policy.wasm")?;
        let array = if policy.is_box() { "Float32Array" } else { "Int32Array" };
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

/// A program around an artefact, for Node.js.
///
/// # Errors
/// Class `Io` without a place for temporary files.
pub fn program(policy: &EdgePolicy, details: &Details, artefact: &Artefact) -> Result<Program> {
    let folder = Folder::new(Some(artefact))?;
    folder.write("run.mjs", RUNNER)?;
    let mut arguments = vec!["run.mjs".to_owned(), details.prefix.clone()];
    arguments.extend(policy.is_box().then(|| "box".to_owned()));
    Ok(Program::new(folder, "node", arguments))
}
