//! The CUDA backend on a stand-in for the device: the kernels themselves, compiled for the processor.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::steps::Outcome;
use crate::{process, workspace};

const FILES: [&str; 2] = ["gbrl-cuda/standin/cuda.cpp", "gbrl-cuda/standin/fibers.cpp"];

/// Runs the backend's tests on the stand-in, and again, fewer of them, under AddressSanitizer with threads in another
/// order.
pub fn run() -> Result<Outcome> {
    let Some(compiler) = process::find("g++") else {
        return Ok(Outcome::Skipped("no g++ on this machine: install g++".into()));
    };
    let plain = build(&compiler, "standin", &[])?;
    let sanitized = build(&compiler, "standin-asan", &["-fsanitize=address"])?;
    // As any machine without a GPU has it: nothing to call, and the tests say so.
    test(&[])?;
    let folder = plain.display().to_string();
    test(&[("LD_LIBRARY_PATH", &folder), ("GBRL_REQUIRE_CUDA", "1")])?;
    let sanitizer = process::output(process::command(&compiler).arg("-print-file-name=libasan.so"))?;
    let folder = sanitized.display().to_string();
    test(&[
        ("LD_LIBRARY_PATH", &folder),
        ("GBRL_TEST_PRELOAD", sanitizer.trim()),
        ("ASAN_OPTIONS", "detect_leaks=0"),
        ("GBRL_STANDIN_SEED", "7"),
        ("GBRL_TEST_CASES", "20"),
        ("GBRL_REQUIRE_CUDA", "1"),
    ])?;
    // The program that measures on a GPU, so that it runs on the day. From the tests' profile: what it prints means nothing here.
    process::run(
        process::cargo()
            .args(["run", "--package", "gbrl-cuda", "--locked", "--quiet", "--example", "gpu_check", "--", "--quick"])
            .env("LD_LIBRARY_PATH", plain),
    )?;
    Ok(Outcome::Passed)
}

/// The folder with the stand-in library.
pub fn build(compiler: &std::path::Path, name: &str, more: &[&str]) -> Result<PathBuf> {
    let folder = workspace::target().join(name);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut command = process::command(compiler);
    command.args(["-std=c++17", "-O1", "-g", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-soname,libcuda.so.1"]);
    // No contraction: one rounding per operation, as on the device.
    command.args(["-ffp-contract=off", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-unused", "-Wno-clobbered"]);
    command.args(more).args(FILES).arg("-o").arg(folder.join("libcuda.so.1"));
    process::run(&mut command)?;
    Ok(folder)
}

fn test(variables: &[(&str, &str)]) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["test", "--package", "gbrl-cuda", "--locked", "--quiet"]);
    for (name, value) in variables {
        match *name {
            // The sanitizer must be the first library of the tests, and of nothing else.
            "GBRL_TEST_PRELOAD" => {
                cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", format!("env LD_PRELOAD={value}"))
            }
            _ => cargo.env(name, value),
        };
    }
    process::run(&mut cargo)
}
