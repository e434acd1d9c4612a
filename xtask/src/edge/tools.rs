//! What other programs the checks of exported policies need, and how they get onto a Debian machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::process;

/// A program, and Debian's package of it.
pub struct Tool {
    package: &'static str,
    /// Any of these will do.
    programs: &'static [&'static str],
}

pub const ARM_GCC: Tool = Tool { package: "gcc-arm-none-eabi", programs: &["arm-none-eabi-gcc"] };
const NEWLIB: Tool = Tool { package: "libnewlib-arm-none-eabi", programs: &[] };
const QEMU: Tool = Tool { package: "qemu-system-arm", programs: &["qemu-system-arm"] };
const CLANG: Tool = Tool { package: "clang", programs: &["clang"] };
const LLD: Tool = Tool { package: "lld", programs: &["wasm-ld"] };
const NODE: Tool = Tool { package: "nodejs", programs: &["node"] };
pub const BROWSER: Tool = Tool { package: "chromium", programs: &["chromium", "chromium-browser", "google-chrome"] };

/// For exported C on microcontrollers.
pub const ARM: &[Tool] = &[ARM_GCC, NEWLIB, QEMU];
/// For WebAssembly.
pub const WASM: &[Tool] = &[CLANG, LLD, NODE];
/// For the page.
pub const PAGE: &[Tool] = &[CLANG, LLD, NODE, BROWSER];

impl Tool {
    /// Where it is.
    pub fn find(&self) -> Option<PathBuf> {
        if self.package == NEWLIB.package {
            // A library: the compiler knows its path if it is there, else only its name.
            let path =
                process::output(process::command("arm-none-eabi-gcc").arg("-print-file-name=nano.specs")).ok()?;
            return Some(PathBuf::from(path.trim())).filter(|path| path.is_absolute());
        }
        self.programs.iter().find_map(|program| process::find(program))
    }
}

/// Installs what is missing of all tools where that is possible without asking anybody anything.
pub fn install() -> Result<()> {
    let mut wanted: Vec<&str> =
        [ARM, PAGE].into_iter().flatten().filter(|tool| tool.find().is_none()).map(|tool| tool.package).collect();
    wanted.dedup();
    let Some(mut apt) = apt(&["-qq", "update"]).filter(|_| !wanted.is_empty()) else { return Ok(()) };
    println!("installing {}", wanted.join(" "));
    // Packages that are missing because this failed are named by the steps that need them.
    if process::run(&mut apt).is_ok() {
        for package in wanted {
            let install = ["-qq", "install", "--yes", "--no-install-recommends", package];
            if let Some(mut apt) = apt_quietly(&install) {
                let _ = process::run(&mut apt);
            }
        }
    }
    Ok(())
}

/// What of `tools` is not there, as a sentence; nothing if all are.
pub fn missing(tools: &[Tool]) -> Option<String> {
    let missing: Vec<&str> = tools.iter().filter(|tool| tool.find().is_none()).map(|tool| tool.package).collect();
    (!missing.is_empty()).then(|| format!("install {}", missing.join(", ")))
}

fn apt_quietly(arguments: &[&str]) -> Option<Command> {
    let mut command = apt(arguments)?;
    command.stdout(std::process::Stdio::null());
    Some(command)
}

/// apt-get for root, or through sudo where that asks for no password.
fn apt(arguments: &[&str]) -> Option<Command> {
    process::find("apt-get")?;
    let is_root = process::output(process::command("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if is_root {
        process::command("apt-get")
    } else {
        process::output(process::command("sudo").args(["-n", "true"])).ok()?;
        let mut sudo = process::command("sudo");
        sudo.args(["-n", "--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
        sudo
    };
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    Some(command)
}
