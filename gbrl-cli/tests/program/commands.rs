//! The other commands.

use super::{gbrl, run, train};

#[test]
fn without_arguments_there_is_help() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), "");
    assert_eq!(ran.code, Some(0));
    assert!(ran.stdout.contains("Usage: gbrl") && ran.stdout.contains("gbrl train CartPole-v1"), "{}", ran.stdout);
    for command in ["train", "eval", "presets", "show", "compress", "bench step", "bench predict"] {
        let ran = run(folder.path(), &format!("{command} --help"));
        assert!(ran.code == Some(0) && ran.stdout.contains("Examples:"), "{command}: {}", ran.stdout);
    }
}

#[test]
fn eval_plays_the_same_episodes_as_train() {
    let folder = tempfile::tempdir().unwrap();
    let trained = train(folder.path(), "--steps 1024 --seed 2 --out run");
    let played = run(folder.path(), "eval run --seed 2 --json").json();
    assert_eq!(trained["eval_return_mean"], played["eval_return_mean"]);
    assert_eq!(trained["eval_return_std"], played["eval_return_std"]);
    assert_eq!(played, {
        let mut again = run(folder.path(), "eval run/model.gbrl --seed 2 --json").json();
        again["wall_s"] = played["wall_s"].clone();
        again
    });
    let checkpoint = run(folder.path(), "eval run/checkpoints/1024.gbrl --seed 2 --json").json();
    assert_eq!(checkpoint["eval_return_mean"], played["eval_return_mean"]);
    let sampled = run(folder.path(), "eval run --stochastic --episodes 3 --json").json();
    assert_eq!((&sampled["eval_episodes"], &sampled["deterministic"]), (&3.into(), &false.into()));
    let text = run(folder.path(), "eval run --episodes 3").stdout;
    assert!(text.contains("CartPole-v1: return ") && text.contains(" over 3 episodes"), "{text}");
}

#[test]
fn show_prints_settings_importance_and_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 256 --out run");
    let ran = run(folder.path(), "show run --tree 1");
    for part in ["PPO policy for CartPole-v1", "16 trees", "max_depth 4", "importance", "█", "tree 1: oblivious"] {
        assert!(ran.stdout.contains(part), "no '{part}' in {}", ran.stdout);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = gbrl(folder.path(), "presets").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn environments_and_presets_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), "envs");
    assert!(envs::specs().iter().all(|spec| ran.stdout.contains(spec.id)), "{}", ran.stdout);
    let ran = run(folder.path(), "presets");
    assert!(ran.stdout.contains("paper ") && ran.stdout.contains("default "), "{}", ran.stdout);
    let preset = run(folder.path(), "presets paper --env CartPole-v1").stdout;
    assert!(preset.contains("n_bins = 251") && preset.contains("edges = \"step\""), "{preset}");
    std::fs::write(folder.path().join("mine.toml"), preset).unwrap();
    let short = "--steps 2048 --json";
    let built_in = run(folder.path(), &format!("train CartPole-v1 --preset paper {short}")).json();
    let from_file = run(folder.path(), &format!("train CartPole-v1 --preset mine.toml {short}")).json();
    assert_eq!(built_in["model_sha256"], from_file["model_sha256"]);
}
