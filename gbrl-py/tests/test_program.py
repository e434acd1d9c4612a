"""``python -m gbrl_rs train``."""

import json
import subprocess
import sys

import pytest

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
