//! Ctrl-C.

#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{Ran, SMALL, gbrl, run, train};

fn start(folder: &Path, args: &str) -> Child {
    gbrl(folder, args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn press_ctrl_c(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

fn wait_for(path: &Path) {
    let start = Instant::now();
    while fs::metadata(path).map_or(0, |file| file.len()) == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "{} does not come", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_interrupted_run_saves_itself_and_equals_one_that_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let args = format!("train CartPole-v1 {SMALL} --steps 100000000 --out run --set checkpoint_every=1024");
    let child = start(folder.path(), &args);
    wait_for(&folder.path().join("run/checkpoints/1024.gbrl"));
    press_ctrl_c(&child);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("stopping after this rollout"), "{}", ran.stderr);
    assert!(ran.stdout.contains("stopped after") && ran.stdout.contains("train --resume run"), "{}", ran.stdout);
    for name in ["model.gbrl", "config.toml", "curve.svg", "metrics.csv", "states.safetensors"] {
        assert!(folder.path().join("run").join(name).is_file(), "{name} is missing");
    }
    let steps = |path: fs::DirEntry| path.path().file_stem()?.to_str()?.parse::<u64>().ok();
    let done =
        fs::read_dir(folder.path().join("run/checkpoints")).unwrap().filter_map(|path| steps(path.unwrap())).max();
    let total = done.unwrap() + 512;
    let rest = run(folder.path(), &format!("train --resume run --steps {total} --json")).json();
    let whole = train(folder.path(), &format!("--steps {total} --out whole"));
    assert_eq!((&rest["model_sha256"], &rest["steps"]), (&whole["model_sha256"], &total.into()));
}

#[test]
fn two_processes_do_not_train_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let args = format!("train CartPole-v1 {SMALL} --steps 100000000 --out run --set checkpoint_every=1024");
    let mut child = start(folder.path(), &args);
    wait_for(&folder.path().join("run/checkpoints/1024.gbrl"));
    let second = run(folder.path(), "train --resume run --steps 200000000");
    assert_eq!((second.code, second.stdout.as_str()), (Some(2), ""));
    assert!(second.stderr.starts_with("error: run: another process is training there"), "{}", second.stderr);
    // Not asked, and not told: what is left of it is a folder that anybody may go on with.
    child.kill().unwrap();
    child.wait().unwrap();
    let file = fs::read_dir(folder.path().join("run/checkpoints")).unwrap();
    let done = file.filter_map(|path| path.unwrap().path().file_stem()?.to_str()?.parse::<u64>().ok()).max().unwrap();
    let rest = run(folder.path(), &format!("train --resume run --steps {} --json", done + 128)).json();
    assert_eq!(rest["steps"], done + 128);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    // Rollouts so long that the first Ctrl-C has to wait for a while.
    let args = "train CartPole-v1 --n-envs 64 --set n_steps=100000 --set n_epochs=1 --steps 100000000 --out run";
    let mut child = start(folder.path(), args);
    wait_for(&folder.path().join("run/config.toml"));
    std::thread::sleep(Duration::from_millis(100));
    press_ctrl_c(&child);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it ended in the middle of a rollout");
    press_ctrl_c(&child);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(130));
    assert!(!folder.path().join("run/model.gbrl").exists());
}

#[test]
fn ctrl_c_in_the_last_rollout_interrupts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // One long rollout and one tree.
    let args = "train CartPole-v1 --n-envs 64 --set n_steps=30000 --set n_epochs=1 --set batch_size=1920000 \
                --steps 1920000 --out run";
    let child = start(folder.path(), args);
    wait_for(&folder.path().join("run/config.toml"));
    press_ctrl_c(&child);
    let ran: Ran = child.wait_with_output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("stopping after this rollout"), "{}", ran.stderr);
    for part in ["trained for 1,920,000 steps", "evaluation", "eval run/model.gbrl --episodes 1000"] {
        assert!(ran.stdout.contains(part), "no '{part}' in {}", ran.stdout);
    }
}
