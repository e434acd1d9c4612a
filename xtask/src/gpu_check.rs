//! `cargo xtask gpu-check`: one program that needs libc and a driver, checked to be so, and run where it was made; with the
//! Python package's wheel beside it, on demand.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{cuda_tests, process, python_tests, workspace};

/// Arguments of `cargo xtask gpu-check`.
#[derive(clap::Args)]
pub struct Args {
    /// Make the program and stop: target/gpu-check/gpu-check is to be copied to a machine with a GPU.
    #[arg(long)]
    no_run: bool,
    /// Run it on the stand-in device.
    #[arg(long)]
    standin: bool,
    /// Put the Python package's wheel beside the program, which then tests it too.
    #[arg(long)]
    wheel: bool,
    /// Arguments of the program: --quick, --device N, --threads N, --only PART, --cases N.
    #[arg(last = true)]
    program: Vec<String>,
}

/// The newest release of the C library that the program may ask for: Ubuntu 22.04's.
const LIBC: (u32, u32) = (2, 35);

/// Runs the command.
pub fn run(args: &Args) -> Result<()> {
    process::run(process::cargo().args(["build", "--release", "--package", "gbrl-cuda", "--example", "gpu_check"]))?;
    let folder = workspace::target().join("gpu-check");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    if args.wheel {
        let wheel = python_tests::wheel()?;
        fs::copy(&wheel, folder.join(wheel.file_name().context("a wheel has a name")?))?;
    }
    let program = folder.join("gpu-check");
    fs::copy(workspace::target().join("release/examples/gpu_check"), &program)?;
    let wanted = newest_libc(&fs::read(&program)?);
    println!("{} asks for glibc {}.{}", program.display(), wanted.0, wanted.1);
    if wanted > LIBC {
        bail!("that is newer than {}.{}: build on an older system", LIBC.0, LIBC.1);
    }
    if args.no_run {
        return Ok(());
    }
    let mut command = process::command(&program);
    if args.standin {
        let compiler = process::find("g++").context("no g++ on this machine: install g++")?;
        command.env("LD_LIBRARY_PATH", cuda_tests::build(&compiler, "standin", &[])?);
    }
    process::run(command.args(&args.program))
}

/// The newest GLIBC_x.y that stands in a program: its dynamic symbols' versions.
fn newest_libc(program: &[u8]) -> (u32, u32) {
    const NAME: &[u8] = b"GLIBC_";
    let version = |at: usize| {
        let text: String = program[at + NAME.len()..]
            .iter()
            .take(8)
            .map(|&b| b as char)
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    let places = program.windows(NAME.len()).enumerate().filter(|(_, bytes)| *bytes == NAME);
    places.map(|(at, _)| version(at)).max().unwrap_or((0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_counts() {
        assert_eq!(newest_libc(b"\0GLIBC_2.9\0GLIBC_2.34\0GLIBC_2.4\0"), (2, 34));
        assert_eq!(newest_libc(b"none"), (0, 0));
    }
}
