//! Exported C, compiled by this machine's own compiler.

use std::path::PathBuf;
use std::process::Command;

use super::form::EdgePolicy;
use super::program::{Folder, Program};
use super::{Artefact, Details};
use crate::error::Result;

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

    /// A program around an artefact in C, or around a loadable one and its interpreter.
    ///
    /// # Errors
    /// Class `Device` when it does not compile; class `Io` without a place for temporary files.
    pub fn program(&self, policy: &EdgePolicy, details: &Details, artefact: &Artefact) -> Result<Program> {
        let folder = Folder::new(Some(artefact))?;
        folder.write("harness.c", HARNESS)?;
        let names = || artefact.files.iter().map(|(name, _)| name);
        let loadable = names().find(|name| name.ends_with(".gbe"));
        let mut compile = self.compile();
        compile.arg("harness.c").args(names().filter(|name| name.ends_with(".c")));
        if loadable.is_none() {
            compile.args(defines(policy, details));
        }
        folder.run(compile.args(["-o", "harness"]), "compiling the exported C")?;
        let arguments = ["rows", "outputs"].map(str::to_owned).into_iter().chain(loadable.cloned()).collect();
        let program = folder.path().join("harness");
        Ok(Program::new(folder, program, arguments))
    }

    /// A command with the flags.
    pub fn compile(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.flags);
        command
    }
}

/// What turns a program around exported C into one for this policy.
pub fn defines(policy: &EdgePolicy, details: &Details) -> Vec<String> {
    let mut defines = vec![format!("-DHEADER=\"{}.h\"", details.prefix)];
    for function in ["act", "logits", "value", "self_test"] {
        defines.push(format!("-D{}={}_{function}", function.to_uppercase(), details.prefix));
    }
    for size in ["N_FEATURES", "N_LOGITS", "ACTION_LEN", "MASK_LEN"] {
        defines.push(format!("-D{size}={}{size}", details.upper()));
    }
    defines.push(format!("-DIS_BOX={}", u8::from(policy.is_box())));
    defines.push(format!("-DHAS_VALUE={}", u8::from(policy.has_value)));
    defines
}
