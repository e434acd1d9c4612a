//! `gbrl compress`.

use super::{run, train};

#[test]
fn fewer_trees_play_nearly_as_well_and_are_written_beside_the_large_ones() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 16384 --out run");
    let small = run(folder.path(), "compress run --trees 24 --json").json();
    assert_eq!((&small["n_trees_before"], &small["n_trees"]), (&1024.into(), &24.into()));
    assert_eq!(small["out"], "run/model-24.gbrl");
    assert!(small["policy_change"].as_f64().unwrap() < 0.5 && small["bytes"].as_u64() < small["bytes_before"].as_u64());
    let played = run(folder.path(), "eval run/model-24.gbrl --seed 1 --json").json();
    assert_eq!((&played["eval_return_mean"], &played["n_trees"]), (&small["eval_return_mean"], &24.into()));
    let before = run(folder.path(), "eval run --seed 1 --json").json();
    assert_eq!(before["eval_return_mean"], small["eval_return_mean_before"]);
    let shown = run(folder.path(), "show run/model-24.gbrl").stdout;
    assert!(shown.contains("PPO policy for CartPole-v1") && shown.contains("24 trees"), "{shown}");
    // The same bytes every time, and from a checkpoint.
    let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    run(folder.path(), "compress run/checkpoints/16384.gbrl --trees 24 --episodes 0 --out again.gbrl");
    assert_eq!(bytes("again.gbrl"), bytes("run/model-24.gbrl"));
}

#[test]
fn the_number_of_trees_is_sought_when_not_given() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 8192 --out run");
    let trees = |goal: &str| {
        let small = run(folder.path(), &format!("compress run {goal} --episodes 20 --json")).json();
        (small["n_trees"].as_u64().unwrap(), small["policy_change"].as_f64().unwrap())
    };
    let (rough, fine) = (trees("--max-error 0.6"), trees("--max-error 0.3"));
    assert!(rough.1 <= 0.6 && fine.1 <= 0.3 && rough.0 < fine.0, "{rough:?} {fine:?}");
    assert!(trees("--max-loss 0.5").0 <= trees("--max-loss 0.1").0);
    let page = run(folder.path(), "compress run --max-loss 0.2 --episodes 20");
    for part in ["512 trees became ", "  outputs     the policy's changed by ", "over the same 20 episodes", "model-"] {
        assert!(page.stdout.contains(part), "no '{part}' in {}{}", page.stdout, page.stderr);
    }
}

#[test]
fn what_cannot_be_done_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), "--steps 1024 --out run");
    for (args, message) in [
        ("run --trees 0", "n_trees: expected at least 1, got 0"),
        ("run --max-error=-1", "--max-error: expected a share of at least 0, such as 0.01, got -1"),
        ("run --max-error 0", "no policy of fewer than 64 trees comes near enough"),
        ("run --episodes 0", "how small: expected --trees N or --max-error SHARE"),
        ("run --states nowhere", "nowhere: No such file"),
        ("run --states run/config.toml", "run/config.toml: "),
        ("run --trees 3 --max-loss 0.1", "cannot be used with"),
    ] {
        let ran = run(folder.path(), &format!("compress {args}"));
        assert!(ran.code == Some(2) && ran.stderr.contains(message), "{args}: {}", ran.stderr);
    }
    let adam = "train CartPole-v1 --n-envs 2 --steps 256 --set policy_optimizer=adam --out adam --json";
    run(folder.path(), adam).json();
    let refused = run(folder.path(), "compress adam --trees 3");
    assert!(refused.stderr.contains("not available with an Adam output group"), "{}", refused.stderr);
}
