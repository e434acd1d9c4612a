"""``python -m gbrl_rs train``."""

import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from toys import Count, Masked

import gbrl_rs
from gbrl_rs import PPO, Booster, _gbrl
from gbrl_rs.__main__ import main
from gbrl_rs._report import Progress, duration, size, thousands
from gbrl_rs._run import Origin, _Metrics, evaluated

NAME = "ppo-default-4-changes-seed3"
QUICK = ["--set", "n_steps=64", "--set", "batch_size=64", "--set", "n_epochs=1", "--n-envs", "2", "--seed", "3"]


def run(capsys, *arguments):
    code = main(["train", *arguments])
    return code, capsys.readouterr()


def test_a_run_leaves_a_policy_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(capsys, "CartPole-v1", *QUICK, "--steps", "1e3", "--json")
    assert code == 0
    result = json.loads(said.out.splitlines()[-1])
    folder = tmp_path / "runs" / "CartPole-v1" / NAME
    assert result["steps"] == 1024 and result["n_trees"] == 16 and tmp_path / result["run"] == folder
    assert result["eval_return_mean"] > 0 and 0 < result["cpu_s"] <= time.process_time()
    assert Booster.load(folder / "model.gbrl").n_trees == 16
    assert PPO.load(folder / "checkpoints" / "1024").seed == 3
    assert result["model_sha256"] == hashlib.sha256((folder / "model.gbrl").read_bytes()).hexdigest()
    assert result["eval_episodes"] == 100 and set(result["changes"]) == {"n_steps", "batch_size", "n_epochs", "n_envs"}
    assert PPO.load(folder).n_trees == 16
    if sys.version_info >= (3, 11):
        code, said = run(capsys, "--resume", str(folder), "--steps", "2048", "--json")
        assert code == 0 and json.loads(said.out)["steps"] == 2048
        for changes in (["--steps", "1024"], ["--set", "max_depth=2"]):
            code, said = run(capsys, "--resume", str(folder), *changes)
            assert code == 2 and "nothing is left to do" in said.err
        code, said = run(capsys, "CartPole-v1", "--preset", str(folder / "config.toml"), "--steps", "128", "--quiet")
        assert code == 0 and (tmp_path / "runs" / "CartPole-v1" / "ppo-config-seed3").is_dir() and said.out == ""
    code, said = run(capsys, "CartPole-v1", *QUICK, "--steps", "128")
    assert code == 0 and f"{NAME}-2" in said.out and "evaluation" in said.out and said.err == ""
    assert "not solved yet: 475 or more" in said.out and 'gbrl_rs.PPO.load("runs/' in said.out
    assert "settings    preset default, batch_size 64, n_envs 2, n_epochs 1, n_steps 64, seed 3" in said.out
    assert "total_timesteps" not in said.out  # no table, unless it is asked for


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CartPole-v1", "--set", "max_dept=3"], "--set: unknown setting 'max_dept'; did you mean 'max_depth'"),
        (["CartPole-v1", "--set", "gama=1"], "did you mean 'gamma'"),
        (["CartPole-v1", "--device", "tpu"], "device: expected"),
        (["CartPole-v1", "--set", "device=tpu"], "device: expected"),
        (["--resume", "nowhere", "--seed", "1"], "seed: expected nothing beside --resume"),
        (["CartPole-v1", "--set", "max_depth"], "expected key=value"),
        (["CartPole-v1", "--preset", "papr"], "papr"),
        (["NoSuch-v0"], "NoSuch"),
        ([], "ENV: expected an environment"),
        (["--resume", "nowhere"], "expected a run folder"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(capsys, *arguments)
    assert code == 2 and said.err.startswith("error: ") and message in said.err
    assert not (tmp_path / "runs").exists()


def test_help_and_environments_of_ours(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = subprocess.run(
        [sys.executable, "-m", "gbrl_rs", "train", "--help"], capture_output=True, text=True, check=True
    )
    assert "--n-envs" in out.stdout and "Pendulum-v1 --preset paper" in out.stdout
    assert max(map(len, out.stdout.splitlines())) <= 100 and "\n\nSettings come from the preset" in out.stdout
    parser = subprocess.run([sys.executable, "-m", "gbrl_rs", "--help"], capture_output=True, text=True, check=True)
    assert "`" not in parser.stdout + out.stdout
    code, said = run(capsys, "LinearEquation-v0", *QUICK, "--steps", "128", "--json")
    assert code == 0, said.err


def test_checkpoints_and_evaluations_between_rollouts(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    every = ["--set", "checkpoint_every=200", "--set", "eval_every=256", "--set", "eval_episodes=2"]
    for env in ("CartPole-v1", "LinearEquation-v0"):
        code, said = run(capsys, env, *QUICK, *every, "--steps", "640", "--json")
        assert code == 0, said.err
        folder = tmp_path / "runs" / env / NAME
        assert sorted(int(path.stem) for path in (folder / "checkpoints").iterdir()) == [256, 512, 640]
        rows = list(csv.DictReader(open(folder / "metrics.csv")))
        assert [bool(row["eval/mean_reward"]) for row in rows] == [False, True, False, True, False]
        assert [row["time/total_timesteps"] for row in rows] == ["128", "256", "384", "512", "640"]
    code, said = run(capsys, "CartPole-v1", *QUICK, *every, "--steps", "640", "--verbose")
    assert code == 0 and "total_timesteps" in said.out


@pytest.mark.parametrize("env", ["CartPole-v1", "LinearEquation-v0", "Masked-v0"])
def test_the_files_are_those_of_the_program(env, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gymnasium.register("Masked-v0", Masked)
    try:
        code, said = run(capsys, env, *QUICK, "--set", "norm_obs=true", "--steps", "512", "--json")
    finally:
        gymnasium.registry.pop("Masked-v0")
    assert code == 0, said.err
    folder = Path(json.loads(said.out)["run"])
    with open(folder / "metrics.csv") as file:
        columns = file.readline().strip().split(",")
    assert columns == COLUMNS
    names = {path.name.split(".")[0] for path in folder.iterdir()} - {"curve", "events"}
    assert names == {"", "model", "config", "metrics", "states", "checkpoints"}  # the first is .lock
    rows, masks = rows_of(folder / "states.safetensors")
    assert PPO.load(folder).observation_space.shape == rows.shape[1:] and len(rows) == 512 and np.isfinite(rows).all()
    if env == "Masked-v0":
        # Raw, although the trees see standardised ones: step t allows the action t, and the episode of 8 has two of each.
        assert (masks.argmax(axis=1) == rows[:, 0]).all() and (masks.sum(axis=1) == 1).all()
    else:
        assert masks is None


@pytest.mark.parametrize("env", ["CartPole-v1", "LinearEquation-v0"])
def test_a_run_that_was_killed_before_its_evaluation_is_evaluated(env, tmp_path, capsys, monkeypatch):
    pytest.importorskip("tomllib")
    monkeypatch.chdir(tmp_path)
    said = run(capsys, env, *QUICK, "--set", "norm_obs=true", "--steps", "512", "--out", "a", "--json")[1]
    whole = json.loads(said.out)
    names = ("checkpoints/512.gbrl", "model.gbrl", "config.toml", "metrics.csv", "states.safetensors")
    before = {name: (tmp_path / "a" / name).read_bytes() for name in names}
    for name in ("model.gbrl", "states.safetensors"):
        (tmp_path / "a" / name).unlink()
    for _ in range(2):  # evaluating does not use a run up
        code, said = run(capsys, "--resume", "a", "--json")
        rest = json.loads(said.out)
        assert code == 0 and rest["steps_per_s"] is None
        assert {**whole, **dict.fromkeys(TIMES)} == {**rest, **dict.fromkeys(TIMES)}
        assert before == {name: (tmp_path / "a" / name).read_bytes() for name in names}
    code, said = run(capsys, "--resume", "a")
    assert code == 0 and f"{env} trained for 512 steps before\n" in said.out


def test_two_do_not_train_in_one_folder(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tomllib")
    monkeypatch.chdir(tmp_path)
    seen = []

    class Asking(Count):
        def step(self, action):
            if not seen:
                seen.append(None)
                command = [sys.executable, "-m", "gbrl_rs", "train", "--resume", "a", "--steps", "512"]
                seen[0] = subprocess.run(command, capture_output=True, text=True)
            return super().step(action)

    gymnasium.register("Asking-v0", lambda: Asking())
    try:
        assert run(capsys, "Asking-v0", *QUICK, "--steps", "128", "--out", "a", "--quiet")[0] == 0
        assert seen.pop().returncode == 2  # there was no checkpoint yet
        code, said = run(capsys, "--resume", "a", "--steps", "256", "--quiet")
    finally:
        gymnasium.registry.pop("Asking-v0")
    assert code == 0, said.err
    assert seen[0].returncode == 2 and "a: another process is training there" in seen[0].stderr
    # Whoever is done, or failed, lets others in.
    assert run(capsys, "--resume", "a", "--set", "n_envs=3")[0] == 2
    _gbrl.FolderLock("a").release()
    lock = _gbrl.FolderLock(tmp_path / "a")
    with pytest.raises(OSError, match="a: another process is training there"):
        _gbrl.FolderLock("a")
    lock.release()


FORKS = """
import os, sys
from gbrl_rs import _gbrl

def fork(work):
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        work()
        os._exit(0)
    return child

def taken():
    try:
        _gbrl.FolderLock(".").release()
    except OSError:
        return True
    return False

lock = [_gbrl.FolderLock(".")]
os.waitpid(fork(lock.clear), 0)
print(taken())  # a fork's end is not the run's
reading, writing = os.pipe()
child = fork(lambda: (os.close(writing), os.read(reading, 1)))
lock.pop().release()
print(taken())  # nor does a fork that lives on keep it
os.close(writing)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no forks")
def test_forks_neither_keep_nor_end_the_lock(tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", FORKS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout.split() == ["True", "False"], done.stderr


TIMES = ("wall_s", "cpu_s", "train_s", "steps_per_s", "peak_rss_mb")
SECONDS = ("time/fps", "time/time_elapsed", "time/cpu_elapsed")


def rows_of(path):
    """Observations and masks of a states.safetensors, whose layout is simple enough to read here."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]

    def tensor(name, code, dtype):
        if name not in header:
            return None
        assert header[name]["dtype"] == code
        first, end = header[name]["data_offsets"]
        return np.frombuffer(body[first:end], dtype=dtype).reshape(header[name]["shape"])

    return tensor("observations", "F32", "<f4"), tensor("masks", "U8", np.uint8)


COLUMNS = (
    "time/total_timesteps,rollout/ep_rew_mean,rollout/ep_len_mean,time/episodes,train/approx_kl,train/clip_fraction,"
    "train/clip_range,train/entropy_loss,train/explained_variance,train/loss,train/policy_gradient_loss,train/value_loss,"
    "train/n_updates,train/policy_lr,train/value_lr,train/n_trees,rollout/ep_rew_p10,rollout/ep_rew_p90,time/fps,"
    "time/time_elapsed,time/cpu_elapsed,eval/mean_reward,eval/std_reward,eval/mean_ep_length"
).split(",")


def test_the_sample_of_states_goes_on_with_the_run(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tomllib")
    monkeypatch.chdir(tmp_path)
    paths = []
    for out, steps in (("whole", ["512"]), ("parts", ["256", "512"])):
        run(capsys, "LinearEquation-v0", *QUICK, "--steps", steps[0], "--quiet", "--out", out)
        for more in steps[1:]:
            assert run(capsys, "--resume", out, "--steps", more, "--quiet")[0] == 0
        paths.append(tmp_path / out)
    # Schedules stretch to the total, which the second run learnt later; what it saw first is the same.
    states = [rows_of(path / "states.safetensors")[0] for path in paths]
    assert states[0].shape == states[1].shape == (512, states[0].shape[1])
    # Grouped by copy: of the two copies' 256 rows each, the first run's half.
    for first in (slice(0, 128), slice(256, 384)):
        np.testing.assert_array_equal(states[0][first], states[1][first])
    assert not np.array_equal(states[1][:128], states[1][128:256])
    rows = [list(csv.DictReader(open(path / "metrics.csv"))) for path in paths]
    assert [row["time/total_timesteps"] for row in rows[0]] == [row["time/total_timesteps"] for row in rows[1]]
    for key in ("time/time_elapsed", "time/cpu_elapsed"):
        seconds = [float(row[key]) for row in rows[1]]
        assert 0 < seconds[0] and seconds == sorted(seconds)


def test_rows_that_will_be_written_again_are_dropped(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics = _Metrics(path, 0)
    for steps in (10, 20, 30):
        metrics.write({"time/total_timesteps": steps, "a": steps / 8, "time/time_elapsed": steps, "b": float("nan")})
    again = _Metrics(path, 20)
    assert again.elapsed_before == 20
    again.write({"time/total_timesteps": 30, "b": 1.0})
    with open(path) as file:
        rows = list(csv.DictReader(file))
    assert [(row["time/total_timesteps"], row["a"], row["b"]) for row in rows] == [
        ("10", "1.25", ""),
        ("20", "2.5", ""),
        ("30", "", "1.0"),
    ]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_the_bar_is_shown_on_terminals_alone():
    file = Terminal()
    bar = Progress(0, 1000, False, file)
    bar.update(250, 12.5, 40)
    bar.say("saving")
    bar.clear()
    shown = file.getvalue()
    assert " 25%  return 12.5  " in shown and "40 trees" in shown and "saving" in shown and shown.endswith("\r\x1b[K")
    for hidden, other in ((True, Terminal()), (False, io.StringIO())):
        Progress(0, 10, hidden, other).update(5, 1.0, 1)
        assert other.getvalue() == ""


def test_json_knows_no_nan(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gymnasium.register("Endless-v0", lambda: Endless(), max_episode_steps=None)
    monkeypatch.setattr("gbrl_rs._run.evaluated", lambda *_: (1.0, 0.0, 1.0))
    try:
        code, said = run(capsys, "Endless-v0", *QUICK, "--steps", "128", "--json")
    finally:
        gymnasium.registry.pop("Endless-v0")
    result = json.loads(said.out, parse_constant=lambda name: pytest.fail(name))
    assert code == 0 and result["train_return_mean"] is None and result["train_episodes"] == 0


class Endless(Count):
    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        return observation, reward, False, False, info


def test_a_device_that_is_asked_for_is_taken_or_missed(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _ = run(capsys, "CartPole-v1", *QUICK, "--steps", "128", "--device", "cpu", "--quiet")
    assert code == 0 and 'device = "cpu"' in (tmp_path / "runs" / "CartPole-v1" / NAME / "config.toml").read_text()
    try:
        PPO("MlpPolicy", "CartPole-v1", device="cuda")
    except gbrl_rs.DeviceError as error:
        for arguments in (["--device", "cuda"], ["--set", "device=cuda"]):
            code, said = run(capsys, "CartPole-v1", *QUICK, *arguments)
            assert code == 2 and str(error) in said.err


def test_a_run_of_the_other_program_is_told_as_such(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tomllib")
    monkeypatch.chdir(tmp_path)
    run(capsys, "CartPole-v1", *QUICK, "--steps", "128", "--quiet", "--out", "a")
    # What a checkpoint of the program has that this package can read is its policy.
    (tmp_path / "a" / "checkpoints" / "128.gbrl").write_bytes((tmp_path / "a" / "model.gbrl").read_bytes())
    code, said = run(capsys, "--resume", "a", "--steps", "256")
    assert code == 2 and "got one of the program gbrl; go on with it by gbrl train --resume a" in said.err


def test_a_preset_and_its_changes_name_a_run():
    before = {"n_envs": "8", "policy_lr": "0.1", "max_depth": "4", "seed": "0", "n_bins": "256"}
    origin = Origin("mine/quick.toml")
    origin.change(before, {**before, "max_depth": "7", "policy_lr": "linear:0.2:0", "seed": "9", "n_bins": "256.0"})
    assert origin.text == "preset mine/quick.toml, max_depth 7, policy_lr linear:0.2:0"
    assert origin.stem == "quick-max_depth-7-policy_lr-linear_0.2_0"
    again = Origin.of(f"python -m gbrl_rs train X-v0, {origin.text}")
    assert (again.preset, again.changes) == (origin.preset, origin.changes)
    again.change(before, {**before, "n_envs": "3", "n_bins": "9"})
    assert again.stem == "quick-4-changes"
    odd = Origin("mine, yours, preset x/a, b.toml", {"max_depth": "7", "feature_weights": "1, 2", "policy_lr": "0.1"})
    again = Origin.of(f"python -m gbrl_rs train X-v0, {odd.text}")
    assert again.preset == odd.preset and list(again.changes.items()) == [
        ("max_depth", "7"),
        ("feature_weights", "1,2"),
        ("policy_lr", "0.1"),
    ]


@pytest.mark.parametrize(("number", "text"), [(492.13, "492"), (12.34, "12.3"), (0.1234, "0.123"), (1e6, "1,000,000"), (-0.5, "-0.500")])
def test_numbers_for_people(number, text):
    assert thousands(number) == text


def test_sizes_and_times_for_people():
    assert [size(n) for n in (0, 812, 3_400, 1_234_567)] == ["0 B", "812 B", "3.4 KB", "1.2 MB"]
    assert [duration(s) for s in (0.42, 59.4, 250, 7500)] == ["0.4 s", "59.4 s", "4 min 10 s", "2 h 05 min"]


def test_ctrl_c_ends_a_run_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gymnasium.register("Stopped-v0", lambda: Failing(KeyboardInterrupt()))
    try:
        code, said = run(capsys, "Stopped-v0", *QUICK, "--steps", "1e4")
    finally:
        gymnasium.registry.pop("Stopped-v0")
    folder = f"runs/Stopped-v0/{NAME}"
    assert code == 130 and f"python -m gbrl_rs train --resume {folder}" in said.out and "stopped after" in said.out
    stopped_at = PPO.load(tmp_path / folder).num_timesteps
    assert stopped_at == 99 * 2 and stopped_at % 128 != 0
    before = PPO.load(tmp_path / folder)._statistics.returns
    assert len(before) > 40
    # Its rollouts end off the grid from now on, and are written all the same.
    gymnasium.register("Stopped-v0", lambda: Count())
    try:
        code, said = run(capsys, "--resume", folder, "--steps", "600", "--json")
    finally:
        gymnasium.registry.pop("Stopped-v0")
    assert code == 0, said.err
    rows = list(csv.DictReader(open(tmp_path / folder / "metrics.csv")))
    assert [int(row["time/total_timesteps"]) for row in rows] == [128, 326, 454, 582, 710]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gbrl_rs._run.evaluated", interrupted)
    code, said = run(capsys, "CartPole-v1", *QUICK, "--steps", "128", "--out", "a")
    go_on = "python -m gbrl_rs train --resume a"
    assert code == 130 and said.err == f"stopped; what was learnt is in a, and `{go_on}` does the rest\n"
    assert PPO.load("a").num_timesteps == 128
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    if sys.version_info >= (3, 11):
        code, said = run(capsys, "--resume", "a", "--json")
        assert code == 0 and json.loads(said.out)["eval_return_mean"] > 0


def test_ctrl_c_in_the_last_update_saves_first_and_evaluates_no_more(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, evaluated = PPO.train, []

    def interrupted_at(steps):
        def interrupted(model):
            if model.num_timesteps == steps:
                raise KeyboardInterrupt
            train(model)

        return interrupted

    def evaluate(*_):
        saved = [path.stem for path in tmp_path.glob("*/checkpoints/*.gbrl")]
        evaluated.append(sorted(saved, key=int))
        return 1.0, 0.0, 1.0

    monkeypatch.setattr("gbrl_rs._run.evaluated", evaluate)
    for steps, word in ((256, "--resume a --steps 512"), (128, "--resume b ")):
        folder = {256: "a", 128: "b"}[steps]
        monkeypatch.setattr(PPO, "train", interrupted_at(steps))
        every = ["--set", "eval_every=256" if steps == 256 else "eval_every=128"]
        code, said = run(capsys, "CartPole-v1", *QUICK, *every, "--steps", "256", "--out", folder)
        assert code == 130 and f"stopped after {steps} steps" in said.out and "evaluation" not in said.out
        assert word in said.out and evaluated == []
        rows = list(csv.DictReader(open(tmp_path / folder / "metrics.csv")))
        assert int(rows[-1]["time/total_timesteps"]) == steps and rows[-1]["eval/mean_reward"] == ""
        assert PPO.load(folder).num_timesteps == steps and not PPO.load(folder)._is_learnt
    # What is evaluated was learnt.
    monkeypatch.setattr(PPO, "train", train)
    if sys.version_info >= (3, 11):
        code, said = run(capsys, "--resume", "a")
        assert code == 2 and "a: the last rollout was not learnt from to its end" in said.err and evaluated == []
        assert run(capsys, "--resume", "a", "--steps", "384", "--quiet")[0] == 0
        assert run(capsys, "--resume", "b", "--quiet")[0] == 0
        for folder in ("a", "b"):
            assert PPO.load(folder)._is_learnt and run(capsys, "--resume", folder, "--quiet")[0] == 0
    # One that fails on the way leaves its model all the same.
    monkeypatch.setattr("gbrl_rs._run._Watch.settle", broken_settle)
    with pytest.raises(ZeroDivisionError):
        run(capsys, "CartPole-v1", *QUICK, "--steps", "256", "--out", "c")
    assert PPO.load("c").num_timesteps == 256


def broken_settle(watch, is_last=False, evaluates=True):
    if watch.model.num_timesteps == 256:
        raise ZeroDivisionError


def test_equal_runs_report_equal_numbers(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    every = ["--set", "eval_every=128", "--set", "eval_episodes=3"]
    results, rows = [], []
    for out in ("a", "b"):
        code, said = run(capsys, "CartPole-v1", *QUICK, *every, "--steps", "256", "--json", "--out", out)
        assert code == 0
        result = json.loads(said.out)
        results.append([result[key] for key in ("eval_return_mean", "eval_return_std", "model_sha256")])
        found = csv.DictReader(open(tmp_path / out / "metrics.csv"))
        rows.append([[value for key, value in row.items() if key not in SECONDS] for row in found])
    assert results[0] == results[1] and rows[0] == rows[1]
    model = PPO.load("a")
    assert evaluated(model, "CartPole-v1", 20, True) == evaluated(model, "CartPole-v1", 20, True)


class Failing(Count):
    """Raises an error in its 100th step."""

    def __init__(self, error):
        super().__init__()
        self.steps, self.error = 0, error

    def step(self, action):
        self.steps += 1
        if self.steps == 100:
            raise self.error
        return super().step(action)


def test_a_resumed_run_takes_changes(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tomllib")
    monkeypatch.chdir(tmp_path)
    run(capsys, "CartPole-v1", *QUICK, "--steps", "256", "--quiet")
    folder = tmp_path / "runs" / "CartPole-v1" / NAME
    changes = ["--set", "n_epochs=3", "--set", "checkpoint_every=128", "--set", "vf_coef=0.8"]
    code, said = run(capsys, "--resume", str(folder), "--steps", "512", *changes, "--quiet")
    assert code == 0, said.err
    model = PPO.load(folder / "checkpoints" / "512")
    assert model.n_epochs == 3 and model.n_trees == 2 * 2 + 2 * 2 * 3 and model.vf_coef == 0.4
    assert (folder / "checkpoints" / "384.gbrl").exists() and 'n_epochs = "3"' in (folder / "config.toml").read_text()
    for change, message in (
        ("n_epocs=3", "n_epochs"),
        ("norm_obs=true", "norm_obs"),
        ("n_epochs=x", "n_epochs"),
        ("n_envs=3", "--set n_envs: expected nothing beside --resume"),
        ("seed=3", "--set seed: expected nothing beside --resume"),
    ):
        code, said = run(capsys, "--resume", str(folder), "--steps", "1024", "--set", change)
        assert code == 2 and message in said.err


def test_what_an_environment_raises_comes_through_and_the_model_is_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gymnasium.register("Failing-v0", lambda: Failing(ValueError("the 100th step")))
    try:
        with pytest.raises(ValueError, match="^the 100th step$"):
            run(capsys, "Failing-v0", *QUICK, "--steps", "1e4", "--quiet")
    finally:
        gymnasium.registry.pop("Failing-v0")
    folder = tmp_path / "runs" / "Failing-v0" / NAME
    assert (folder / "model.gbrl").exists() and len(list((folder / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("steps", ["1e400", "nan", "-1", "1.5", "x"])
def test_numbers_of_steps_are_whole(steps, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "CartPole-v1", "--steps", steps])
    assert "--steps" in capsys.readouterr().err
