"""The package as a whole."""

import subprocess
import sys

import numpy as np
import pytest

import gbrl_rs


def python(program):
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_every_name_is_there():
    for name in [*gbrl_rs.__all__, *(["GBRLRegressor"] if _has_sklearn() else [])]:
        assert getattr(gbrl_rs, name) is not None
    assert {*gbrl_rs.__all__, "GBRLRegressor"} <= set(dir(gbrl_rs))
    with pytest.raises(AttributeError, match="no attribute 'PPO2'"):
        _ = gbrl_rs.PPO2


def test_importing_all_names_needs_no_extra():
    absent = "import sys; sys.modules.update(sklearn=None, matplotlib=None, stable_baselines3=None, torch=None)"
    assert python(f"{absent}\nfrom gbrl_rs import *\nprint(PPO.__name__)").strip() == "PPO"


def _has_sklearn():
    try:
        import sklearn  # noqa: F401
    except ImportError:
        return False
    return True


def test_the_import_loads_next_to_nothing():
    program = "import sys; import gbrl_rs; print(sorted({n.split('.')[0] for n in sys.modules}))"
    loaded = python(program)
    for name in ("numpy", "gymnasium", "matplotlib", "stable_baselines3", "torch", "sklearn"):
        assert f"'{name}'" not in loaded


def test_the_import_is_quick():
    program = "import numpy, time; t = time.perf_counter(); import gbrl_rs; print(time.perf_counter() - t)"
    assert min(float(python(program)) for _ in range(5)) < 0.05


def test_parameters_environments_and_presets():
    names = [parameter["name"] for parameter in gbrl_rs.parameters()]
    assert "max_depth" in names and "policy_lr" in names
    assert "CartPole-v1" in gbrl_rs.environments()
    assert gbrl_rs.preset("CartPole-v1", "paper")["n_steps"] == 128
    generic = gbrl_rs.preset("CartPole-v1", "generic")
    assert generic == gbrl_rs.preset("Blackjack-v1") != gbrl_rs.preset("CartPole-v1")
    with pytest.raises(ValueError, match="CartPole-v1"):
        gbrl_rs.make_vec("CartPole-v9")


def test_rust_environments_are_gymnasiums(tmp_path):
    import copy

    from gymnasium.vector import AutoresetMode, VectorEnv

    env = gbrl_rs.make_vec("CartPole-v1", 3, seed=1)
    assert isinstance(env, VectorEnv) and env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, infos = env.reset(seed=5)
    assert env.observation_space.contains(observations) and infos == {}
    other = gbrl_rs.make_vec("CartPole-v1", 3, seed=2)
    assert np.array_equal(other.reset(seed=5)[0], observations)
    ended = False
    for t in range(60):
        if t == 5:
            copied = copy.deepcopy(env)
        observations, rewards, terminated, truncated, infos = env.step(np.ones(3, dtype=np.int64))
        if t >= 5:
            assert np.array_equal(copied.step(np.ones(3, dtype=np.int64))[0], observations)
        assert rewards.tolist() == [1, 1, 1] and not truncated.any()
        for i in np.flatnonzero(terminated):
            ended = True
            assert infos["_final_obs"][i] and abs(infos["final_obs"][i][2]) > 0.2 and abs(observations[i][2]) < 0.06
    assert ended
    with pytest.raises(TypeError, match="got a list"):
        env.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="options"):
        env.reset(options={"a": 1})
    with pytest.raises(RuntimeError, match="expected an environment with action masks"):
        env.action_masks()


@pytest.mark.parametrize("name", gbrl_rs.environments())
def test_every_rust_environment_trains(name):
    envs = gbrl_rs.make_vec(name, 2)
    model = gbrl_rs.PPO("MlpPolicy", envs, n_steps=16, batch_size=32, n_epochs=1, seed=0)
    assert model.learn(64).n_trees == 2
    actions = gbrl_rs.PPO("MlpPolicy", envs, n_steps=16, batch_size=32, n_epochs=1, seed=0)
    assert actions.learn(64, callback=lambda locals_, globals_: True).get_parameters() == model.get_parameters()


def test_threads_are_an_argument_and_nothing_of_the_process():
    program = """
import gc, os, subprocess, sys
from gbrl_rs import PPO, make_vec

def process():
    # What C code sets, os.environ does not see, and a child inherits.
    inherited = subprocess.check_output([sys.executable, "-c", "import os; print(sorted(os.environ.items()))"])
    status = "/proc/self/status"
    threads = [line for line in open(status) if line.startswith("Threads:")] if os.path.exists(status) else []
    return inherited, threads

before = process()
model = PPO("MlpPolicy", make_vec("CartPole-v1", 8), n_threads=1, n_steps=64, n_epochs=1).learn(1024)
print(process() == before)
pooled = PPO("MlpPolicy", "CartPole-v1", n_threads=3, n_steps=64, n_epochs=1).learn(128)
print(process()[0] == before[0], process()[1] != before[1] or not before[1])
del pooled; gc.collect()
print(process() == before)
"""
    assert python(program) == "True\nTrue True\nTrue\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_a_forked_child_can_predict_and_learn():
    program = """
import os, sys
import numpy as np
from gbrl_rs import PPO, make_vec
model = PPO("MlpPolicy", make_vec("CartPole-v1", 8), n_steps=512, batch_size=4096, seed=0, n_threads=2).learn(8192)
child = os.fork()
if child == 0:
    model.predict(np.zeros((50_000, 4), dtype=np.float32))
    model.learn(8192)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert out.stdout == "0\n"
