//! Every misuse ends with code 2 and one message that says what was expected and what came; nothing is written.

use std::fs;
use std::path::Path;

use super::{SMALL, run, train};

fn refused(folder: &Path, args: &str, parts: &[&str]) {
    let ran = run(folder, args);
    assert_eq!(ran.code, Some(2), "gbrl {args}: {}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.starts_with("error: "), "gbrl {args}: {}", ran.stderr);
    assert_eq!(ran.stderr.matches("error:").count(), 1, "said twice: {}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "gbrl {args}: no '{part}' in {}", ran.stderr);
    }
    assert_eq!(ran.stdout, "", "gbrl {args}");
}

#[test]
fn settings_out_of_range() {
    let folder = tempfile::tempdir().unwrap();
    for (assignment, message) in [
        ("n_bins=1", "n_bins: expected 2 to 256 (whole number), got 1"),
        ("max_depth=0", "max_depth: expected 1 to 16"),
        ("max_depth=13", "got 13"),
        ("policy_lr=-0.1", "policy_lr: expected 0 to 3.4e38 (schedule), got -0.1"),
        ("value_lr=linear:0.1:4e38", "value_lr: expected 0 to 3.4e38"),
        ("policy_lr=nan", "got nan"),
        ("n_steps=0", "n_steps: expected 1 to 67108864"),
        ("n_steps=60000000", "n_steps: expected at most 4194304 with 16 environments, got 60000000"),
        ("n_envs=100000000", "n_envs: expected 1 to 65536 (whole number), got 100000000"),
        ("eval_episodes=1e15", "eval_episodes: expected 1 to 10000000"),
        ("gamma=1.5", "gamma: expected in [0, 1]"),
        ("clip_range=", "clip_range: expected"),
        ("edges=never", "got never"),
        ("batchsize=64", "unknown setting 'batchsize'; did you mean 'batch_size'?"),
        ("nonsense", "--set: expected key=value, got 'nonsense'"),
        ("feature_weights=1,2", "feature_weights"),
        ("monotone=9:0:rising", "monotone"),
    ] {
        refused(folder.path(), &format!("train CartPole-v1 --steps 64 --set {assignment}"), &[message]);
    }
    refused(folder.path(), "train CartPole-v1 --steps 0", &["total_timesteps: expected at least 1", "got 0"]);
    refused(folder.path(), "train CartPole-v1 --steps 1.5", &["'1.5'", "expected a whole number, such as 100000"]);
    refused(folder.path(), "train CartPole-v1 --threads 5000", &["n_threads: expected 0 to 1024", "5000"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "something was written");
}

#[test]
fn presets() {
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(folder.path().join("mine.toml"), text).unwrap();
    let train = "train CartPole-v1 --steps 64 --preset mine.toml";
    write("gama = 0.9\n");
    refused(folder.path(), train, &["preset mine.toml: unknown setting 'gama'; did you mean 'gamma'?"]);
    write("gamma = 2\n");
    refused(folder.path(), train, &["mine.toml", "gamma: expected in [0, 1]", "got 2"]);
    write("n_envs = 4\ngamma = = 2\n");
    refused(folder.path(), train, &["mine.toml: line 2: expected `setting = value` lines"]);
    write("gamma = [1, 2]\n");
    refused(folder.path(), train, &["gamma: expected a number, a text, true or false, got array"]);
    refused(folder.path(), "train CartPole-v1 --preset there/is/none.toml", &["there/is/none.toml"]);
    let unknown = "unknown preset of CartPole-v1 'papr'; did you mean 'paper'? (there is default, paper, generic;";
    refused(folder.path(), "train CartPole-v1 --preset papr", &[unknown]);
    refused(
        folder.path(),
        "train Taxi-v3 --preset paper",
        &["unknown preset of Taxi-v3 'paper'", "there is default, generic;"],
    );
    refused(folder.path(), "presets paper", &["--env"]);
    assert!(!folder.path().join("runs").exists());
}

#[test]
fn environments() {
    let folder = tempfile::tempdir().unwrap();
    let nearest = "unknown environment 'Cartpole-v0'; did you mean 'CartPole-v1'?";
    for command in ["train Cartpole-v0", "presets paper --env Cartpole-v0"] {
        refused(folder.path(), command, &[nearest]);
    }
    refused(folder.path(), "train zzz", &["unknown environment 'zzz'; `gbrl envs` lists them"]);
    refused(folder.path(), "train CartPole-v1 --set zzz=1", &["unknown setting 'zzz'; `gbrl presets"]);
    refused(folder.path(), "train", &["<ENV>"]);
    refused(folder.path(), "trian CartPole-v1", &["'trian'", "train"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn folders_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let out = format!("train CartPole-v1 --steps 128 {SMALL} --out");
    refused(folder.path(), &format!("{out} file/run"), &["file", "expected a folder that can be written"]);
    // Root may write anywhere but there.
    if cfg!(target_os = "linux") {
        refused(folder.path(), &format!("{out} /proc/gbrl/run"), &["/proc/gbrl", "expected a folder"]);
    }
    for here in [".", "./", "file/..", "..", "/"] {
        let ran = run(folder.path(), &format!("{out} {here}"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "--out {here}: {}", ran.stderr);
    }
    let message = "--out: expected an empty folder, or a name that can get a number, got ., which is not empty";
    refused(folder.path(), &format!("{out} ."), &[message]);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
}

#[test]
fn damaged_models() {
    let folder = tempfile::tempdir().unwrap();
    let model = train(folder.path(), "--steps 256 --out run")["model"].as_str().unwrap().to_owned();
    let good = fs::read(folder.path().join(&model)).unwrap();
    let bad = folder.path().join("bad.gbrl");
    for len in [0, 1, 7, 100, good.len() / 2, good.len() - 1] {
        fs::write(&bad, &good[..len]).unwrap();
        for command in ["eval", "show"] {
            refused(folder.path(), &format!("{command} bad.gbrl"), &["bad.gbrl", "expected", "got"]);
        }
    }
    for at in [0, 9, good.len() / 3, good.len() / 2, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        fs::write(&bad, &flipped).unwrap();
        refused(folder.path(), "eval bad.gbrl", &["bad.gbrl"]);
    }
    refused(folder.path(), "eval none.gbrl", &["none.gbrl"]);
    refused(folder.path(), &format!("eval {model} --env Acrobot-v1"), &["Acrobot-v1", "expected", "got"]);
    refused(folder.path(), &format!("eval {model} --episodes 0"), &["0"]);
    refused(folder.path(), &format!("show {model} --tree 1000000"), &["--tree: expected a tree below"]);
}

#[test]
fn runs_that_cannot_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), "train --resume nowhere", &["nowhere", "expected a run folder", "does not exist"]);
    train(folder.path(), "--steps 256 --out run");
    let done = "run: nothing is left to do: 256 of 128 steps are done; expected more steps, as in --steps 512";
    refused(folder.path(), "train --resume run --steps 128", &[done]);
    refused(folder.path(), "train --resume run --set max_depth=2", &["nothing is left to do: 256 of 256 steps"]);
    refused(folder.path(), "train Acrobot-v1 --resume run --steps 512", &["CartPole-v1", "Acrobot-v1"]);
    refused(folder.path(), "train --resume run --seed 3", &["--resume", "--seed"]);
    refused(folder.path(), "train --resume run --steps 512 --set n_envs=3", &["n_envs: expected 2"]);
    refused(folder.path(), "train --resume run --steps 512 --set seed=3", &["seed: expected 0"]);
    let kept = "norm_obs: expected false, as the run began, got true";
    refused(folder.path(), "train --resume run --steps 512 --set norm_obs=true", &[kept]);
    let config = fs::read(folder.path().join("run/config.toml")).unwrap();
    let metrics = folder.path().join("run/metrics.csv");
    let numbers = fs::read(&metrics).unwrap();
    fs::write(&metrics, "time/total_timesteps,x\n128,a\n").unwrap();
    let line = "metrics.csv, line 2: expected 2 numbers, got '128,a'";
    refused(folder.path(), "train --resume run --steps 512 --set gamma=0.9", &[line]);
    fs::write(&metrics, numbers).unwrap();
    assert_eq!(
        config,
        fs::read(folder.path().join("run/config.toml")).unwrap(),
        "settings of a run that did not go on"
    );
    let checkpoint = folder.path().join("run/checkpoints/256.gbrl");
    let good = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &good[..good.len() / 2]).unwrap();
    refused(folder.path(), "train --resume run --steps 512", &["256.gbrl"]);
}

#[test]
fn benches() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), "bench step --bins 1", &["n_bins: expected 2 to 256, got 1"]);
    refused(folder.path(), "bench step --depth 0", &["max_depth", "got 0"]);
    refused(folder.path(), "bench step --rows 0", &["--rows"]);
    refused(folder.path(), "bench step --grow deep", &["deep", "oblivious"]);
    refused(folder.path(), "bench step --nan 2", &["--nan: expected 0 to 1, got 2"]);
    refused(folder.path(), "bench step --categorical 9", &["--categorical: expected at most --features 8, got 9"]);
    refused(
        folder.path(),
        "bench step --rows 100000000 --features 100000",
        &["--rows: expected at most", "got 100000000"],
    );
    refused(folder.path(), "bench step --features 9999999", &["--features: expected at most", "got 9999999"]);
    refused(folder.path(), "bench step --fresh --edges fixed", &["--fresh: expected --edges step"]);
    refused(folder.path(), "bench predict --trees 4000000000", &["--trees"]);
    refused(folder.path(), "bench step --threads 9999", &["--threads: expected 0 to 1024"]);
    refused(
        folder.path(),
        "bench update --rows 100 --rollout 10",
        &["--rollout: expected at least --rows 100, got 10"],
    );
}

#[test]
fn a_device_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), "train CartPole-v1 --device cuda:99", &["device cuda:99: "]);
    let message = "device: expected auto, cpu, cuda or cuda:N (word), got gpu";
    refused(folder.path(), "train CartPole-v1 --device gpu", &[message]);
    assert!(!folder.path().join("runs").exists());
}
