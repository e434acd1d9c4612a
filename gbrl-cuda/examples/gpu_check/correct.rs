//! Equality to the bit: trees with the oracle's, outputs and whole runs with the processor's.

use std::cell::RefCell;
use std::error::Error;

use gbrl_core::config::{Device, GrowPolicy, Settings, SplitScore};
use gbrl_core::io::model;
use gbrl_core::rl::algo::Trainer;
use gbrl_core::rl::event::Control;
use gbrl_core::rng::Stream;
use gbrl_cuda::CudaBackend;
use proptest::test_runner::{Config, TestRunner};

use crate::Args;
use crate::case::{case, large};
use crate::measure::{Shape, booster, normal};

/// Runs all checks and prints what held.
pub fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    trees(args)?;
    outputs(args)?;
    runs(args)
}

fn trees(args: &Args) -> Result<(), Box<dyn Error>> {
    let cases = args.cases.unwrap_or(if args.quick { 20 } else { 300 });
    let backend = RefCell::new(CudaBackend::new(args.device)?);
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(&case(), |case| {
        let (data, expected) = case.expected();
        case.check(&data, &expected, &mut *backend.borrow_mut(), "the device");
        Ok(())
    })?;
    let n_rows = if args.quick { 200 } else { 1500 };
    for policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        for n_outputs in [1, 7, 20] {
            let case = large(n_rows, n_outputs, policy);
            let (data, expected) = case.expected();
            case.check(&data, &expected, &mut *backend.borrow_mut(), "the device");
        }
    }
    println!("* {} trees of random shape equal the oracle's to the bit", cases + 9);
    Ok(())
}

fn outputs(args: &Args) -> Result<(), Box<dyn Error>> {
    let (n_trees, n_rows) = if args.quick { (20, 40) } else { (500, 3000) };
    let mut stream = Stream::new(1, "gpu-check", 0);
    for policy in [GrowPolicy::Oblivious, GrowPolicy::Depthwise, GrowPolicy::Bestfirst] {
        for score in [SplitScore::Cosine, SplitScore::L2] {
            let shape = Shape { n_rows, n_features: 9, n_outputs: 11 };
            let device = CudaBackend::new(args.device)?.predicting_from(0);
            let mut boosters = [
                booster(&shape, policy, score, Some(device), args.threads)?,
                booster(&shape, policy, score, None, args.threads)?,
            ];
            let (x, rows) = (normal(&mut stream, n_rows * 9), (0..n_rows as u32).collect::<Vec<_>>());
            let mut outputs = Vec::new();
            let gradients: Vec<Vec<f32>> = (0..n_trees).map(|_| normal(&mut stream, n_rows * 11)).collect();
            for booster in &mut boosters {
                let mut data = booster.dataset();
                booster.append(&mut data, &x, 0..0, &mut [])?;
                booster.complete(&mut data)?;
                for gradients in &gradients {
                    booster.step(&mut data, &rows, gradients)?;
                }
                let mut out = vec![0.0; n_rows * 11];
                booster.predict(&x, 0..11, &mut out)?;
                outputs.push(out.into_iter().map(f32::to_bits).collect::<Vec<_>>());
            }
            if outputs[0] != outputs[1] || boosters[0].ensemble() != boosters[1].ensemble() {
                return Err(format!("{policy:?}, {score:?}: the device's outputs differ from the processor's").into());
            }
        }
    }
    println!("* models and outputs of {n_trees} trees equal the processor's to the bit, in 6 kinds");
    Ok(())
}

fn runs(args: &Args) -> Result<(), Box<dyn Error>> {
    let steps = if args.quick { "256" } else { "8192" };
    for env in ["CartPole-v1", "Pendulum-v1", "FrozenLake-v1"] {
        let mut models = Vec::new();
        for device in [Device::Cuda(args.device), Device::Cpu] {
            let mut settings = Settings::default();
            for (key, value) in [
                ("n_envs", "4"),
                ("n_steps", "32"),
                ("batch_size", "64"),
                ("n_epochs", "2"),
                ("total_timesteps", steps),
            ] {
                settings.set(key, value)?;
            }
            let envs = (0..4).map(|_| envs::make(env)).collect::<Result<_, _>>()?;
            let mut trainer = Trainer::new_on(&gbrl_cuda::backend(device), envs, &settings)?;
            trainer.train(&mut |_| Control::Continue)?;
            models.push(model::to_bytes(trainer.model()?)?);
        }
        if models[0] != models[1] {
            return Err(format!("{env}: the device's run leaves another model than the processor's").into());
        }
    }
    println!("* runs of {steps} steps on 3 environments leave the processor's models behind, byte for byte");
    Ok(())
}
