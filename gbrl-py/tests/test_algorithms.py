"""A2C and AWR take the road that PPO takes; what all three share is tested on all three."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from toys import Identity

from gbrl_rs import A2C, AWR, PPO, BaseCallback, FormatError, evaluate_policy, make_vec, make_vec_env, parameters, preset

SMALL = {
    PPO: {"n_steps": 32, "batch_size": 32, "n_epochs": 2},
    A2C: {"n_steps": 8},
    AWR: {"n_steps": 32, "buffer_size": 300, "value_updates": 3, "policy_updates": 4, "policy_batch_size": 64},
}
ALGORITHMS = pytest.mark.parametrize("algorithm", SMALL, ids=lambda algorithm: algorithm.__name__)
# What learns an identity from 8,000 steps.
LEARNS = {
    PPO: {"n_steps": 64, "batch_size": 64},
    A2C: {"n_steps": 16, "policy_lr": 0.3},
    AWR: {"n_steps": 64, "buffer_size": 2048, "policy_updates": 20, "value_updates": 5, "policy_batch_size": 256},
}


def small(algorithm, env="CartPole-v1", **arguments):
    return algorithm("MlpPolicy", env, **{**SMALL[algorithm], "seed": 1, **arguments})


def policy_of(model):
    return model.get_parameters()["policy"]


class MaskedIdentity(Identity):
    """Identity in which only the right choice and the first are allowed; the wrong ones would end it with a fault."""

    def action_masks(self):
        sizes = self._sizes()
        masks = [np.zeros(size, dtype=bool) for size in sizes]
        for mask, right in zip(masks, np.ravel(self.shown) - self._start(), strict=True):
            mask[0] = mask[int(right)] = True
        return np.concatenate(masks)

    def _sizes(self):
        if isinstance(self.action_space, spaces.Discrete):
            return [int(self.action_space.n)]
        if isinstance(self.action_space, spaces.MultiBinary):
            return [2] * int(np.prod(self.action_space.shape))
        return [int(n) for n in np.ravel(self.action_space.nvec)]

    def _start(self):
        start = getattr(self.action_space, "start", 0)
        return np.ravel(start)

    def step(self, action):
        flags, at = self.action_masks(), 0
        for size, choice in zip(self._sizes(), np.ravel(action) - self._start(), strict=True):
            assert flags[at + int(choice)], f"{action} is not allowed by {flags}"
            at += size
        return super().step(action)


@ALGORITHMS
@pytest.mark.parametrize("space", [spaces.Discrete(4), spaces.MultiDiscrete([3, 3]), spaces.MultiBinary(3)], ids=str)
def test_identity_is_learnt(algorithm, space):
    env = SyncVectorEnv([lambda: Identity(space)] * 4)
    model = algorithm("MlpPolicy", env, gamma=0.5, seed=0, **LEARNS[algorithm]).learn(8_000)
    mean, _ = evaluate_policy(model, Identity(space, 100), 5)
    assert mean > 95


@ALGORITHMS
@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(4), spaces.Discrete(3, start=-1), spaces.MultiDiscrete([3, 4]), spaces.MultiBinary(3)],
    ids=str,
)
def test_masks_are_kept_in_training_prediction_evaluation_and_after_loading(algorithm, space, tmp_path):
    def env():
        return MaskedIdentity(space, 100)

    model = small(algorithm, SyncVectorEnv([env] * 4)).learn(1_000)
    assert model.rollout_buffer.action_masks.shape[:2] == (model.n_steps, 4)
    evaluate_policy(model, env(), 2, deterministic=False)
    evaluate_policy(model, env(), 2)
    loaded = algorithm.load(model.save(tmp_path / "model"), env=SyncVectorEnv([env] * 4))
    evaluate_policy(loaded, env(), 2, deterministic=False)
    loaded.learn(500, reset_num_timesteps=False)
    # A mask of one choice each is an order.
    sizes = MaskedIdentity(space)._sizes()
    only = np.concatenate([np.arange(size) == size - 1 for size in sizes])
    observation = env().reset(seed=0)[0]
    for deterministic in (False, True):
        action, _ = loaded.predict(observation, deterministic=deterministic, action_masks=only)
        start = np.ravel(getattr(space, "start", 0))
        assert (np.ravel(action) == np.array(sizes) - 1 + start).all()


@ALGORITHMS
def test_a_seed_fixes_the_bytes_whatever_the_threads(algorithm):
    policies = {policy_of(small(algorithm, make_vec("CartPole-v1", 4), n_threads=n).learn(1024)) for n in (1, 2)}
    assert len(policies) == 1


HALVES = [None, BaseCallback]  # environments that are stepped in Rust, and through Python


@ALGORITHMS
@pytest.mark.parametrize("first", HALVES)
@pytest.mark.parametrize("second", HALVES)
def test_continued_equals_uninterrupted(algorithm, first, second, tmp_path):
    def made():
        return small(algorithm, make_vec("CartPole-v1", 4), norm_obs=True, norm_reward=True)

    whole = made().learn(1024)
    # Schedules stand where the first half left them: there are none here.
    half = made().learn(512, callback=first and first())
    path = half.save(tmp_path / "half")
    loaded = algorithm.load(path, env=make_vec("CartPole-v1", 4), force_reset=False)
    assert (type(loaded), loaded.num_timesteps, loaded._n_updates) == (algorithm, 512, half._n_updates)
    for model in (loaded, half):
        model.learn(512, callback=second and second(), reset_num_timesteps=False)
        assert policy_of(model) == policy_of(whole)
        # Also those that began in one way and ended in the other.
        ends = [[(episode["r"], episode["l"]) for episode in each.ep_info_buffer] for each in (model, whole)]
        assert ends[0] == ends[1]


@ALGORITHMS
def test_a_file_is_of_one_algorithm(algorithm, tmp_path):
    path = small(algorithm).learn(64).save(tmp_path / "model")
    other = A2C if algorithm is PPO else PPO
    with pytest.raises(FormatError, match=f"expected a model of {other.__name__}, got one of {algorithm.__name__}"):
        other.load(path)


@ALGORITHMS
def test_presets_and_defaults_are_the_algorithms_own(algorithm):
    name = algorithm.ALGORITHM
    defaults = {parameter["name"]: parameter["default"] for parameter in parameters(name)}
    assert ("beta" in defaults) == (algorithm is AWR) and ("clip_range" in defaults) == (algorithm is PPO)
    paper = preset("CartPole-v1", "paper", name)
    model = algorithm.from_preset(make_vec("CartPole-v1", 2), "paper", seed=0)
    assert model.n_steps == paper["n_steps"] and model.vf_coef == paper["vf_coef"]
    assert float(model._agent.get("vf_coef")) == pytest.approx(2 * paper["vf_coef"])
    assert model._agent.algo == name
    with pytest.raises(TypeError, match="clip_rang"):
        algorithm("MlpPolicy", "CartPole-v1", clip_rang=0.1)


def test_a2c_has_sb3s_arguments_and_says_what_it_ignores():
    model = A2C("MlpPolicy", make_vec("CartPole-v1", 8))
    assert (model.n_steps, model.gae_lambda, model.normalize_advantage, model.learning_rate) == (5, 1.0, False, 7e-4)
    with pytest.warns(UserWarning, match="use_rms_prop=False is about an optimizer"):
        A2C("MlpPolicy", "CartPole-v1", use_rms_prop=False)
    with pytest.raises(NotImplementedError, match="use_sde"):
        A2C("MlpPolicy", "CartPole-v1", use_sde=True)
    twice = A2C("MlpPolicy", make_vec("CartPole-v1", 8), learning_rate=14e-4)
    assert float(twice._agent.get("policy_lr")) == pytest.approx(2 * float(model._agent.get("policy_lr")))
    few = A2C("MlpPolicy", make_vec("CartPole-v1", 4))
    assert float(few._agent.get("value_lr")) == pytest.approx(0.5 * float(model._agent.get("value_lr")))
    with pytest.raises(TypeError, match="clip_range"):
        A2C("MlpPolicy", "CartPole-v1", clip_range=0.1)


def test_a2c_adds_a_tree_per_rollout_and_awr_as_many_as_it_says():
    a2c = small(A2C, make_vec("CartPole-v1", 4)).learn(320)
    assert (a2c.n_trees, a2c._n_updates) == (10, 10)
    awr = small(AWR, make_vec("CartPole-v1", 4)).learn(256)
    assert (awr.n_trees, awr._n_updates) == (14, 14)
    with pytest.raises(ValueError, match="buffer_size: expected at least 128"):
        small(AWR, make_vec("CartPole-v1", 4), buffer_size=100)


def test_a2c_learns_cartpole_with_sb3s_numbers():
    model = A2C("MlpPolicy", make_vec("CartPole-v1", 8), seed=0).learn(200_000)
    mean, _ = evaluate_policy(model, make_vec_env("CartPole-v1", 8), 20)
    assert mean > 400


def test_awr_learns_cartpole():
    model = AWR("MlpPolicy", make_vec("CartPole-v1", 8), n_steps=256, seed=0).learn(100_000)
    mean, _ = evaluate_policy(model, make_vec_env("CartPole-v1", 8), 20)
    assert mean > 300


def test_truncated_episodes_are_learnt_from_in_a_loop_of_python():
    class Endless(gymnasium.Env):
        """Reward 1 for ever: worth 1/(1 − γ) in every state, if time limits are no ends."""

        observation_space = spaces.Box(-1, 1, (1,))
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, dtype=np.float32), {}

        def step(self, action):
            return np.zeros(1, dtype=np.float32), 1.0, False, False, {}

    for algorithm, more in ((A2C, {"value_lr": 0.3}), (AWR, {"value_updates": 30})):
        env = gymnasium.wrappers.TimeLimit(Endless(), 5)
        arguments = {**SMALL[algorithm], **more, "gamma": 0.8, "seed": 0}
        model = algorithm("MlpPolicy", env, **arguments).learn(4_000)
        assert model.policy.predict_values(np.zeros((1, 1)))[0] == pytest.approx(5.0, abs=0.3)
