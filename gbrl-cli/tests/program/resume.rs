//! A resumed run equals one that never stopped.

use std::fs;
use std::path::Path;

use super::{SMALL, run, train};

fn rows(folder: &Path, run: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join(run).join("metrics.csv")).unwrap();
    let times = ["time/fps", "time/time_elapsed", "time/cpu_elapsed"];
    let timeless = |line: &str| {
        let header = text.lines().next().unwrap().split(',');
        let cells = header.zip(line.split(',')).filter(|(name, _)| !times.contains(name));
        cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
    };
    text.lines().map(timeless).collect()
}

#[test]
fn twice_n_steps_equal_n_steps_and_n_resumed() {
    for edges in ["rollout", "step", "fixed"] {
        resume_in_the_middle(edges, 256);
    }
    resume_in_the_middle("rollout", 320);
}

fn resume_in_the_middle(edges: &str, eval_every: u64) {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("--set edges={edges} --set eval_every={eval_every} --set eval_episodes=2");
    let whole = train(folder.path(), &format!("{settings} --steps 1024 --out whole"));
    // The same run, stopped half way: schedules and config know the whole length.
    train(folder.path(), &format!("{settings} --steps 512 --out halves"));
    let rest = run(folder.path(), "train --resume halves --steps 1024 --json").json();
    for key in ["model_sha256", "steps", "n_trees", "train_return_mean", "train_episodes", "eval_return_mean"] {
        assert_eq!(whole[key], rest[key], "edges = {edges}: {key}");
    }
    assert_eq!(rows(folder.path(), "whole"), rows(folder.path(), "halves"));
    let states = |run: &str| fs::read(folder.path().join(run).join("states.safetensors")).unwrap();
    assert_eq!(states("whole"), states("halves"));
}

#[test]
fn a_run_that_was_killed_goes_on_from_its_last_checkpoint() {
    for bound in ["none", "16"] {
        go_on_after_896_steps(&format!("--set max_trees={bound}"));
    }
}

fn go_on_after_896_steps(more: &str) {
    let folder = tempfile::tempdir().unwrap();
    let settings = "--steps 1024 --set checkpoint_every=384 --set norm_obs=true --set policy_lr=lin_0.1";
    let settings = format!("{settings} {more}");
    let whole = train(folder.path(), &format!("{settings} --out whole"));
    train(folder.path(), &format!("{settings} --out killed"));
    // As if the power had failed after 896 steps: later files are gone, metrics are ahead of the checkpoint.
    for name in ["checkpoints/1024.gbrl", "model.gbrl", "states.safetensors", "curve.svg"] {
        fs::remove_file(folder.path().join("killed").join(name)).unwrap();
    }
    let metrics = folder.path().join("killed/metrics.csv");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, &text[..text.len() - 9]).unwrap();
    let rest = run(folder.path(), "train --resume killed --json").json();
    assert_eq!(whole["model_sha256"], rest["model_sha256"]);
    assert_eq!(rows(folder.path(), "whole"), rows(folder.path(), "killed"));
}

#[test]
fn a_run_that_was_killed_before_its_evaluation_is_evaluated() {
    // The last checkpoint is an interval's or the end's, and rows are written at each rollout.
    for more in ["checkpoint_every=0", "checkpoint_every=512", "checkpoint_every=512 --set max_trees=16"] {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!("--steps 1024 --set {more} --set norm_obs=true");
        let mut whole = train(folder.path(), &format!("{settings} --out run"));
        let file = |name: &str| fs::read(folder.path().join("run").join(name)).unwrap();
        let files = || ["model.gbrl", "config.toml", "curve.svg", "metrics.csv", "states.safetensors"].map(file);
        let before = files();
        for name in ["model.gbrl", "curve.svg", "states.safetensors"] {
            fs::remove_file(folder.path().join("run").join(name)).unwrap();
        }
        // Twice: evaluating does not use a run up.
        for _ in 0..2 {
            let mut rest = run(folder.path(), "train --resume run --json").json();
            assert!(rest["steps_per_s"].is_null() && rest["eval_return_mean"].is_f64());
            for key in ["wall_s", "cpu_s", "train_s", "steps_per_s", "peak_rss_mb"] {
                rest[key] = 0.into();
                whole[key] = 0.into();
            }
            assert_eq!(whole.to_string(), rest.to_string());
            assert!(before == files());
        }
        let page = run(folder.path(), "train --resume run").stdout;
        assert!(page.starts_with("CartPole-v1 trained for 1,024 steps before\n"), "{page}");
    }
}

#[test]
fn a_longer_run_that_was_killed_before_its_first_checkpoint_is_as_long_as_it_was_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let short = train(folder.path(), "--steps 512 --out run");
    let config = folder.path().join("run/config.toml");
    let asked = fs::read_to_string(&config).unwrap().replace("total_timesteps = 512", "total_timesteps = 1024");
    fs::write(&config, &asked).unwrap();
    // The steps that are done are evaluated where they are asked for.
    let done = run(folder.path(), "train --resume run --steps 512 --json").json();
    assert_eq!((&done["steps"], &done["model_sha256"]), (&512.into(), &short["model_sha256"]));
    fs::write(&config, &asked).unwrap();
    let rest = run(folder.path(), "train --resume run --json").json();
    assert_eq!((&rest["steps"], fs::read_to_string(&config).unwrap()), (&1024.into(), asked));
    fs::write(&config, "total_timesteps = ").unwrap();
    let ran = run(folder.path(), "train --resume run");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.starts_with("error: run/config.toml: line 1: expected `setting = value` lines"),
        "{}",
        ran.stderr
    );
}

/// Whose sample of states is JSON, from before it had blobs of its own.
#[test]
fn a_checkpoint_of_an_earlier_version_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint-states-in-json");
    fs::create_dir_all(folder.path().join("old/checkpoints")).unwrap();
    fs::copy(data.with_extension("gbrl"), folder.path().join("old/checkpoints/64.gbrl")).unwrap();
    fs::copy(data.with_extension("toml"), folder.path().join("settings.toml")).unwrap();
    let rest = run(folder.path(), "train --resume old --steps 128 --json").json();
    let whole = run(folder.path(), "train CartPole-v1 --preset ./settings.toml --steps 128 --out new --json").json();
    for key in ["model_sha256", "train_return_mean", "eval_return_mean"] {
        assert_eq!(rest[key], whole[key], "{key}");
    }
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(bytes("old/states.safetensors"), bytes("new/states.safetensors"));
    let text = String::from_utf8_lossy(&bytes("old/checkpoints/128.gbrl")).into_owned();
    assert!(text.contains("blob.states.rows") && !text.contains("\"rows\":["));
}

#[test]
fn a_run_that_failed_goes_on_from_before_the_failure() {
    let folder = tempfile::tempdir().unwrap();
    // The first tree makes the value huge, the second would make it infinite.
    let huge = "--steps 512 --set batch_size=128 --set n_epochs=1 --set value_lr=1e30 --out failed";
    let ran = run(folder.path(), &format!("train CartPole-v1 {SMALL} {huge}"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
    for part in [
        "error: training failed after 256 steps: ",
        "expected a number within",
        "the first 128 steps are saved: `gbrl train --resume failed`",
    ] {
        assert!(ran.stderr.contains(part), "no '{part}' in {}", ran.stderr);
    }
    for name in ["model.gbrl", "checkpoints/128.gbrl", "metrics.csv", "curve.svg", "states.safetensors"] {
        assert!(folder.path().join("failed").join(name).is_file(), "{name} is missing");
    }
    assert_eq!(run(folder.path(), "eval failed --episodes 1").code, Some(0));
    let rest = run(folder.path(), "train --resume failed --set value_lr=0.05 --json").json();
    assert_eq!(rest["steps"], 512);
    assert_eq!(rows(folder.path(), "failed").len(), 1 + 4);
    let ran = run(folder.path(), &format!("train CartPole-v1 {SMALL} --set value_lr=1e37 --steps 512"));
    assert!(ran.stderr.starts_with("error: training failed after 128 steps: "), "{}", ran.stderr);
    assert!(!ran.stderr.contains("saved"), "{}", ran.stderr);
}
