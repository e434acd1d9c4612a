"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "python"


def run(name, *arguments):
    out = subprocess.run([sys.executable, FOLDER / name, *arguments], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    return out.stdout


def test_the_switch():
    assert "over 20 episodes" in run("sb3_switch.py", "--steps", "4096")


def test_the_callback():
    assert "ent_coef" in run("custom_callback.py", "--steps", "4096")


@pytest.mark.sb3
def test_the_loop_with_torch():
    pytest.importorskip("torch")
    assert "mean length of the last 100" in run("own_loop_torch.py", "--episodes", "20")


@pytest.mark.sb3
def test_minigrid():
    pytest.importorskip("minigrid")
    assert "looks at" in run("minigrid_categories.py", "--steps", "2048")


def test_all_are_run():
    assert {path.name for path in FOLDER.glob("*.py")} == {
        "sb3_switch.py",
        "custom_callback.py",
        "own_loop_torch.py",
        "minigrid_categories.py",
    }
