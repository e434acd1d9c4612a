"""A script that was written for Stable-Baselines3 runs with only its imports changed, where SB3 is not installed."""

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv
from toys import Count, Identity

from gbrl_rs import PPO, CheckpointCallback, EvalCallback, VecNormalize, evaluate_policy, make_vec_env


def test_the_script(tmp_path):
    env = VecNormalize(make_vec_env("CartPole-v1", n_envs=2, seed=0), norm_obs=True, norm_reward=True)
    eval_env = VecNormalize(make_vec_env("CartPole-v1", n_envs=1, seed=1), training=False, norm_reward=False)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, seed=0)
    evaluate = EvalCallback(
        eval_env,
        eval_freq=50,
        n_eval_episodes=2,
        log_path=str(tmp_path / "eval"),
        best_model_save_path=str(tmp_path / "best"),
        verbose=0,
    )
    save = CheckpointCallback(50, str(tmp_path / "checkpoints"), save_vecnormalize=True)
    model.learn(256, callback=[evaluate, save])
    model.save(tmp_path / "model")
    env.save(tmp_path / "normalize.pkl")
    assert eval_env.obs_rms.count == pytest.approx(2 * 101) and env.obs_rms.count == pytest.approx(2 * 129)
    del model
    again = VecNormalize.load(tmp_path / "normalize.pkl", make_vec_env("CartPole-v1", n_envs=2))
    again.training = False
    model = PPO.load(tmp_path / "model", env=again)
    mean, _ = evaluate_policy(model, again, n_eval_episodes=4)
    assert mean == int(4 * mean) / 4 > 1  # whole rewards: the monitor's, not the scaled ones
    observations = again.reset()
    for _ in range(10):
        actions, _ = model.predict(observations, deterministic=True)
        observations, rewards, dones, infos = again.step(actions)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [
        "rl_model_100_steps.gbrl",
        "rl_model_200_steps.gbrl",
        "rl_model_vecnormalize_100_steps.pkl",
        "rl_model_vecnormalize_200_steps.pkl",
    ]
    assert (tmp_path / "best" / "best_model.gbrl").exists()


def test_statistics_are_those_of_what_was_seen():
    env = VecNormalize(make_vec_env(lambda: Count(5), 2), gamma=0.5)
    env.reset()
    sums, rewards_seen = np.zeros(2), []
    seen = [env.get_original_obs()]
    for t in range(23):
        observations, rewards, dones, infos = env.step(np.array([t % 5, 1]))
        seen.append(env.get_original_obs())
        sums = sums * 0.5 + env.get_original_reward()
        rewards_seen.append(sums.copy())
        expected = env.get_original_reward() / np.sqrt(np.var(rewards_seen, dtype=float) + 1e-8)
        np.testing.assert_allclose(rewards, np.clip(expected, -10, 10), rtol=0.02)
        sums[dones] = 0
        for i in np.flatnonzero(dones):
            last = env.unnormalize_obs(infos[i]["terminal_observation"])
            np.testing.assert_allclose(last[0], 5, atol=1e-4)
    rows = np.concatenate(seen)
    np.testing.assert_allclose(env.obs_rms.mean, rows.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(env.obs_rms.var, rows.var(axis=0), atol=1e-3)
    np.testing.assert_allclose(env.unnormalize_obs(observations), seen[-1], atol=1e-4)
    assert env.observation_space.contains(observations[0])


def test_dictionaries_and_what_cannot_be_normalised():
    space = spaces.Dict({"x": spaces.Box(-1, 1, (2,)), "k": spaces.Discrete(3)})
    with pytest.raises(ValueError, match="got k: Discrete"):
        VecNormalize(make_vec_env(lambda: Identity(space)))
    env = VecNormalize(make_vec_env(lambda: Shown(space), 2), norm_obs_keys=["x"])
    observations = env.reset()
    assert observations["k"].tolist() == env.get_original_obs()["k"].tolist()
    assert set(env.obs_rms) == {"x"} and env.observation_space["k"] == space["k"]
    with pytest.raises(ValueError, match="expected what VecNormalize.save"):
        VecNormalize.load(__file__, Count(3))


class Shown(Identity):
    """A Dict to look at, two actions."""

    def __init__(self, space):
        super().__init__(space)
        self.action_space = spaces.Discrete(2)

    def _show(self):
        self.shown = self.observation_space.sample()
        return self.shown


def test_processes_are_normalised_too(tmp_path):
    env = VecNormalize(AsyncVectorEnv([lambda: Count(4)] * 2))
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=32, seed=0).learn(64)
    env.save(tmp_path / "s.json")
    assert model.num_timesteps == 64 and env.get_attr("length") == [4, 4]
    env.close()
    with pytest.raises(ValueError, match="statistics of shape"):
        VecNormalize.load(tmp_path / "s.json", make_vec_env("CartPole-v1", 2))


def test_normalisation_can_be_switched_undone_and_moved():
    env = VecNormalize(make_vec_env(lambda: Count(5), 2))
    env.reset()
    for _ in range(4):
        _, rewards, _, _ = env.step(np.array([1, 2]))
    np.testing.assert_allclose(env.unnormalize_reward(rewards), env.get_original_reward(), rtol=1e-5)
    env.norm_obs = env.norm_reward = False
    observations, rewards, _, _ = env.step(np.array([1, 2]))
    np.testing.assert_array_equal(observations, env.get_original_obs())
    np.testing.assert_array_equal(rewards, [1, 2])
    assert env.unnormalize_reward(rewards) is rewards
    mean = env.obs_rms.mean.copy()
    env.set_venv(make_vec_env(lambda: Count(5), 3))
    assert env.num_envs == 3 and env.reset().shape == (3, 2) and np.array_equal(env.obs_rms.mean, mean)
    with pytest.raises(ValueError, match="expected environments of the spaces"):
        env.set_venv(make_vec_env("CartPole-v1", 1))
