//! What a run leaves behind.

use std::fs;
use std::path::Path;

use super::{SMALL, run, train};

#[test]
fn a_run_leaves_all_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let result = train(folder.path(), "--steps 1024 --seed 7 --set checkpoint_every=512 --set eval_every=512");
    for key in [
        "env",
        "algo",
        "seed",
        "steps",
        "wall_s",
        #[cfg(target_os = "linux")]
        "cpu_s",
        "train_return_mean",
        "eval_return_mean",
        "eval_return_std",
        "eval_episodes",
        "n_trees",
        "peak_rss_mb",
        "model",
        "model_sha256",
    ] {
        assert!(!result[key].is_null(), "{key} is missing in {result}");
    }
    assert_eq!((&result["env"], &result["algo"], &result["seed"]), (&"CartPole-v1".into(), &"ppo".into(), &7.into()));
    assert_eq!((&result["steps"], &result["eval_episodes"]), (&1024.into(), &100.into()));
    // 8 rollouts of 128 rows, 4 minibatches, 2 passes.
    assert_eq!(result["n_trees"], 64);
    let run = folder.path().join("runs/CartPole-v1/ppo-default-6-changes-seed7");
    assert_eq!(folder.path().join(result["model"].as_str().unwrap()), run.join("model.gbrl"));
    let mut names: Vec<String> =
        fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let events = names.remove(4);
    assert_eq!(
        names,
        [".lock", "checkpoints", "config.toml", "curve.svg", "metrics.csv", "model.gbrl", "states.safetensors"]
    );
    assert!(events.starts_with("events.out.tfevents."), "{events}");
    assert!(run.join("checkpoints/512.gbrl").is_file() && run.join("checkpoints/1024.gbrl").is_file());
    let metrics = fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert_eq!(metrics.lines().count(), 1 + 8);
    assert!(metrics.starts_with("time/total_timesteps,rollout/ep_rew_mean,rollout/ep_len_mean,"));
    if cfg!(target_os = "linux") {
        let seconds = result["cpu_s"].as_f64().unwrap();
        let column = metrics.lines().next().unwrap().split(',').position(|name| name == "time/cpu_elapsed").unwrap();
        let rows = metrics.lines().skip(1).map(|line| line.split(',').nth(column).unwrap().parse::<f64>().unwrap());
        let rows: Vec<f64> = rows.collect();
        assert!(rows.is_sorted() && rows[0] > 0.0 && rows[7] < seconds, "{rows:?} {seconds}");
    }
    let states = fs::read(run.join("states.safetensors")).unwrap();
    let states = safetensors::SafeTensors::deserialize(&states).unwrap();
    assert_eq!(states.tensor("observations").unwrap().shape()[1], 4);
    assert!(fs::read_to_string(run.join("curve.svg")).unwrap().contains("PPO on CartPole-v1"));
}

#[test]
fn a_seed_fixes_the_model_whatever_the_threads_and_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let one = train(folder.path(), "--steps 512 --threads 1 --out a/b/c");
    let two = train(folder.path(), "--steps 512 --threads 2");
    let other = train(folder.path(), "--steps 512 --seed 1");
    assert_eq!(one["model_sha256"], two["model_sha256"]);
    assert_ne!(one["model_sha256"], other["model_sha256"]);
    let text = |path: &str| fs::read(folder.path().join(path).join("states.safetensors")).unwrap();
    assert_eq!(text("a/b/c"), text("runs/CartPole-v1/ppo-default-6-changes-seed0"));
}

#[test]
fn a_run_can_be_repeated_from_its_config() {
    let folder = tempfile::tempdir().unwrap();
    let first = train(folder.path(), "--steps 512 --seed 3 --set policy_lr=lin_0.1 --set max_depth=3 --out first");
    assert_eq!(
        first["changes"],
        serde_json::json!({"max_depth": "3", "n_envs": "2", "n_steps": "64", "batch_size": "32", "n_epochs": "2",
            "policy_lr": "linear:0.1:0", "value_lr": "0.05"})
    );
    let again = run(folder.path(), "train CartPole-v1 --preset first/config.toml --json").json();
    assert_eq!(first["model_sha256"], again["model_sha256"]);
    assert_eq!(again["run"], "runs/CartPole-v1/ppo-config-seed3");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = ["--out mine", "--out mine", "", ""]
        .iter()
        .map(|out| train(folder.path(), &format!("--steps 128 {out}"))["run"].as_str().unwrap().to_owned())
        .collect();
    let default = "runs/CartPole-v1/ppo-default-6-changes-seed0";
    assert_eq!(names, ["mine", "mine-2", default, &format!("{default}-2")]);
}

#[test]
fn the_summary_says_what_was_done_and_what_can_be_done() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &format!("train CartPole-v1 --steps 512 {SMALL}"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "a bar without a terminal");
    for part in [
        "CartPole-v1 trained for 512 steps",
        "evaluation",
        "± ",
        "over 100 episodes",
        "trees",
        "runs/CartPole-v1/ppo-default-6-changes-seed0",
        "Next:",
        " eval ",
        " show ",
        "train --resume",
        "schedules stretch to the new total",
    ] {
        assert!(ran.stdout.contains(part), "no '{part}' in {}", ran.stdout);
    }
    let quiet = run(folder.path(), &format!("train CartPole-v1 --steps 512 {SMALL} --quiet"));
    assert_eq!((quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()), (Some(0), "", ""));
}

#[test]
fn every_environment_can_be_trained_on() {
    let folder = tempfile::tempdir().unwrap();
    for env in envs::ids() {
        let result = run(folder.path(), &format!("train {env} --steps 256 {SMALL} --json")).json();
        assert_eq!(result["env"], env);
        // JSON has no NaN and no infinity: what is a number there is finite.
        for key in ["eval_return_mean", "eval_return_std"] {
            assert!(result[key].is_f64(), "{env}: {key} is {}", result[key]);
        }
        let saved = result["run"].as_str().unwrap();
        let played = run(folder.path(), &format!("eval {saved} --json")).json();
        assert_eq!(played["eval_return_mean"], result["eval_return_mean"], "{env}: the saved policy is another");
        assert_eq!(run(folder.path(), &format!("show {saved}")).code, Some(0), "{env}");
    }
}

/// The steps of the rows of metrics.csv that hold an evaluation.
fn evaluated(run: &Path) -> Vec<u64> {
    let text = fs::read_to_string(run.join("metrics.csv")).unwrap();
    let column = text.lines().next().unwrap().split(',').position(|name| name == "eval/mean_reward").unwrap();
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    rows.filter(|row| !row[column].is_empty()).map(|row| row[0].parse().unwrap()).collect()
}

#[test]
fn evaluations_stand_in_the_rows_of_their_steps() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 1024 --set eval_every=256 --set eval_episodes=2 --out often");
    assert_eq!(evaluated(&folder.path().join("often")), [256, 512, 768, 1024]);
    // So many rollouts that only every third has a row.
    let tiny = "--n-envs 1 --set n_steps=1 --set n_epochs=1 --set max_depth=1 --set eval_every=1000 --steps 8002";
    let rare = run(folder.path(), &format!("train CartPole-v1 {tiny} --set eval_episodes=1 --json --out rare"));
    assert_eq!(rare.code, Some(0), "{}", rare.stderr);
    let steps: Vec<u64> = (1..=8).map(|i| 1000 * i).collect();
    assert_eq!(evaluated(&folder.path().join("rare")), steps);
}

#[test]
fn a_number_of_steps_is_written_as_one_likes() {
    let folder = tempfile::tempdir().unwrap();
    let steps = |args: &str| train(folder.path(), args)["steps"].clone();
    assert_eq!((steps("--steps 2.56e2"), steps("--steps 2_56"), steps("--set total_timesteps=2.56e2")), {
        let number = || serde_json::Value::from(256);
        (number(), number(), number())
    });
}
