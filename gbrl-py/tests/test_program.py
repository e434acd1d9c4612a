"""``python -m gbrl_rs train``."""

import json
import subprocess
import sys

import gymnasium
import pytest
from toys import Count

from gbrl_rs import PPO, Booster
from gbrl_rs.__main__ import main

QUICK = ["--set", "n_steps=64", "--set", "batch_size=64", "--set", "n_epochs=1", "--n-envs", "2", "--seed", "3"]


def run(capsys, *arguments):
    code = main(["train", *arguments])
    return code, capsys.readouterr()


def test_a_run_leaves_a_policy_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(capsys, "CartPole-v1", *QUICK, "--steps", "1e3", "--json")
    assert code == 0
    result = json.loads(said.out.splitlines()[-1])
    folder = tmp_path / "runs" / "CartPole-v1" / "ppo-default-seed3"
    assert result["steps"] == 1024 and result["n_trees"] == 16 and tmp_path / result["run"] == folder
    assert result["eval_return_mean"] > 0
    assert Booster.load(folder / "model.gbrl").n_trees == 16
    assert PPO.load(folder / "checkpoints" / "1024").seed == 3
    assert (folder / "metrics.csv").read_text().startswith("time/total_timesteps,rollout/ep_rew_mean")
    if sys.version_info >= (3, 11):
        code, said = run(capsys, "--resume", str(folder), "--steps", "2048", "--json")
        assert code == 0 and json.loads(said.out)["steps"] == 2048
        code, said = run(capsys, "--resume", str(folder), "--steps", "2048")
        assert code == 2 and "nothing is left to do" in said.err
        code, said = run(capsys, "CartPole-v1", "--preset", str(folder / "config.toml"), "--steps", "128", "--quiet")
        assert code == 0 and (tmp_path / "runs" / "CartPole-v1" / "ppo-config-seed3").is_dir() and said.out == ""
    code, said = run(capsys, "CartPole-v1", *QUICK, "--steps", "128")
    assert code == 0 and "ppo-default-seed3-2" in said.out and "evaluation" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CartPole-v1", "--set", "max_dept=3"], "did you mean 'max_depth'"),
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
    code, said = run(capsys, "LinearEquation-v0", *QUICK, "--steps", "128", "--json")
    assert code == 0, said.err


def test_checkpoints_and_evaluations_between_rollouts(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    every = ["--set", "checkpoint_every=200", "--set", "eval_every=256", "--set", "eval_episodes=2"]
    for env in ("CartPole-v1", "LinearEquation-v0"):
        code, said = run(capsys, env, *QUICK, *every, "--steps", "640", "--json")
        assert code == 0, said.err
        folder = tmp_path / "runs" / env / "ppo-default-seed3"
        assert sorted(int(path.stem) for path in (folder / "checkpoints").iterdir()) == [256, 512, 640]
    code, said = run(capsys, "CartPole-v1", *QUICK, *every, "--steps", "640")
    assert code == 0 and "eval/" in said.out


def test_a_resumed_run_takes_changes(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tomllib")
    monkeypatch.chdir(tmp_path)
    run(capsys, "CartPole-v1", *QUICK, "--steps", "256", "--quiet")
    folder = tmp_path / "runs" / "CartPole-v1" / "ppo-default-seed3"
    changes = ["--set", "n_epochs=3", "--set", "checkpoint_every=128", "--set", "vf_coef=0.8"]
    code, said = run(capsys, "--resume", str(folder), "--steps", "512", *changes, "--quiet")
    assert code == 0, said.err
    model = PPO.load(folder / "checkpoints" / "512")
    assert model.n_epochs == 3 and model.n_trees == 2 * 2 + 2 * 2 * 3 and model.vf_coef == 0.4
    assert (folder / "checkpoints" / "384.gbrl").exists() and 'n_epochs = "3"' in (folder / "config.toml").read_text()
    for change, message in (("n_epocs=3", "n_epochs"), ("norm_obs=true", "norm_obs"), ("n_epochs=x", "n_epochs")):
        code, said = run(capsys, "--resume", str(folder), "--steps", "1024", "--set", change)
        assert code == 2 and message in said.err


def test_what_an_environment_raises_comes_through_and_the_model_is_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gymnasium.register("Failing-v0", lambda: Failing())
    try:
        with pytest.raises(ValueError, match="^the 100th step$"):
            run(capsys, "Failing-v0", *QUICK, "--steps", "1e4", "--quiet")
    finally:
        gymnasium.registry.pop("Failing-v0")
    folder = tmp_path / "runs" / "Failing-v0" / "ppo-default-seed3"
    assert (folder / "model.gbrl").exists() and len(list((folder / "checkpoints").iterdir())) == 1


class Failing(Count):
    def __init__(self):
        super().__init__()
        self.steps = 0

    def step(self, action):
        self.steps += 1
        if self.steps == 100:
            raise ValueError("the 100th step")
        return super().step(action)


@pytest.mark.parametrize("steps", ["1e400", "nan", "-1", "1.5", "x"])
def test_numbers_of_steps_are_whole(steps, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "CartPole-v1", "--steps", steps])
    assert "--steps" in capsys.readouterr().err
