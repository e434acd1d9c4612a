"""Files of models: schedules in them, what SB3's scripts do with them, and what nobody should be able to do."""

import copy
import io
import json
import os
import pickle
import stat
import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from toys import Count, Masked

import gbrl_rs
from gbrl_rs import A2C, AWR, PPO, BaseCallback, Booster, make_vec

SMALL = {"n_steps": 64, "batch_size": 32, "n_epochs": 1, "seed": 1}


def small(env="CartPole-v1", **arguments):
    return PPO("MlpPolicy", env, **{**SMALL, **arguments})


SCHEDULES = {
    "learning_rate": lambda progress: progress * 3e-4,
    "clip_range": lambda progress: 0.2 * progress,
    "clip_range_vf": lambda progress: 0.2 * progress,
    "lambda_l2": lambda progress: 2.0 * progress,
}


@pytest.mark.parametrize("total", [256, 300])
@pytest.mark.parametrize("name", SCHEDULES)
def test_linear_schedules_end_where_they_end(name, total, tmp_path):
    asked = []

    def schedule(progress):
        asked.append(progress)
        return SCHEDULES[name](progress)

    model = small(**{name: schedule}).learn(total)
    assert min(asked) == 0.0 and model._current_progress_remaining <= 0.0
    path = model.save(tmp_path / "end")
    with pytest.warns(UserWarning, match=f"{name} = .*schedule"):
        PPO.load(path)
    again = PPO.load(path, env="CartPole-v1", **{name: schedule})
    again.learn(64, reset_num_timesteps=False)
    assert again.n_trees == model.n_trees + 2


def test_a_constant_clip_range_of_zero_is_taken_and_numbers_are_schedules():
    model = small(clip_range=0.0).learn(64)
    assert model.clip_range == 0.0 and model.clip_range(1.0) == 0.0
    model = small(clip_range=0.3, clip_range_vf=None)
    assert model.clip_range(0.5) == 0.3 and model.clip_range_vf is None
    assert model.lr_schedule(1.0) == 3e-4


def test_texts_are_learning_rates_too():
    text, function = (small(learning_rate=rate).learn(256) for rate in ("lin_3e-4", lambda left: 3e-4 * left))
    assert text.get_parameters() == function.get_parameters() and text.lr_schedule(0.5) == pytest.approx(1.5e-4)
    for rate in ("abc", -1, lambda left: -left, float("nan"), None, True):
        with pytest.raises(ValueError, match="^learning_rate: expected a number"):
            small(learning_rate=rate)


def test_functions_in_policy_kwargs(tmp_path):
    kwargs = {"policy_lr": lambda progress: 0.05 * progress, "max_depth": 3}
    path = small(policy_kwargs=kwargs).learn(128).save(tmp_path / "m")
    with pytest.warns(UserWarning, match=r"policy_kwargs.policy_lr = .*lambda.*, now 0.0"):
        model = PPO.load(path)
    assert model.policy_kwargs == {"policy_lr": 0.0, "max_depth": 3}
    model = PPO.load(path, policy_kwargs=kwargs, env="CartPole-v1")
    assert model.policy_kwargs == kwargs
    model.learn(64)
    with pytest.raises(ValueError, match="do not equal the stored"):
        PPO.load(path, policy_kwargs={**kwargs, "max_depth": 4})


def test_custom_objects_as_the_zoo_has_them(tmp_path):
    model = small().learn(64)
    path = model.save(tmp_path / "m")
    zoo = {"learning_rate": 0.0, "lr_schedule": lambda _: 0.0, "clip_range": lambda _: 0.0}
    with pytest.warns(UserWarning, match="custom_objects: lr_schedule are attributes") as caught:
        again = PPO.load(path, custom_objects=zoo)
    assert len(caught) == 1 and again.learning_rate == 0.0 and again.clip_range(1.0) == 0.0
    same = {"observation_space": model.observation_space, "action_space": model.action_space}
    assert PPO.load(path, custom_objects=same).n_trees == model.n_trees
    with pytest.warns(UserWarning, match="policy_class"):
        PPO.load(path, custom_objects={"policy_class": "MlpPolicy"})
    with pytest.raises(ValueError, match="Observation spaces do not match"):
        PPO.load(path, custom_objects={"observation_space": spaces.Discrete(3)})
    with pytest.raises(TypeError, match="unexpected keyword argument 'lr_schedul'"):
        PPO.load(path, custom_objects={"lr_schedul": 0.0})


def test_names_of_files(tmp_path):
    model = small()
    model.save(tmp_path / "x.zip")
    assert PPO.load(tmp_path / "x").n_trees == 0 and PPO.load(str(tmp_path / "x.zip")).n_trees == 0
    model.save(tmp_path / "y")
    assert PPO.load(tmp_path / "y.zip").n_trees == 0
    with pytest.raises(FileNotFoundError, match="z.zip"):
        PPO.load(tmp_path / "z")


@pytest.mark.parametrize("make", [PPO, A2C, AWR])
def test_a_policy_alone_predicts_and_learns_on(make, tmp_path):
    settings = {"seed": 1, "norm_obs": True, "norm_reward": True, "policy_lr": "lin_0.05", "max_depth": 3}
    model = make("MlpPolicy", make_vec("CartPole-v1", 4), n_steps=32, **settings).learn(512)
    model.save_policy(tmp_path / "model.gbrl")
    alone = make.load(tmp_path / "model.gbrl")
    observations = np.random.default_rng(0).normal(size=(50, 4))
    assert np.array_equal(*(m.predict(observations, deterministic=True)[0] for m in (alone, model)))
    assert np.array_equal(*(m.policy.predict_values(observations) for m in (alone, model)))
    assert (alone.num_timesteps, alone.n_steps, alone.settings["max_depth"]) == (512, 32, 3)
    assert alone.vf_coef == model.vf_coef and alone.policy_lr == "linear:0.05:0"
    with pytest.raises(ValueError, match="expected environments to learn from"):
        alone.learn(64)
    alone.set_env(gymnasium.make("CartPole-v1"))
    assert alone.learn(64, reset_num_timesteps=False).n_trees > model.n_trees and alone.num_timesteps == 576
    again = make.load(tmp_path, env=make_vec("CartPole-v1", 2)).learn(64)
    assert again.n_envs == 2 and again.n_trees > model.n_trees
    assert make.load(again.save(tmp_path / "again")).n_trees == again.n_trees


def test_a_policy_alone_learns_on_with_masks_and_other_dtypes(tmp_path):
    class Doubles(Masked):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 4, (1,), dtype=np.float64)

    small(Masked()).learn(64).save_policy(tmp_path / "model.gbrl")
    kept = PPO.load(PPO.load(tmp_path / "model.gbrl").save(tmp_path / "kept"))
    for alone in (kept, copy.deepcopy(kept)):
        alone.set_env(Doubles())
        assert alone.learn(64).n_trees == 4
    model = PPO.load(tmp_path / "model.gbrl", env=Doubles()).learn(64)
    assert model.observation_space.dtype == np.float64 and model.n_trees == 4
    with pytest.raises(ValueError, match="Observation spaces do not match"):
        PPO.load(tmp_path / "model.gbrl", env="CartPole-v1")


def test_everything_of_a_policy_comes_along(tmp_path):
    """Trees, statistics of observations and rewards, settings: written again, the file is the same."""
    envs = make_vec("Pendulum-v1", 4)
    small(envs, norm_reward=True, norm_obs=True, gamma=0.9).learn(1024).save_policy(tmp_path / "model.gbrl")
    for env in (None, make_vec("Pendulum-v1", 4), make_vec("Pendulum-v1", 2)):
        PPO.load(tmp_path / "model.gbrl", env=env).save_policy(tmp_path / "again.gbrl")
        assert (tmp_path / "again.gbrl").read_bytes() == (tmp_path / "model.gbrl").read_bytes()


def test_the_folder_of_a_run(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="expected a saved model, or the folder of a run"):
        PPO.load(tmp_path)
    model = small()
    model.learn(64).save_policy(tmp_path / "model.gbrl")
    monkeypatch.chdir(tmp_path)
    assert PPO.load(".").num_timesteps == 64 and PPO.load("").seed is None
    model.save(tmp_path / "checkpoints" / "64")
    model.learn(128).save(tmp_path / "checkpoints" / "128")
    assert PPO.load(tmp_path).num_timesteps == 128 and PPO.load(tmp_path).seed == 1


def test_files_of_others_are_told_as_such(tmp_path):
    for name, data, message in (
        ("a.zip", b"PK\x03\x04 and a whole archive", "a.zip: not a gbrl file: .*zip archive, as Stable-Baselines3"),
        ("b.png", b"\x89PNG\r\n\x1a\n and pixels", "b.png: not a gbrl file: expected a header"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(gbrl_rs.FormatError, match=message):
            PPO.load(tmp_path / name)
        with pytest.raises(gbrl_rs.FormatError, match=message):
            Booster.load(tmp_path / name)
    Booster(1, 2).save(tmp_path / "c.gbrl")
    with pytest.raises(gbrl_rs.FormatError, match="c.gbrl: model: no policy: expected a policy.*got trees without one"):
        PPO.load(tmp_path / "c.gbrl")


@pytest.mark.skipif(sys.platform == "win32", reason="links and modes")
def test_links_and_modes_stay(tmp_path):
    model = small()
    (tmp_path / "store").mkdir()
    real, link = tmp_path / "store" / "real.gbrl", tmp_path / "link.gbrl"
    model.save(real)
    real.chmod(0o600)
    link.symlink_to(real)
    model.learn(64).save(link)
    assert link.is_symlink() and PPO.load(real).n_trees == 2
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path / "store")) == ["real.gbrl"]


class First(BaseCallback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def _on_step(self):
        self.seen.append(np.array(self.locals["new_obs"]).tolist())
        return True


def test_seeds_when_loading(tmp_path):
    path = small().learn(64).save(tmp_path / "m")

    def steps(**arguments):
        callback = First()
        model = PPO.load(path, env=gymnasium.make("CartPole-v1"), **arguments).learn(64, callback=callback)
        return callback.seen, model.seed

    assert steps() == steps() and steps()[1] == 1
    assert steps(seed=5) == steps(seed=5) and steps(seed=5)[1] == 5
    assert steps(seed=5)[0] != steps()[0]


def test_another_number_of_steps_makes_a_new_learner(tmp_path):
    model = small().learn(128)
    path = model.save(tmp_path / "m")
    again = PPO.load(path, env="CartPole-v1", n_steps=32, batch_size=16)
    observations = np.random.default_rng(0).normal(size=(50, 4))
    np.testing.assert_array_equal(again.policy.predict_values(observations), model.policy.predict_values(observations))
    again.learn(64, reset_num_timesteps=False)
    assert again.n_steps == 32 and again.n_trees == model.n_trees + 4 and again.num_timesteps == 192
    alone = PPO.load(path, n_steps=32)
    alone.set_env(gymnasium.make("CartPole-v1"))
    assert alone.learn(32).rollout_buffer.values.shape == (32, 1)


def test_another_number_of_environments_starts_new_episodes(tmp_path):
    path = small(make_vec("CartPole-v1", 2)).learn(256).save(tmp_path / "m")
    more = [PPO.load(path, env=make_vec("CartPole-v1", 3), force_reset=force_reset) for force_reset in (True, False)]
    policies = [model.learn(192, reset_num_timesteps=False).get_parameters() for model in more]
    assert more[0].n_envs == 3 and policies[0] == policies[1]


@pytest.mark.parametrize(
    "clone", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "copy", "pickle"]
)
def test_models_are_copied_without_their_environments(clone):
    model = small(make_vec("CartPole-v1", 2), n_threads=1).learn(256)
    other = clone(model)
    assert other.get_parameters() == model.get_parameters() and other.get_env() is None
    assert other.num_timesteps == 256 and other._agent.get("n_threads") == "1"
    other.set_env(make_vec("CartPole-v1", 2))
    other.learn(128)
    assert model.n_trees == 8 and other.n_trees == 12


def test_deep_copies_keep_functions():
    model = small(clip_range=lambda progress: 0.1 + progress, policy_kwargs={"policy_lr": lambda progress: 0.1})
    other = copy.deepcopy(model)
    assert other.clip_range is model.clip_range and other.policy_kwargs == model.policy_kwargs


POLICY = {
    "env_id": "x",
    "timesteps": 0,
    "observation_space": {"kind": "box", "shape": [4], "low": [0.0] * 4, "high": [1.0] * 4},
    "action_space": {"kind": "discrete", "n": 2, "start": 0},
}


def crafted(model, note):
    text = note if isinstance(note, str) else json.dumps(note)
    return io.BytesIO(model._agent.to_bytes(text, 64))


def test_notes_are_not_trusted():
    model = small().learn(64)
    note = json.loads(json.dumps(model._note(model._standing(None))))
    assert PPO.load(crafted(model, note)).num_timesteps == 64
    # Which earlier versions did not write.
    optional = ("env_id", "is_learnt")
    assert PPO.load(crafted(model, {key: note[key] for key in note if key not in optional}))._is_learnt
    bad = [{key: note[key] for key in note if key != missing} for missing in note if missing not in optional]
    box = note["observation_space"]
    counters, arguments = note["counters"], note["arguments"]
    bad += [
        {**note, **change}
        for change in (
            {"counters": [1]},
            {"counters": {**counters, "predict": 1}},
            {"counters": {**counters, "num_timesteps": -1}},
            {"counters": {**counters, "num_timesteps": "x"}},
            {"observation_space": {**box, "shape": [7]}},
            {"observation_space": {**box, "shape": [1 << 40], "low": ["-1.0"], "high": ["1.0"]}},
            {"observation_space": {**box, "shape": [-4]}},
            {"observation_space": {**box, "dtype": "object"}},
            {"observation_space": {"kind": "text"}},
            {"action_space": {"kind": "multi_binary", "shape": [1 << 40]}},
            {"action_space": {"kind": "multi_discrete", "nvec": [2, 2], "start": [0, 0], "dtype": "int64"}},
            {"n_envs": 7},
            {"n_envs": True},
            {"episodes": [1]},
            {"episodes": [{"r": 1.0}]},
            {"successes": ["x"]},
            {"returns": ["x"]},
            {"progress_remaining": float("nan")},
            {"root_seed": 1 << 70},
            {"env_id": 3},
            {"environments": "no base 64"},
            {"environments": 3},
            {"seen": 1},
            {"is_learnt": 1},
            {"arguments": {}},
            {"arguments": {**arguments, "learning_rate": {"function": "f"}}},
            {"arguments": {**arguments, "policy": "x"}},
            {"arguments": {**arguments, "foo": 1}},
        )
    ]
    bad += ["[1]", "{", '"text"', "null", "[" * 100_000]
    for each in bad:
        with pytest.raises(gbrl_rs.FormatError, match="expected"):
            PPO.load(crafted(model, each))
    for policy in (1, {}, {**POLICY, "timesteps": -1}, {**POLICY, "observation_space": {"kind": "box"}}):
        with pytest.raises(gbrl_rs.FormatError, match="expected"):
            PPO.load(crafted(model, {"policy": policy}))
    with pytest.raises(gbrl_rs.FormatError, match=r"expected a model of A2C, got one of PPO, for gbrl_rs.PPO.load\(\)"):
        A2C.load(crafted(model, note))


def test_masks_belong_to_the_model(tmp_path):
    free = small(Count())
    masked = small(Masked())

    class Both(Count):
        def action_masks(self):
            return np.ones(5, dtype=bool)

    with pytest.raises(ValueError, match="Action masks do not match: expected environments without action masks"):
        free.set_env(Both())
    with pytest.raises(ValueError, match="got environments with action masks"):
        PPO.load(free.save(tmp_path / "m"), env=Both())

    class Plain(gymnasium.Wrapper):
        def has_wrapper_attr(self, name):
            return name != "action_masks" and super().has_wrapper_attr(name)

    with pytest.raises(ValueError, match="expected environments with action masks, as the model learnt from"):
        masked.set_env(Plain(Masked()))


def test_misuse_is_told_in_sb3s_words():
    model = small()
    with pytest.raises(AssertionError, match="No previous observation was provided"):
        model.collect_rollouts(model.get_env(), BaseCallback())
    seen = []

    class Look(BaseCallback):
        def _on_step(self):
            seen.append(hasattr(self.model.rollout_buffer, "values"))
            return True

        def _on_rollout_end(self):
            seen.append(hasattr(self.model.rollout_buffer, "values"))

    model.learn(64, callback=Look())
    assert seen == [False] * 64 + [True]
    with pytest.raises(AttributeError, match="expected a complete rollout"):
        _ = small().rollout_buffer.values
    assert model.rollout_buffer.actions.dtype == np.int64 and model.rollout_buffer.actions.shape == (64, 1, 1)
