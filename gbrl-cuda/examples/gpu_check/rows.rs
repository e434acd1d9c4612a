//! The table.

use std::error::Error;
use std::process::Command;

use gbrl_core::config::Device;
use gbrl_cuda::CudaBackend;
use gbrl_cuda::ceilings::Ceilings;

use crate::measure::{Shape, predict, step, update};
use crate::{Args, Skipped};

/// Levels of a default tree.
const LEVELS: f64 = 4.0;
/// Kernels launched for a tree: two before the first level, two for each. A test counts them.
const LAUNCHES: f64 = 2.0 + 2.0 * LEVELS;

/// Measures and prints every row.
pub fn run(args: &Args, skipped: &mut Skipped) -> Result<(), Box<dyn Error>> {
    let ceilings = Ceilings::measure(args.device, args.quick)?;
    println!(
        "Ceilings measured: {:.0} GB/s of memory, {:.1} billion shared-memory additions per second, {:.2} µs per launch.\n",
        ceilings.bytes / 1e9,
        ceilings.atomics / 1e9,
        1e6 / ceilings.launches
    );
    println!("Medians; a call ends when its results are back. Processor: {} threads.\n", args.threads);
    println!("| work | GPU | processor | ratio | largest floor | goal | met |\n|---|---|---|---|---|---|---|");
    let full = |n: usize, quick: usize| if args.quick { quick } else { n };
    let device = || CudaBackend::new(args.device);
    let met = |is_met| met(args, is_met);
    for (n_rows, n_features, n_outputs, goal) in
        [(4096, 24, 7, "≤ 150 µs"), (1 << 20, 24, 7, "≥ 30 × and ≥ 25 % of the floor"), (65_536, 128, 19, "≥ 40 ×")]
    {
        let shape = Shape { n_rows: full(n_rows, 64), n_features: full(n_features, 5), n_outputs: full(n_outputs, 3) };
        let ours = step(&shape, Some(device()?), args.threads, args.quick)?;
        let cpu = step(&shape, None, args.threads, args.quick)?;
        let (floor, which) = floor(&shape, &ceilings);
        let ratio = cpu / ours;
        let is_met = match n_rows {
            4096 => ours <= 150e-6,
            65_536 => ratio >= 40.0,
            _ => ratio >= 30.0 && floor / ours >= 0.25,
        };
        println!(
            "| boosting step, {} × {} × {} | {} | {} | {ratio:.1} × | {} of {which}, {:.0} % | {goal} | {} |",
            shape.n_rows,
            shape.n_features,
            shape.n_outputs,
            time(ours),
            time(cpu),
            time(floor),
            100.0 * floor / ours,
            met(is_met)
        );
    }
    let (n_rows, n_trees) = (full(8192, 64), full(640, 10));
    let ours = update(n_rows, n_trees, Device::Cuda(args.device), args.threads, args.quick)?;
    let cpu = update(n_rows, n_trees, Device::Cpu, args.threads, args.quick)?;
    println!(
        "| PPO update, {n_rows} rows, {n_trees} trees, 8 features, 5 outputs | {} | {} | {:.1} × | | ≤ 60 ms and faster | {} |",
        time(ours),
        time(cpu),
        cpu / ours,
        met(ours <= 0.06 && ours < cpu)
    );
    let (n_trees, n_rows) = (full(100_000, 40), full(4096, 40));
    let [ours, cpu] = predict(n_trees, n_rows, device()?, args.threads, args.quick)?;
    println!(
        "| prediction, {n_trees} trees × {n_rows} rows × 5 outputs | {} | {} | {:.1} × | | ≥ 30 × | {} |",
        time(ours),
        time(cpu),
        cpu / ours,
        met(cpu / ours >= 30.0)
    );
    against_gbrl(args, skipped)
}

/// The least time that a step can take by each ceiling, and the largest of them: its memory traffic, its additions to
/// histograms, its launches. Of every node but the root only the smaller half of the rows is summed.
fn floor(shape: &Shape, ceilings: &Ceilings) -> (f64, &'static str) {
    let (n, f, d) = (shape.n_rows as f64, shape.n_features as f64, shape.n_outputs as f64);
    let summed = 1.0 + (LEVELS - 1.0) / 2.0;
    let bytes = n * (3.0 * 4.0 * d + summed * (f + 4.0 * d + 4.0) + LEVELS * 9.0);
    let additions = n * f * (d + 1.0) * summed;
    let floors = [
        (bytes / ceilings.bytes, "memory"),
        (additions / ceilings.atomics, "additions"),
        (LAUNCHES / ceilings.launches, "launches"),
    ];
    floors.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, "nothing"))
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.2} ms", s * 1e3),
        s => format!("{s:.2} s"),
    }
}

/// gbrl's steps on the same card, where python3 has a gbrl that finds it. With `--quick` any gbrl will do, on the processor,
/// and without one the script is only compiled: so that it runs on the day.
fn against_gbrl(args: &Args, skipped: &mut Skipped) -> Result<(), Box<dyn Error>> {
    const SCRIPT: &str = include_str!("gbrl_gpu.py");
    let python = |code: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", code]);
        command
    };
    let succeeds = |code: &str| python(code).output().is_ok_and(|output| output.status.success());
    if !succeeds("") {
        skipped.add("the comparison with gbrl-gpu", "there is no python3");
        return Ok(());
    }
    let compiled = python("import sys; compile(sys.argv[1], 'gbrl_gpu.py', 'exec')").arg(SCRIPT).output()?;
    if !compiled.status.success() {
        return Err(format!("gbrl_gpu.py: {}", String::from_utf8_lossy(&compiled.stderr)).into());
    }
    let device = if args.quick { "cpu" } else { "cuda" };
    if !args.quick && !succeeds("import gbrl, sys; sys.exit(not gbrl.cuda_available())") {
        skipped.add("the comparison with gbrl-gpu", "python3 has no gbrl that finds a GPU: pip install gbrl-gpu");
        return Ok(());
    }
    if args.quick && !succeeds("import gbrl") {
        skipped.add("the comparison with gbrl-gpu", "python3 has no gbrl; the script compiles");
        return Ok(());
    }
    let full = [(512, 8, 5), (4096, 24, 7), (65_536, 24, 7), (65_536, 128, 19)];
    for (n_rows, n_features, n_outputs) in if args.quick { &[(64, 5, 3)][..] } else { &full[..] }.iter().copied() {
        let what = format!("gbrl-gpu, step of {n_rows} × {n_features} × {n_outputs}");
        let shape = [n_rows, n_features, n_outputs].map(|n| n.to_string());
        let output = python(SCRIPT).args(&shape).arg(device).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(theirs) = text.lines().last().and_then(|line| line.parse::<f64>().ok()) else {
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            if args.quick {
                return Err(format!("{what}: {errors}").into());
            }
            skipped.add(&what, errors.lines().last().unwrap_or("no answer"));
            continue;
        };
        let shape = Shape { n_rows, n_features, n_outputs };
        let ours = step(&shape, Some(CudaBackend::new(args.device)?), args.threads, args.quick)?;
        let ratio = theirs / ours;
        let (ours, theirs, met) = (time(ours), time(theirs), met(args, ratio >= 10.0));
        println!("| {what} | {ours} | {theirs} (gbrl-gpu) | {ratio:.1} × | | ≥ 10 × | {met} |");
    }
    Ok(())
}

fn met(args: &Args, met: bool) -> &'static str {
    match (args.quick, met) {
        (true, _) => "not measured",
        (false, true) => "yes",
        (false, false) => "**no**",
    }
}
