//! A2C and AWR from the command line: trained, resumed, shown, their settings read again.

use super::{Ran, run};

/// Small rollouts of each.
const SMALL: [(&str, &str); 2] = [
    ("a2c", "--n-envs 4 --set n_steps=16"),
    (
        "awr",
        "--n-envs 2 --set n_steps=64 --set buffer_size=400 --set value_updates=3 --set policy_updates=4 \
         --set policy_batch_size=100 --set value_batch_size=1000",
    ),
];

#[test]
fn a_resumed_run_equals_one_that_never_stopped() {
    for (algo, small) in SMALL {
        let folder = tempfile::tempdir().unwrap();
        let train = |steps, out| {
            let args = format!("train CartPole-v1 --algo {algo} {small} --set policy_lr=0.1 --set value_lr=0.1");
            run(folder.path(), &format!("{args} --steps {steps} --json --out {out}")).json()
        };
        let (whole, _) = (train(2048, "whole"), train(1024, "halves"));
        assert_eq!(whole["algo"], algo);
        let rest = run(folder.path(), "train --resume halves --steps 2048 --json").json();
        for key in ["algo", "model_sha256", "n_trees", "train_return_mean", "eval_return_mean"] {
            assert_eq!(whole[key], rest[key], "{algo}: {key}");
        }
        let curve = std::fs::read_to_string(folder.path().join("whole/curve.svg")).unwrap();
        assert!(curve.contains(&format!("{} on CartPole-v1", algo.to_uppercase())));
        let shown = run(folder.path(), "show whole").stdout;
        assert!(shown.contains(&format!("{} policy for CartPole-v1", algo.to_uppercase())), "{shown}");
        // The settings that a run leaves are a preset, algorithm included.
        let again = run(folder.path(), "train CartPole-v1 --preset whole/config.toml --steps 2048 --json").json();
        assert_eq!((&again["algo"], &again["model_sha256"]), (&whole["algo"], &whole["model_sha256"]));
    }
}

#[test]
fn a_run_is_named_after_its_algorithm_and_its_mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), "train CartPole-v1 --algo a2c --steps 64 --json").json();
    assert_eq!(ran["run"], "runs/CartPole-v1/a2c-default-seed0");
    let told = |args: &str| -> Ran { run(folder.path(), args) };
    let unknown = told("train CartPole-v1 --algo dqn");
    assert!(unknown.code == Some(2) && unknown.stderr.contains("expected one of ppo, a2c, awr"), "{}", unknown.stderr);
    let other = told("train CartPole-v1 --algo a2c --set clip_range=0.1");
    assert!(other.code != Some(0), "{}", other.stdout);
    assert!(other.stderr.contains("clip_range: expected a setting of a2c, got one of ppo"), "{}", other.stderr);
    let small = told("train CartPole-v1 --algo awr --set n_envs=1 --set n_steps=2000 --set buffer_size=100");
    assert!(small.stderr.contains("buffer_size: expected at least 2000, the steps of a rollout"), "{}", small.stderr);
    let listed = told("presets --env CartPole-v1 --algo awr").stdout;
    assert!(listed.contains("awr  paper") && !listed.contains("ppo"), "{listed}");
}
