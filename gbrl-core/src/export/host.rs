//! Runs exported C on this machine, through its own compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::form::{EdgeHead, EdgePolicy};
use super::vector::{Outputs, Rows};
use super::{Artefact, Details};
use crate::error::{Error, Result};

/// What every exported file has to compile with.
pub const FLAGS: [&str; 7] = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off"];
/// What decides on rows that it reads from a file.
const HARNESS: &str = include_str!("c/harness.c");

/// A C compiler of this machine.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: PathBuf,
    flags: Vec<String>,
}

impl Compiler {
    /// The one that the variable CC names, else cc, gcc or clang; `None` where there is none.
    pub fn find() -> Option<Self> {
        let named = std::env::var_os("CC").map(PathBuf::from);
        let names = named.into_iter().chain(["cc", "gcc", "clang"].map(PathBuf::from));
        let works =
            |program: &PathBuf| Command::new(program).arg("--version").output().is_ok_and(|run| run.status.success());
        let flags = FLAGS.map(str::to_owned).to_vec();
        names.into_iter().find(works).map(|program| Compiler { program, flags })
    }

    /// The same with more flags.
    pub fn with(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// What an artefact in C, or the interpreter beside a loadable one, says about rows, after its own test.
    ///
    /// # Errors
    /// Class `Device` when it does not compile, or fails its test; class `Io` without a place for temporary files.
    pub fn run(&self, policy: &EdgePolicy, details: &Details, artefact: &Artefact, rows: &Rows) -> Result<Outputs> {
        let folder = tempfile::tempdir().map_err(|error| Error::file(std::env::temp_dir(), error))?;
        let at = |name: &str| folder.path().join(name);
        for (name, content) in &artefact.files {
            write(&at(name), content)?;
        }
        write(&at("harness.c"), HARNESS.as_bytes())?;
        let loadable = artefact.files.iter().find(|(name, _)| name.ends_with(".gbe"));
        let mut compile = self.compile();
        compile.current_dir(folder.path()).arg("harness.c");
        compile.args(artefact.files.iter().map(|(name, _)| name).filter(|name| name.ends_with(".c")));
        if loadable.is_none() {
            compile.args(defines(policy, details));
        }
        self.must_succeed(compile.args(["-o", "harness"]), "compiling the exported C")?;
        write(&at("rows"), &to_bytes(policy, rows))?;
        let mut run = Command::new(at("harness"));
        run.current_dir(folder.path()).args(["rows", "outputs"]).args(loadable.map(|(name, _)| name));
        self.must_succeed(&mut run, "running the exported C")?;
        let path = at("outputs");
        let bytes = std::fs::read(&path).map_err(|error| Error::file(&path, error))?;
        from_bytes(policy, &bytes)
    }

    /// A command with the flags.
    pub fn compile(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.flags);
        command
    }

    fn must_succeed(&self, command: &mut Command, operation: &'static str) -> Result<()> {
        let device = || self.program.display().to_string();
        let run = command.output().map_err(|error| Error::device(device(), operation, error))?;
        if run.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&run.stderr);
        let said: Vec<&str> = said.lines().take(20).collect();
        Err(Error::device(device(), operation, format!("{}: {}", run.status, said.join("\n"))))
    }
}

/// What turns a program around exported C into one for this policy.
pub fn defines(policy: &EdgePolicy, details: &Details) -> Vec<String> {
    let is_box = matches!(policy.head, EdgeHead::Box(_) | EdgeHead::SquashedBox(_));
    let mut defines = vec![format!("-DHEADER=\"{}.h\"", details.prefix)];
    for function in ["act", "logits", "value", "self_test"] {
        defines.push(format!("-D{}={}_{function}", function.to_uppercase(), details.prefix));
    }
    for size in ["N_FEATURES", "N_LOGITS", "ACTION_LEN", "MASK_LEN"] {
        defines.push(format!("-D{size}={}{size}", details.upper()));
    }
    defines.push(format!("-DIS_BOX={}", u8::from(is_box)));
    defines.push(format!("-DHAS_VALUE={}", u8::from(policy.has_value)));
    defines
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    std::fs::write(path, content).map_err(|error| Error::file(path, error))
}

/// Rows as the harness reads them, in this machine's order of bytes: how many, whether there are masks, then the rows.
pub fn to_bytes(policy: &EdgePolicy, rows: &Rows) -> Vec<u8> {
    let flags = if rows.masks.is_empty() { 0 } else { policy.mask_len() };
    let n_rows = rows.observations.len() / policy.n_features;
    let mut out = Vec::with_capacity(8 + rows.observations.len() * 4 + rows.masks.len());
    out.extend((n_rows as u32).to_ne_bytes());
    out.extend(u32::from(flags > 0).to_ne_bytes());
    for (i, row) in rows.observations.chunks_exact(policy.n_features).enumerate() {
        out.extend(row.iter().flat_map(|x| x.to_ne_bytes()));
        out.extend(rows.masks[i * flags..][..flags].iter().map(|&allowed| u8::from(allowed)));
    }
    out
}

/// Outputs as the harness writes them: action, logits and value of each row.
///
/// # Errors
/// Class `Format` for a wrong length.
pub fn from_bytes(policy: &EdgePolicy, bytes: &[u8]) -> Result<Outputs> {
    let is_box = matches!(policy.head, EdgeHead::Box(_) | EdgeHead::SquashedBox(_));
    let (n_action, n_logits) = (policy.action_len(), policy.n_logits);
    let width = 4 * (n_action + n_logits + usize::from(policy.has_value));
    if !bytes.len().is_multiple_of(width) {
        return Err(Error::format(
            "outputs of the exported policy",
            "length",
            format!("rows of {width} bytes"),
            bytes.len(),
        ));
    }
    let mut out = Outputs::default();
    for row in bytes.chunks_exact(width) {
        let word = |i: usize| [row[4 * i], row[4 * i + 1], row[4 * i + 2], row[4 * i + 3]];
        out.actions.extend((0..n_action).map(|i| match is_box {
            true => f64::from(f32::from_ne_bytes(word(i))),
            false => f64::from(i32::from_ne_bytes(word(i))),
        }));
        out.logits.extend((n_action..n_action + n_logits).map(|i| f32::from_ne_bytes(word(i))));
        if policy.has_value {
            out.values.push(f32::from_ne_bytes(word(n_action + n_logits)));
        }
    }
    Ok(out)
}
