//! The circumstances of a measurement.

use std::collections::BTreeMap;

use anyhow::Result;

use super::results::Circumstances;
use crate::{budgets, process};

/// As they are now.
pub fn circumstances(quick: bool, command: &str, peers: BTreeMap<String, String>) -> Result<Circumstances> {
    Ok(Circumstances {
        date: process::output(process::command("date").args(["-u", "+%Y-%m-%d"]))?.trim().to_owned(),
        processor: processor(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        load: load(),
        simd: std::env::var("GBRL_SIMD").unwrap_or_else(|_| widest_simd().to_owned()),
        rustc: budgets::rustc_version()?,
        commit: process::output(process::command("git").args(["describe", "--always", "--dirty"]))?.trim().to_owned(),
        command: command.to_owned(),
        quick,
        peers,
    })
}

fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    model.unwrap_or("unknown processor").to_owned()
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// The levels that gbrl-core chooses from, by the same names.
fn widest_simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        let avx512 = std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512bw");
        if avx512 {
            return "avx512";
        }
        if std::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    if cfg!(target_arch = "aarch64") { "neon" } else { "portable" }
}
