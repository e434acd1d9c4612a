"""Callbacks, evaluation and monitors do what Stable-Baselines3's do."""

import csv
import json

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from toys import Count, Masked

from gbrl_rs import (
    PPO,
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    ConvertCallback,
    EvalCallback,
    EveryNTimesteps,
    Monitor,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
    VecNormalize,
    configure,
    evaluate_policy,
    make_vec,
    make_vec_env,
)

from gbrl_rs.callbacks import vec_normalize_of


def small(env=None, **arguments):
    env = SyncVectorEnv([lambda: Count(4)] * 2) if env is None else env
    return PPO("MlpPolicy", env, **{"n_steps": 16, "batch_size": 16, "n_epochs": 1, "seed": 0, **arguments})


class Diary(BaseCallback):
    def __init__(self, answer=True):
        super().__init__()
        self.entries, self.answer = [], answer

    def _init_callback(self):
        self.entries.append("init")

    def _on_training_start(self):
        self.entries.append(f"start {self.num_timesteps} {self.locals['total_timesteps']}")

    def _on_rollout_start(self):
        self.entries.append("rollout")

    def _on_step(self):
        self.entries.append(self.num_timesteps)
        return self.answer

    def _on_rollout_end(self):
        self.entries.append("end")

    def _on_training_end(self):
        self.entries.append("done")


def test_everything_is_called_in_order():
    diary = Diary()
    model = small(n_steps=2, batch_size=2)
    model.learn(8, callback=diary)
    assert diary.entries == ["init", "start 0 8", "rollout", 2, 4, "end", "rollout", 6, 8, "end", "done"]
    assert diary.n_calls == 4 and diary.training_env is model.get_env() and diary.logger is model.logger
    diary.entries.clear()
    model.learn(4, callback=diary, reset_num_timesteps=False)
    assert diary.entries == ["init", "start 8 12", "rollout", 10, 12, "end", "done"]


def test_a_callback_can_stop_and_learning_can_go_on():
    stop = Diary(answer=False)
    model = small().learn(1000, callback=stop)
    assert model.num_timesteps == 2 and stop.entries == ["init", "start 0 1000", "rollout", 2, "done"]
    assert model.n_trees == 0
    model.learn(32, reset_num_timesteps=False)
    assert model.num_timesteps >= 34 and model.n_trees > 0


def test_variables_of_a_step():
    seen = []

    def look(locals_, globals_):
        seen.append(
            {key: locals_[key] for key in ("rewards", "dones", "infos", "new_obs", "actions", "clipped_actions")}
        )
        assert locals_["self"].num_timesteps == 2 * len(seen)

    small().learn(32, callback=look)
    assert len(seen) == 16
    assert [step["dones"].tolist() for step in seen[:5]] == [[False] * 2] * 3 + [[True] * 2] + [[False] * 2]
    assert seen[3]["infos"][0]["terminal_observation"].tolist() == [4, 0] and seen[2]["infos"][0] == {}
    np.testing.assert_array_equal(seen[0]["rewards"], seen[0]["clipped_actions"])
    assert seen[3]["new_obs"].tolist() == [[0, 1], [0, 1]]


def test_lists_functions_and_nesting():
    first, second = Diary(answer=False), Diary()
    model = small().learn(100, callback=[first, second])
    assert first.entries == second.entries and model.num_timesteps == 2
    inner = Diary()
    small().learn(64, callback=CallbackList([EveryNTimesteps(10, inner), ConvertCallback(lambda a, b: None)]))
    assert [entry for entry in inner.entries if isinstance(entry, int)] == [10, 20, 30, 40, 50, 60]
    with pytest.raises(TypeError, match="callback: expected a callback"):
        small().learn(10, callback=3)


def test_rust_rollouts_call_back_once_each_where_nobody_needs_steps():
    class PerRollout(Diary):
        needs_steps = False

    diary = PerRollout()
    model = small(make_vec("CartPole-v1", 2)).learn(64, callback=diary)
    assert diary.entries == ["init", "start 0 64", "rollout", 32, "end", "rollout", 64, "end", "done"]
    assert model.rollout_buffer.returns.shape == (16, 2)


def test_checkpoints(tmp_path):
    small().learn(64, callback=CheckpointCallback(8, str(tmp_path / "new"), name_prefix="x"))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        f"x_{steps}_steps.gbrl" for steps in (16, 32, 48, 64)
    ]
    assert PPO.load(tmp_path / "new" / "x_32_steps").num_timesteps == 32


def test_evaluations_keep_the_best(tmp_path, capsys):
    after, best = Diary(), Diary()
    callback = EvalCallback(
        Count(4),
        callback_on_new_best=best,
        callback_after_eval=after,
        n_eval_episodes=3,
        eval_freq=8,
        log_path=str(tmp_path / "logs"),
        best_model_save_path=str(tmp_path),
    )
    model = small()
    model.set_logger(configure(str(tmp_path / "csv"), ["csv"]))
    model.learn(64, callback=callback)
    table = np.load(tmp_path / "logs" / "evaluations.npz")
    assert table["timesteps"].tolist() == [16, 32, 48, 64]
    assert table["results"].shape == table["ep_lengths"].shape == table["successes"].shape == (4, 3)
    assert (table["ep_lengths"] == 4).all()
    means = table["results"].mean(axis=1)
    assert callback.best_mean_reward == means.max() and callback.last_mean_reward == means[-1]
    assert after.n_calls == 4 and best.n_calls == 1 + int((np.diff(np.maximum.accumulate(means)) > 0).sum())
    assert (tmp_path / "best_model.gbrl").exists()
    said = capsys.readouterr().out
    assert f"Eval num_timesteps=16, episode_reward={means[0]:.2f} +/- " in said and "New best mean reward!" in said
    model.logger.close()
    with open(tmp_path / "csv" / "progress.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["eval/mean_reward"]) for row in rows if row["eval/mean_reward"]] == pytest.approx(means)
    assert {row["eval/success_rate"] for row in rows if row["eval/success_rate"]} <= {
        "0.0",
        str(1 / 3),
        str(2 / 3),
        "1.0",
    }


def test_stopping_on_results(capsys):
    enough = EvalCallback(Count(4), StopTrainingOnRewardThreshold(-1.0, verbose=1), eval_freq=5, verbose=0)
    assert small().learn(1000, callback=enough).num_timesteps == 10
    assert "is above the threshold" in capsys.readouterr().out
    stale = EvalCallback(
        Masked(),
        callback_after_eval=StopTrainingOnNoModelImprovement(2, min_evals=1, verbose=1),
        eval_freq=4,
        verbose=0,
    )
    model = small(SyncVectorEnv([Masked] * 2)).learn(1000, callback=stale)
    assert model.num_timesteps == 2 * 4 * 4  # always 8.0: the first is a best, the second..fourth are not
    with pytest.raises(AssertionError, match="must be used with an ``EvalCallback``"):
        small().learn(10, callback=StopTrainingOnRewardThreshold(1.0))
    episodes = StopTrainingOnMaxEpisodes(3, verbose=1)
    assert small().learn(1000, callback=episodes).num_timesteps == 2 * 12 and episodes.n_episodes == 6


def test_a_progress_bar_says_what_it_needs():
    try:
        import rich  # noqa: F401
        import tqdm  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"pip install tqdm rich"):
            small().learn(10, progress_bar=True)


def test_logs_have_sb3s_keys(tmp_path, capsys):
    model = small(verbose=1).learn(96, log_interval=2)
    shown = capsys.readouterr().out
    assert [line.split()[-2] for line in shown.splitlines() if "total_timesteps" in line] == ["64"]
    model.set_logger(configure(str(tmp_path), ["json"]))
    model.learn(96)
    lines = [json.loads(line) for line in (tmp_path / "progress.json").read_text().splitlines()]
    assert lines[0].keys() == {
        "time/iterations",
        "rollout/ep_rew_mean",
        "rollout/ep_len_mean",
        "rollout/success_rate",
        "time/fps",
        "time/time_elapsed",
        "time/total_timesteps",
    }
    of_training = {key for key in lines[1] if key.startswith("train/")}
    assert of_training >= {
        f"train/{key}"
        for key in (
            "approx_kl",
            "clip_fraction",
            "clip_range",
            "entropy_loss",
            "explained_variance",
            "learning_rate",
            "loss",
            "n_updates",
            "policy_gradient_loss",
            "value_loss",
        )
    }
    assert [line["time/iterations"] for line in lines] == [1, 2, 3]
    assert lines[1]["rollout/ep_len_mean"] == 4 and lines[2]["train/n_updates"] - lines[1]["train/n_updates"] == 1


# -- evaluation --------------------------------------------------------------------------------------------------------


class Always:
    """A model that always does the same; the least that evaluate_policy asks for."""

    def __init__(self, action):
        self.action, self.starts = action, []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.starts.append(episode_start.tolist())
        return np.full(len(observation), self.action), (state or 0) + 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Count(3),
        lambda: SyncVectorEnv([lambda: Count(3)] * 2),
        lambda: AsyncVectorEnv([lambda: Count(3)] * 2),
        lambda: make_vec_env(lambda: Count(3), 2),
        lambda: PPO("MlpPolicy", Count(3), n_steps=8, batch_size=8).get_env(),
    ],
)
def test_returns_of_whole_episodes(make):
    env = make()
    returns, lengths = evaluate_policy(Always(2), env, 5, return_episode_rewards=True)
    assert returns == [6.0] * 5 and lengths == [3] * 5
    assert evaluate_policy(Always(2), env, 4) == (6.0, 0.0)
    env.close()


def test_episodes_are_shared_out_evenly():
    env = SyncVectorEnv([lambda: Count(2), lambda: Count(50)])
    _, lengths = evaluate_policy(Always(1), env, 4, return_episode_rewards=True)
    assert sorted(lengths) == [2, 2, 50, 50]


def test_callbacks_thresholds_and_episode_starts():
    calls = []
    model = Always(1)
    evaluate_policy(
        model, Count(3), 2, callback=lambda locals_, globals_: calls.append((locals_["i"], locals_["done"]))
    )
    assert calls == [(0, False), (0, False), (0, True)] * 2
    assert model.starts == [[True], [False], [False]] * 2
    with pytest.raises(AssertionError, match="Mean reward below threshold: 3.00 < 4.00"):
        evaluate_policy(Always(1), Count(3), 2, reward_threshold=4)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        evaluate_policy(Always(1), Count(3), 0)


# -- monitors ----------------------------------------------------------------------------------------------------------


def test_monitors_write_what_they_see(tmp_path):
    class Scaled(gymnasium.RewardWrapper):
        def reward(self, reward):
            return reward / 10

    env = make_vec_env(
        lambda: Count(3),
        2,
        monitor_dir=str(tmp_path),
        wrapper_class=Scaled,
        monitor_kwargs={"info_keywords": ("is_success",)},
    )
    returns, _ = evaluate_policy(Always(3), env, 4, return_episode_rewards=True)
    assert returns == [9.0] * 4
    env.close()
    lines = (tmp_path / "1.monitor.csv").read_text().splitlines()
    assert json.loads(lines[0][1:])["env_id"] is None and lines[1] == "r,l,t,is_success"
    rows = list(csv.DictReader(lines[1:]))
    assert [(row["r"], row["l"], row["is_success"]) for row in rows] == [("9.0", "3", "True"), ("9.0", "3", "False")]


@pytest.mark.parametrize(
    ("name", "file"),
    [("there", "there/monitor.csv"), ("new/", "new/monitor.csv"), ("new/a", "new/a.monitor.csv"), ("monitor.csv", "monitor.csv")],
)
def test_monitors_write_where_sb3s_do(name, file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    env = Monitor(Count(1), name)
    env.reset()
    env.step(2)
    env.close()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*monitor.csv")] == [file]
    assert (tmp_path / file).read_text().splitlines()[2].startswith("2.0,1,")


def test_monitors_know_the_rules():
    env = Monitor(Count(2), allow_early_resets=False)
    with pytest.raises(RuntimeError, match="expected reset"):
        env.step(0)
    env.reset()
    env.step(1)
    with pytest.raises(RuntimeError, match="expected the episode to end"):
        env.reset()
    assert env.step(4)[-1]["episode"]["r"] == 5
    assert env.get_episode_rewards() == [5.0] and env.get_episode_lengths() == [2] and env.get_total_steps() == 2
    assert len(env.get_episode_times()) == 1


def test_seeds_of_made_environments():
    def first(seed, **arguments):
        return make_vec_env("CartPole-v1", 2, seed=seed, **arguments).reset()

    assert np.array_equal(first(3), first(3)) and not np.array_equal(first(3), first(4))
    assert np.array_equal(first(3)[1], first(3, start_index=1)[0])
    env = make_vec_env("CartPole-v1", 2, vec_env_cls=AsyncVectorEnv)
    assert isinstance(env, AsyncVectorEnv)
    assert PPO("MlpPolicy", env, n_steps=8, batch_size=16).learn(16).num_timesteps == 16
    env.close()


class Locals(BaseCallback):
    def __init__(self):
        super().__init__()
        self.seen, self.at_end = [], []

    def _on_step(self):
        shown = self.locals
        self.seen.append({key: np.array(shown[key]) for key in ("actions", "values", "n_steps", "obs_tensor", "new_obs")})
        self.seen[-1]["last"] = np.array(self.model._last_obs)
        return True

    def _on_rollout_end(self):
        self.at_end.append((self.locals["rollout_buffer"].full, self.model._last_obs.tolist()))


def test_variables_are_sb3s():
    callback = Locals()
    model = small().learn(32, callback=callback)
    assert [int(step["n_steps"]) for step in callback.seen] == list(range(16))
    for t, step in enumerate(callback.seen):
        assert step["actions"].dtype == np.int64 and step["actions"].shape == (2,) and step["values"].shape == (2, 1)
        np.testing.assert_array_equal(step["last"], step["obs_tensor"])
        np.testing.assert_array_equal(step["values"], model.rollout_buffer.values[t][:, None])
    np.testing.assert_array_equal(callback.seen[0]["new_obs"], callback.seen[1]["obs_tensor"])
    assert callback.at_end == [(True, callback.seen[-1]["new_obs"].tolist())]
    numbers = Locals()
    small(gymnasium.make("Pendulum-v1")).learn(16, callback=numbers)
    assert numbers.seen[0]["actions"].dtype == np.float32 and numbers.seen[0]["actions"].shape == (1, 1)


def test_rewards_changed_where_they_stand_are_learnt_from():
    def sevens(locals_, globals_):
        locals_["rewards"][:] = 7.0

    model = small().learn(32, callback=sevens)
    assert (model.rollout_buffer.rewards == 7.0).all()


def test_the_last_observations_of_rust_rollouts_are_known():
    env = make_vec("CartPole-v1", 2)
    model = small(env).learn(64)
    np.testing.assert_array_equal(model._last_obs, env.core.observations())
    before = np.array(model._last_obs)
    callback = Locals()
    model.learn(32, callback=callback, reset_num_timesteps=False)
    np.testing.assert_array_equal(callback.seen[0]["obs_tensor"], before)


def test_callbacks_of_an_evaluation_find_what_sb3s_find():
    env, seen = make_vec_env(lambda: Count(3), 2), []

    def look(locals_, globals_):
        seen.append((locals_["env"] is env, len(locals_["episode_rewards"]), locals_["current_rewards"].shape))
        assert "np" in globals_

    evaluate_policy(small(), env, 4, callback=look)
    assert seen[0] == (True, 0, (2,)) and seen[-1][1] == 3


def test_normalizers_are_found_by_their_class():
    class Transparent:
        """As SB3's wrappers: what it has not is asked of what is inside."""

        def __init__(self, venv):
            self.venv = venv

        def __getattr__(self, name):
            return getattr(self.venv, name)

    inner = VecNormalize(make_vec_env(lambda: Count(3), 2))
    assert vec_normalize_of(Transparent(Transparent(inner))) is inner
    assert vec_normalize_of(Transparent(make_vec_env(lambda: Count(3), 2))) is None


def test_keywords_of_a_reset_may_be_arguments(tmp_path):
    class Levels(Count):
        def reset(self, *, seed=None, options=None, level=None):
            self.level = level
            return super().reset(seed=seed)

    env = Monitor(Levels(1), str(tmp_path / "m"), reset_keywords=("level",))
    env.reset(level=3)
    assert env.env.level == 3
    env.step(1)
    with pytest.raises(ValueError, match="expected level, one of reset_keywords"):
        env.reset()
    env.close()
    assert "level" in (tmp_path / "m.monitor.csv").read_text() and env.episode_returns == [1.0]
    assert env.episode_lengths == [1] and len(env.episode_times) == 1
