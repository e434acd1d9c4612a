"""Stable-Baselines3's own objects work everywhere, and only the import of PPO changes."""

import sys

import gymnasium
import numpy as np
import pytest
from toys import Count, Masked

import gbrl_rs

pytestmark = pytest.mark.sb3
pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

import torch  # noqa: E402
from sb3_contrib.common.wrappers import ActionMasker  # noqa: E402
from stable_baselines3 import PPO as Sb3PPO  # noqa: E402
from stable_baselines3.common import callbacks, evaluation, logger  # noqa: E402
from stable_baselines3.common.env_util import make_vec_env  # noqa: E402
from stable_baselines3.common.monitor import Monitor, load_results  # noqa: E402
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecMonitor, VecNormalize  # noqa: E402

# Networks this small only wait for each other on several threads.
torch.set_num_threads(1)

SMALL = {"n_steps": 32, "batch_size": 32, "n_epochs": 1, "seed": 0}


def script(PPO, folder):
    """A script as people write it for SB3; what it returns is compared."""
    env = VecNormalize(make_vec_env("CartPole-v1", n_envs=2, seed=0), norm_obs=True, norm_reward=True)
    eval_env = VecNormalize(make_vec_env("CartPole-v1", n_envs=1, seed=1), training=False, norm_reward=False)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=32, tensorboard_log=str(folder / "tb"), seed=0)
    evaluate = callbacks.EvalCallback(
        eval_env,
        callback_on_new_best=callbacks.StopTrainingOnRewardThreshold(1e9),
        eval_freq=50,
        n_eval_episodes=2,
        log_path=str(folder / "eval"),
        best_model_save_path=str(folder / "best"),
        verbose=0,
    )
    save = callbacks.CheckpointCallback(50, str(folder / "checkpoints"), save_vecnormalize=True)
    model.learn(256, callback=[evaluate, save], tb_log_name="run")
    model.save(folder / "model")
    env.save(str(folder / "normalize.pkl"))
    del model
    again = VecNormalize.load(str(folder / "normalize.pkl"), make_vec_env("CartPole-v1", n_envs=2))
    again.training = False
    model = PPO.load(folder / "model", env=again)
    mean, std = evaluation.evaluate_policy(model, again, n_eval_episodes=2)
    observations = again.reset()
    for _ in range(10):
        actions, _ = model.predict(observations, deterministic=True)
        observations, *_ = again.step(actions)
    assert np.isfinite([mean, std]).all()
    assert np.load(folder / "eval" / "evaluations.npz")["timesteps"].tolist() == [100, 200]
    assert list((folder / "tb").glob("run_1/events*"))
    return sorted(path.stem for path in (folder / "checkpoints").iterdir())


def test_a_script_runs_with_only_the_import_changed(tmp_path):
    for name in ("sb3", "gbrl"):
        (tmp_path / name).mkdir()
    assert script(gbrl_rs.PPO, tmp_path / "gbrl") == script(Sb3PPO, tmp_path / "sb3")


def test_our_callbacks_and_evaluation_work_on_sb3s_environments(tmp_path):
    env = VecNormalize(DummyVecEnv([lambda: Monitor(Count(4))] * 2))
    evaluate = gbrl_rs.EvalCallback(
        VecNormalize(DummyVecEnv([lambda: Monitor(Count(4))]), training=False), eval_freq=16, verbose=0
    )
    model = gbrl_rs.PPO("MlpPolicy", env, **SMALL)
    assert model.get_vec_normalize_env() is env and model.get_env() is env
    model.learn(64, callback=[evaluate, gbrl_rs.CheckpointCallback(32, str(tmp_path), save_vecnormalize=True)])
    assert np.array_equal(evaluate.eval_env.obs_rms.mean, env.obs_rms.mean)
    assert (tmp_path / "rl_model_vecnormalize_64_steps.pkl").exists()
    with pytest.raises(AssertionError, match="not wrapped the same way"):
        model.learn(64, callback=gbrl_rs.EvalCallback(Count(4), eval_freq=1))
    with pytest.warns(UserWarning, match="not wrapped with a ``Monitor``"):
        gbrl_rs.evaluate_policy(model, DummyVecEnv([lambda: Count(4)]), 1)


def test_our_evaluation_of_an_sb3_model_is_sb3s():
    model = Sb3PPO("MlpPolicy", "CartPole-v1", seed=0, device="cpu")
    results = []
    for evaluate in (evaluation.evaluate_policy, gbrl_rs.evaluate_policy):
        env = make_vec_env("CartPole-v1", 2, seed=3)
        results.append(evaluate(model, env, 6, return_episode_rewards=True))
    assert results[0] == results[1]


@pytest.mark.parametrize("wrap", [VecMonitor, lambda env: VecFrameStack(env, 2), lambda env: env])
def test_sb3s_wrappers(wrap):
    model = gbrl_rs.PPO("MlpPolicy", wrap(DummyVecEnv([lambda: Count(4)] * 2)), **SMALL).learn(128)
    assert model.ep_info_buffer[0]["l"] == 4


def test_worker_processes():
    env = make_vec_env("CartPole-v1", 2, seed=0, vec_env_cls=SubprocVecEnv)
    forked = gbrl_rs.PPO("MlpPolicy", env, **SMALL).learn(128).get_parameters()
    env.close()
    env = make_vec_env("CartPole-v1", 2, seed=0)
    assert gbrl_rs.PPO("MlpPolicy", env, **SMALL).learn(128).get_parameters() == forked


def test_masks_by_sb3_contrib():
    env = DummyVecEnv([lambda: ActionMasker(Masked(), lambda env: env.unwrapped.action_masks())])
    model = gbrl_rs.PPO("MlpPolicy", env, **SMALL).learn(64)
    assert gbrl_rs.evaluate_policy(model, env, 2, warn=False) == (8.0, 0.0)


def test_loggers_and_results_of_sb3(tmp_path):
    model = gbrl_rs.PPO("MlpPolicy", Monitor(Count(4), str(tmp_path / "m")), **SMALL)
    model.set_logger(logger.configure(str(tmp_path), ["csv", "tensorboard"]))
    model.learn(64)
    assert "rollout/ep_rew_mean" in (tmp_path / "progress.csv").read_text()
    assert load_results(str(tmp_path))["l"].tolist()[:3] == [4, 4, 4]


def test_our_monitor_is_read_by_sb3(tmp_path):
    env = gbrl_rs.make_vec_env(lambda: Count(4), 1, monitor_dir=str(tmp_path))
    gbrl_rs.PPO("MlpPolicy", env, **SMALL).learn(32)
    env.close()
    assert load_results(str(tmp_path))["l"].tolist() == [4] * 8


def test_environments_made_by_us_for_sb3():
    env = gbrl_rs.make_vec_env("CartPole-v1", 2, seed=1, vec_env_cls=DummyVecEnv)
    observations = env.reset()
    assert observations.shape == (2, 4)
    Sb3PPO("MlpPolicy", env, n_steps=8, batch_size=16, device="cpu").learn(16)


def test_tensors_and_the_policy():
    model = gbrl_rs.PPO("MlpPolicy", "CartPole-v1", **SMALL).learn(32)
    tensor = torch.zeros((3, 4), dtype=torch.float64, requires_grad=True)
    array = np.zeros((3, 4))
    assert np.array_equal(model.policy.predict_values(tensor), model.policy.predict_values(array))
    actions = torch.tensor([[0], [1], [0]])
    for ours, again in zip(
        model.policy.evaluate_actions(tensor, actions),
        model.policy.evaluate_actions(array, actions.numpy()),
        strict=True,
    ):
        assert np.array_equal(ours, again)


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.9, 0.8), (1.0, 1.0), (0.99, 0.0), (0.0, 0.5)])
def test_gae_is_sb3s(gamma, gae_lambda):
    """The same rewards, values and ends give the same advantages in SB3's buffer, time limits included."""
    from stable_baselines3.common.buffers import RolloutBuffer

    env = DummyVecEnv([lambda: Count(7), lambda: Count(5, offset=9)])
    model = gbrl_rs.PPO("MlpPolicy", env, **SMALL, gamma=gamma, gae_lambda=gae_lambda).learn(256)
    space = env.observation_space
    buffer = RolloutBuffer(32, space, env.action_space, "cpu", gae_lambda, gamma, 2)
    steps = []

    def note(locals_, globals_):
        # SB3 adds the discounted value of the last observation to the reward where a time limit ended an episode.
        rewards = locals_["rewards"].copy()
        for i, info in enumerate(locals_["infos"]):
            if info.get("TimeLimit.truncated"):
                rewards[i] += gamma * model.policy.predict_values(info["terminal_observation"])[0, 0]
        steps.append(rewards)

    _, callback = model._setup_learn(64, note, False, "PPO", False)
    model.collect_rollouts(env, callback)
    rows = model.rollout_buffer
    assert rows.values.std() > 0
    for t in range(32):
        starts = rows.episode_starts[t]
        values, log_probs = torch.tensor(rows.values[t]), torch.tensor(rows.log_probs[t])
        buffer.add(rows.observations[t], rows.actions[t], steps[t], starts, values, log_probs)
    last = torch.tensor(model.policy.predict_values(model._last_obs))
    buffer.compute_returns_and_advantage(last, model._last_episode_starts)
    np.testing.assert_allclose(rows.advantages, buffer.advantages, atol=1e-5)
    np.testing.assert_allclose(rows.returns, buffer.returns, atol=1e-5)


def test_sb3_is_imported_by_its_users_alone():
    import subprocess

    program = "import gbrl_rs, sys; gbrl_rs.PPO('MlpPolicy', 'CartPole-v1').learn(1); "
    program += "print([name for name in ('stable_baselines3', 'torch', 'matplotlib') if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout == "[]\n"


def test_progress_bars(capsys):
    model = gbrl_rs.PPO("MlpPolicy", gbrl_rs.make_vec("CartPole-v1", 2), **SMALL)
    model.learn(128, progress_bar=True, callback=callbacks.ProgressBarCallback())
    assert model.num_timesteps == 128


def test_an_sb3_model_that_takes_no_masks_is_evaluated_without():
    model = Sb3PPO("MlpPolicy", "CartPole-v1", device="cpu")
    env = gymnasium.wrappers.TransformAction(gymnasium.make("CartPole-v1"), lambda action: action, None)
    env.action_masks = lambda: np.ones(2, dtype=bool)
    assert gbrl_rs.evaluate_policy(model, env, 1)[0] > 0


def test_sb3_takes_the_models_environments_for_its_own():
    model = gbrl_rs.PPO("MlpPolicy", Monitor(Count(4)), **SMALL)
    env = model.get_env()
    returns, lengths = evaluation.evaluate_policy(model, env, n_eval_episodes=3, return_episode_rewards=True)
    assert lengths == [4] * 3
    wrapped = VecNormalize(VecMonitor(env))
    assert gbrl_rs.PPO("MlpPolicy", wrapped, **SMALL).learn(32, callback=callbacks.EvalCallback(wrapped, eval_freq=16))


@pytest.mark.parametrize("evaluate", [callbacks.EvalCallback, gbrl_rs.EvalCallback])
@pytest.mark.parametrize("wrap", [lambda env: VecFrameStack(env, 2), VecMonitor, lambda env: VecMonitor(VecFrameStack(env, 2))])
def test_normalizers_inside_other_wrappers_are_synchronised(wrap, evaluate):
    env = wrap(VecNormalize(make_vec_env("CartPole-v1", 2, seed=0)))
    eval_env = wrap(VecNormalize(make_vec_env("CartPole-v1", 1, seed=1), training=False))
    model = gbrl_rs.PPO("MlpPolicy", env, **SMALL)
    assert type(model.get_vec_normalize_env()) is VecNormalize
    model.learn(64, callback=evaluate(eval_env, eval_freq=32, n_eval_episodes=1, verbose=0))

    def inner(env):
        while type(env) is not VecNormalize:
            env = env.venv
        return env

    np.testing.assert_array_equal(inner(eval_env).obs_rms.mean, inner(env).obs_rms.mean)
    assert inner(eval_env).obs_rms.count > 60


def test_variables_of_a_step_are_sb3s():
    seen = {}
    for name, algorithm in (("ours", gbrl_rs.PPO), ("sb3", Sb3PPO)):

        class Look(callbacks.BaseCallback):
            def _on_step(self):
                shown = self.locals
                if self.n_calls == 1:
                    actions, values = np.asarray(shown["actions"]), shown["values"]
                    seen[name] = [actions.dtype, actions.shape, tuple(values.shape), shown["n_steps"]]  # noqa: B023
                    seen[name] += ["obs_tensor" in shown, np.array_equal(self.model._last_obs, shown["new_obs"])]  # noqa: B023
                return True

            def _on_rollout_end(self):
                seen[name].append(self.model.rollout_buffer.actions.dtype)  # noqa: B023

        algorithm("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, n_epochs=1).learn(32, callback=Look())
    assert seen["ours"] == seen["sb3"]
