"""Every kind of environment gives the same steps through the adapters."""

import importlib.util
from contextlib import nullcontext

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from gymnasium.wrappers import vector
from toys import Count, Masked, Words

import gbrl_rs
from gbrl_rs import A2C, PPO, Monitor, VecNormalize, evaluate_policy, make_vec, make_vec_env
from gbrl_rs._envs import GymEnvs, Sb3Envs, VectorEnvs, adapt, split_infos
from gbrl_rs._episodes import EpisodeStatistics
from gbrl_rs._model_env import ModelVecEnv

FUNCTIONS = [lambda: Count(3), lambda: Count(2, offset=100.0)]
CARELESS = [lambda: Count(3, careless=True), lambda: Count(2, offset=100.0, careless=True)]


class Wrapped(gymnasium.vector.VectorWrapper):
    """Hides that a SyncVectorEnv can be taken apart."""


class Stubborn(VectorEnv):
    """Resets itself in the next step and knows no reset_mask, like environments that are vectorised from within."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}

    def __init__(self):
        self.inner = SyncVectorEnv(FUNCTIONS)
        self.num_envs = 2
        self.single_observation_space = self.inner.single_observation_space
        self.single_action_space = self.inner.single_action_space
        self.observation_space = batch_space(self.single_observation_space, 2)
        self.action_space = batch_space(self.single_action_space, 2)

    def reset(self, *, seed=None, options=None):
        assert not options
        return self.inner.reset(seed=seed)

    def step(self, actions):
        return self.inner.step(actions)


def sb3_dummy():
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    return vec_env.DummyVecEnv(FUNCTIONS)


KINDS = {
    "sync": lambda: SyncVectorEnv(FUNCTIONS),
    "sync careless": lambda: SyncVectorEnv(CARELESS),
    "disabled careless": lambda: Wrapped(SyncVectorEnv(CARELESS, autoreset_mode=AutoresetMode.DISABLED)),
    "same step": lambda: Wrapped(SyncVectorEnv(FUNCTIONS, autoreset_mode=AutoresetMode.SAME_STEP)),
    "disabled": lambda: Wrapped(SyncVectorEnv(FUNCTIONS, autoreset_mode=AutoresetMode.DISABLED)),
    "disabled without copies": lambda: Wrapped(
        SyncVectorEnv(FUNCTIONS, autoreset_mode=AutoresetMode.DISABLED, copy=False)
    ),
    "async same step": lambda: AsyncVectorEnv(FUNCTIONS, autoreset_mode=AutoresetMode.SAME_STEP),
    "async next step": lambda: AsyncVectorEnv(FUNCTIONS),
    "model's": lambda: ModelVecEnv(GymEnvs([make() for make in FUNCTIONS], None)),
    "sb3": sb3_dummy,
}


@pytest.mark.parametrize("kind", [*list(KINDS)[:-1], pytest.param("sb3", marks=pytest.mark.sb3)])
def test_each_transition_is_seen_once(kind):
    envs = adapt(KINDS[kind]())
    assert envs.n_envs == 2 and not envs.has_masks
    first = np.array(envs.reset(7))
    np.testing.assert_array_equal(first[:, 0], [0, 100])
    episode, position, lengths = first[:, 1].copy(), np.zeros(2), [3, 2]
    seen = []
    for t in range(12):
        step = envs.step(np.array([t % 5, 1]))
        position += 1
        ended = position == lengths
        np.testing.assert_array_equal(step.rewards, [t % 5, 1])
        np.testing.assert_array_equal(step.terminated, ended & (episode % 2 == 0))
        np.testing.assert_array_equal(step.truncated, ended & (episode % 2 == 1))
        infos = step.infos()
        assert (step.finals is not None) == ended.any()
        for i in np.flatnonzero(ended):
            last = [position[i] + [0, 100][i], episode[i]]
            np.testing.assert_array_equal(step.finals[i], last)
            np.testing.assert_array_equal(infos[i]["terminal_observation"], last)
            assert infos[i]["TimeLimit.truncated"] == step.truncated[i]
            assert infos[i]["is_success"] == (episode[i] % 2 == 0)
        for i in np.flatnonzero(~ended):
            assert "terminal_observation" not in infos[i]
        episode[ended] += 1
        position[ended] = 0
        np.testing.assert_array_equal(step.observations, np.stack([position + [0, 100], episode], axis=1))
        seen.append(step.observations)
    assert len({id(x) for x in seen}) == 12 or "without copies" in kind or "async" in kind
    envs.given.close() if hasattr(envs.given, "close") else None


@pytest.mark.parametrize("make", [Stubborn, lambda: Wrapped(SyncVectorEnv(FUNCTIONS))])
def test_environments_that_wait_never_join_two_episodes(make):
    envs = adapt(make())
    envs.reset(0)
    statistics = EpisodeStatistics(100)
    before = np.array([[0, 0], [100, 0]], dtype=np.float32)
    for _ in range(20):
        step = envs.step(np.array([2, 2]))
        statistics.add(step)
        for i in range(2):
            ignored = step.ignored is not None and step.ignored[i]
            assert ignored == step.infos()[i].get("ignored", False)
            if ignored:
                assert step.rewards[i] == 0 and not step.terminated[i] and not step.truncated[i]
            elif step.terminated[i] or step.truncated[i]:
                assert step.finals[i][0] - before[i][0] == 1
            else:
                assert step.observations[i][0] - before[i][0] == 1 and step.observations[i][1] == before[i][1]
        before = np.array(step.observations)
    assert {(episode["r"], episode["l"]) for episode in statistics.episodes} == {(6.0, 3), (4.0, 2)}
    assert statistics.n_episodes == 5 + 7


class Junk(Stubborn):
    """Answers rubbish in the step in which a copy resets itself, and masks that allow nothing before it."""

    def __init__(self, reward=0.0, truncated=False, masked=False):
        super().__init__()
        self.junk, self.masked = (reward, truncated), masked
        self.over = np.zeros(2, dtype=np.bool_)

    def step(self, actions):
        observations, rewards, terminated, truncated, info = self.inner.step(actions)
        rewards, truncated = np.where(self.over, self.junk[0], rewards), np.where(self.over, self.junk[1], truncated)
        self.over = (terminated | truncated) & ~self.over
        return observations, rewards, terminated, truncated, info

    def __getattr__(self, name):
        if name == "action_masks" and self.masked:
            return lambda: np.repeat(~self.over[:, None], 5, axis=1)
        raise AttributeError(name)


@pytest.mark.parametrize("algorithm", [PPO, A2C])
@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: VecNormalize(PPO("MlpPolicy", env).get_env())])
def test_nothing_is_learnt_from_resets_between_episodes(algorithm, wrap):
    def learnt(*junk):
        model = algorithm("MlpPolicy", wrap(Junk(*junk)), n_steps=32, seed=0, norm_reward=True).learn(256)
        assert {(episode["r"] > 0, episode["l"]) for episode in model.ep_info_buffer} <= {(True, 3), (True, 2), (False, 3)}
        assert np.isfinite(model.logger.name_to_value.get("train/explained_variance", 0.0))
        return model.get_parameters()

    assert learnt() == learnt() == learnt(1e6, False) == learnt(-3.0, True)


def test_a_copy_that_only_resets_itself_needs_no_allowed_action():
    model = PPO("MlpPolicy", Junk(masked=True), n_steps=32, batch_size=64, n_epochs=1, seed=0).learn(64)
    assert model.rollout_buffer.action_masks.all()


def test_statistics_are_those_of_the_monitor_where_there_is_one():
    envs = adapt(gymnasium.wrappers.RecordEpisodeStatistics(Count(3)))
    statistics = EpisodeStatistics(2)
    envs.reset(0)
    for t in range(9):
        statistics.add(envs.step(np.array([t])))
    assert [(episode["r"], episode["l"]) for episode in statistics.episodes] == [(12.0, 3), (21.0, 3)]
    assert list(statistics.successes) == [0.0, 1.0] and statistics.n_episodes == 3


def test_nested_observations_are_stacked():
    envs = adapt(SyncVectorEnv([Words, Words]))
    first = envs.reset(0)
    assert first["word"] == ("a", "a") and first["pair"][0].tolist() == [1, 1]
    envs.step(np.array([[1, 2], [0, 0]]))
    step = envs.step(np.array([[1, 2], [0, 0]]))
    assert step.rewards.tolist() == [3, 0] and step.terminated.all()
    assert step.finals["pair"][0].tolist() == [3, 3] and step.observations["pair"][0].tolist() == [1, 1]
    same = adapt(Wrapped(SyncVectorEnv([Words, Words], autoreset_mode=AutoresetMode.SAME_STEP)))
    same.reset(0)
    same.step(np.array([[1, 2], [0, 0]]))
    assert same.step(np.array([[1, 2], [0, 0]])).finals["pair"][0].tolist() == [3, 3]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Masked(),
        lambda: gymnasium.wrappers.TimeLimit(Masked(), 50),
        lambda: SyncVectorEnv([Masked]),
        lambda: Wrapped(SyncVectorEnv([Masked], autoreset_mode=AutoresetMode.SAME_STEP)),
        lambda: AsyncVectorEnv([Masked], autoreset_mode=AutoresetMode.SAME_STEP),
        lambda: ModelVecEnv(GymEnvs([Masked()], None)),
    ],
)
def test_masks_come_from_the_environment(make):
    env = make()
    envs = adapt(env)
    assert envs.has_masks
    envs.reset(0)
    for t in range(12):
        masks = envs.masks()
        assert masks.dtype == bool and masks.tolist() == [[i == t % 8 % 4 for i in range(4)]]
        envs.step(masks.argmax(axis=1))
    env.close()


@pytest.mark.sb3
def test_sb3_environments_and_wrappers():
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    monitor = pytest.importorskip("stable_baselines3.common.monitor")
    masker = pytest.importorskip("sb3_contrib.common.wrappers")
    env = vec_env.VecNormalize(vec_env.DummyVecEnv([lambda: monitor.Monitor(Count(3))]), gamma=0.9)
    envs = adapt(env)
    statistics = EpisodeStatistics(10)
    envs.reset(0)
    for _ in range(3):
        statistics.add(envs.step(np.array([4])))
    assert statistics.episodes[0]["r"] == 12.0
    masked = vec_env.DummyVecEnv([lambda: masker.ActionMasker(Count(3), lambda env: np.arange(5) < 2)])
    envs = adapt(masked)
    envs.reset(0)
    assert envs.has_masks and envs.masks().tolist() == [[True, True, False, False, False]]
    assert isinstance(envs, Sb3Envs)


def test_a_sync_vector_env_can_be_used_after_it_was_taken_apart():
    env = SyncVectorEnv(FUNCTIONS)
    envs = adapt(env)
    assert isinstance(envs, GymEnvs)
    envs.reset(0)
    for _ in range(3):
        envs.step(np.array([0, 0]))
    observations, _ = env.reset(seed=1)
    assert observations[:, 0].tolist() == [0, 100]
    env.step(np.array([0, 0]))


def test_exceptions_of_an_environment_come_through_unchanged():
    envs = adapt(Masked())
    envs.reset(0)
    with pytest.raises(ValueError, match="^forbidden action 3$"):
        envs.step(np.array([3]))


def test_what_is_no_environment_is_named():
    with pytest.raises(TypeError, match="got builtins.int"):
        adapt(3)
    with pytest.raises(gymnasium.error.Error):
        adapt("NoSuchEnv-v0")


def test_missing_final_observations_are_an_error():
    class Forgetful(Wrapped):
        def step(self, actions):
            return *self.env.step(actions)[:4], {}

    envs = adapt(Forgetful(SyncVectorEnv(FUNCTIONS, autoreset_mode=AutoresetMode.SAME_STEP)))
    assert isinstance(envs, VectorEnvs)
    envs.reset(0)
    envs.step(np.array([0, 0]))
    with pytest.raises(RuntimeError, match=r"expected infos\['final_obs'\]"):
        envs.step(np.array([0, 0]))


def test_infos_are_split():
    info = {
        "a": np.array([1, 2]),
        "_a": np.array([True, False]),
        "deep": {"b": np.array([3, 4]), "_b": np.array([False, True])},
        "_deep": np.array([False, True]),
        "all": np.array([5, 6]),
    }
    assert split_infos(info, 2) == [{"a": 1, "all": 5}, {"deep": {"b": 4}, "all": 6}]


def test_seeds_differ_between_copies_and_repeat():
    envs = [adapt(gymnasium.make("CartPole-v1")), adapt(SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 2))]
    one, two = envs[0].reset(4), envs[1].reset(4)
    assert np.array_equal(one[0], two[0]) and not np.array_equal(two[0], two[1])
    assert np.array_equal(envs[1].reset(4), two)


def test_the_models_own_environments_speak_sb3s_language():
    env = ModelVecEnv(GymEnvs([gymnasium.make("CartPole-v1"), gymnasium.make("CartPole-v1")], None))
    env.seed(3)
    first = env.reset()
    env.seed(3)
    assert np.array_equal(env.reset(), first) and first.shape == (2, 4)
    observations, rewards, dones, infos = env.step(np.array([0, 1]))
    assert observations.shape == (2, 4) and rewards.tolist() == [1, 1] and not dones.any() and infos == [{}, {}]
    assert env.env_is_wrapped(gymnasium.wrappers.TimeLimit) == [True, True]
    assert env.get_attr("gravity", indices=0) == [9.8] and env.has_attr("gravity") and not env.has_attr("levity")
    assert len(env.envs) == 2 and env.envs[0].unwrapped.gravity == 9.8
    env.set_attr("tau", 0.5)
    assert env.get_attr("tau") == [0.5, 0.5] and isinstance(env.action_space, spaces.Discrete)
    env.close()


class Lives(gymnasium.Wrapper):
    """Ends an episode with each life, as Atari's wrappers do: after two steps, or when the game is over."""

    def __init__(self, env):
        super().__init__(env)
        self.over, self.steps = True, 0

    def reset(self, **arguments):
        self.steps = 0
        return self.env.reset(**arguments) if self.over else (self.last, {})

    def step(self, action):
        self.last, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        self.over = terminated or truncated
        return self.last, reward, terminated or self.steps == 2, truncated, info


@pytest.mark.parametrize("mode", [*AutoresetMode, "made", "async", "rust", "single"])
def test_every_end_says_what_the_episode_came_to(mode):
    makers = {
        "made": lambda: make_vec_env(lambda: Count(3), 2),
        "async": lambda: AsyncVectorEnv([lambda: Count(3)] * 2),
        "rust": lambda: make_vec("CartPole-v1", 2),
        "single": lambda: Count(3),
    }
    env = makers[mode]() if mode in makers else Wrapped(SyncVectorEnv([lambda: Count(3)] * 2, autoreset_mode=mode))
    envs = adapt(env)
    envs.reset(0)
    n_ends = 0
    for _ in range(60):
        step = envs.step(np.full(envs.n_envs, 1))
        for i, info in enumerate(step.infos()):
            if (step.terminated[i] or step.truncated[i]) and not info.get("ignored"):
                n_ends += 1
                assert set("rlt") <= info["episode"].keys()
                assert mode == "rust" or (info["episode"]["r"], info["episode"]["l"]) == (3.0, 3)
            else:
                assert "episode" not in info
    assert n_ends >= 4
    env.close()


def test_ends_that_a_monitor_does_not_report_are_no_episodes():
    for env in (
        Lives(Monitor(Count(5))),
        SyncVectorEnv([lambda: Lives(Monitor(Count(5)))] * 2),
        AsyncVectorEnv([lambda: Lives(Monitor(Count(5)))] * 2),
    ):
        model = PPO("MlpPolicy", env, n_steps=20, batch_size=20, n_epochs=1, seed=0).learn(20)
        assert model.ep_info_buffer and {episode["l"] for episode in model.ep_info_buffer} == {5}
        assert evaluate_policy(model, env, 2, return_episode_rewards=True)[1] == [5, 5]
        env.close()
    lives = PPO("MlpPolicy", Lives(Count(5)), n_steps=20, batch_size=20, n_epochs=1).learn(20)
    assert {episode["l"] for episode in lives.ep_info_buffer} == {1, 2}


def test_what_a_monitor_notes_besides_is_kept():
    env = Monitor(Count(3), info_keywords=("is_success",))
    model = PPO("MlpPolicy", env, n_steps=20, batch_size=20, n_epochs=1).learn(20)
    assert [episode["is_success"] for episode in model.ep_info_buffer][:2] == [True, False]


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_statistics_of_vector_wrappers_are_right_in_every_mode(mode):
    env = vector.RecordEpisodeStatistics(SyncVectorEnv(FUNCTIONS, autoreset_mode=mode))
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=1, seed=0).learn(128)
    assert {episode["l"] for episode in model.ep_info_buffer} == {2, 3} and len(model.ep_info_buffer) > 20
    for episode in model.ep_info_buffer:
        assert 0 <= episode["r"] <= 4 * episode["l"]


def test_vector_wrappers_that_know_no_masks_wait():
    env = vector.NormalizeObservation(SyncVectorEnv(FUNCTIONS))
    assert PPO("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=1).learn(64).num_timesteps == 64


def test_workers_are_asked_and_no_environment_is_made_beside_them(tmp_path):
    made = []

    class Noted(Count):
        def __init__(self):
            super().__init__(4)
            made.append(self)

    env = AsyncVectorEnv([Noted] * 2)
    made.clear()
    envs = adapt(env)
    assert made == [] and envs.env_id == "Noted" and not envs.has_masks and not envs.reports
    env.close()
    env = make_vec_env("CartPole-v1", 2, monitor_dir=str(tmp_path), vec_env_cls=AsyncVectorEnv)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=1, seed=0).learn(256)
    assert model._env_id == "CartPole-v1"
    first = (tmp_path / "0.monitor.csv").read_bytes()
    model.set_env(env)
    evaluate_policy(model, env, 2)
    assert (tmp_path / "0.monitor.csv").read_bytes().startswith(first) and b"\0" not in first
    env.close()


def test_the_quickstart_of_sb3():
    vec_env = make_vec_env("CartPole-v1", n_envs=4)
    model = PPO("MlpPolicy", vec_env, n_steps=32, batch_size=32, n_epochs=1).learn(128)
    assert model.get_env() is vec_env and vec_env.render_mode == "rgb_array"
    obs = vec_env.reset()
    for _ in range(100):
        action, _states = model.predict(obs)
        obs, rewards, dones, info = vec_env.step(action)
    assert obs.shape == (4, 4) and isinstance(info, list)
    assert len(vec_env.reset_infos) == 4 and vec_env.num_envs == 4
    vec_env.close()


class Options(Count):
    def __init__(self):
        super().__init__(3)
        self.render_mode = "rgb_array"
        self.k = 0

    def reset(self, *, seed=None, options=None):
        observation, _ = super().reset(seed=seed)
        return observation, {"options": options}

    def render(self):
        return np.full((2, 3, 3), self.k, dtype=np.uint8)

    def twice(self, x):
        return 2 * x + self.k


def test_options_pictures_and_methods_of_copies():
    env = make_vec_env(Options, 3)
    env.set_options([{"a": 1}, {"a": 2}, {}])
    env.reset()
    assert [info["options"] for info in env.reset_infos] == [{"a": 1}, {"a": 2}, None]
    env.reset()
    assert [info["options"] for info in env.reset_infos] == [None] * 3
    with pytest.raises(ValueError, match="expected one for each of 3 copies, got 1"):
        env.set_options([{}])
    env.set_attr("k", 7, indices=[1])
    assert env.env_method("twice", 1, indices=[0, 1]) == [2, 9]
    assert [image.max() for image in env.get_images()] == [0, 7, 0]
    assert env.render().shape == (4, 6, 3) and env.env_is_wrapped(Monitor) == [True] * 3
    with pytest.warns(UserWarning, match="cv2") if importlib.util.find_spec("cv2") is None else nullcontext():
        env.render("human")


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_callbacks_find_sb3s_language_around_gymnasiums_vectors(kind):
    env = kind([Options] * 2)
    model = PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1)
    seen = model.get_env()
    assert seen.seed(3) == [3, 4] and len(seen.reset()) == 2 and seen.has_attr("k") and not seen.has_attr("nothing")
    seen.set_attr("k", 3, indices=0)
    assert seen.get_attr("k") == [3, 0] and seen.env_method("twice", 2) == [7, 4] and seen.get_attr("k", 1) == [0]
    with pytest.raises(AttributeError, match="nothing"):
        seen.get_attr("nothing")
    with pytest.raises(AttributeError, match="nothing"):
        seen.env_method("nothing")
    seen.step_async(np.array([0, 1]))
    assert len(seen.step_wait()) == 4 and seen.env_is_wrapped(Monitor) == [False, False]
    model.learn(16)
    env.close()
    rust = PPO("MlpPolicy", make_vec("CartPole-v1", 2), n_steps=8, batch_size=8).get_env()
    assert rust.reset().shape == (2, 4) and rust.get_attr("spec") == [None, None]
    with pytest.raises(AttributeError, match="method 'foo'"):
        rust.env_method("foo")


def test_tuples_of_an_array_and_a_dictionary_are_observations():
    class Pair(gymnasium.Env):
        observation_space = spaces.Tuple([spaces.Box(-1, 1, (2,)), spaces.Dict({"a": spaces.Box(-1, 1, (1,))})])
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            self.t = 0
            return self.observation_space.sample(), {}

        def step(self, action):
            self.t += 1
            return self.observation_space.sample(), 1.0, self.t == 3, False, {}

    model = PPO("MultiInputPolicy", Pair(), n_steps=16, batch_size=16, n_epochs=1).learn(16)
    assert model.predict(Pair().reset()[0])[0].shape == ()
    assert evaluate_policy(model, Pair(), 2) == (3.0, 0.0)


@pytest.mark.sb3
def test_vec_envs_that_say_little():
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")

    class Bare(vec_env.VecEnv):
        def __init__(self):
            super().__init__(2, spaces.Box(-1, 1, (3,)), spaces.Discrete(2))
            self.t = 0

        def reset(self):
            return np.zeros((2, 3), np.float32)

        def step_async(self, actions):
            self.t += 1

        def step_wait(self):
            dones = np.array([self.t % 10 == 0] * 2)
            info = {"TimeLimit.truncated": True} if dones[0] else {}
            return np.zeros((2, 3), np.float32), np.ones(2, np.float32), dones, [dict(info), dict(info)]

        def get_attr(self, name, indices=None):
            if name == "render_mode":
                return [None, None]
            raise AttributeError(name)

        def close(self):
            pass

        def set_attr(self, name, value, indices=None):
            raise NotImplementedError

        def env_method(self, name, *arguments, indices=None, **keywords):
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class, indices=None):
            return [False] * 2

    model = PPO("MlpPolicy", Bare(), n_steps=20, batch_size=20, n_epochs=1, gamma=1.0, gae_lambda=1.0).learn(40)
    assert model._env_id == "Bare" and {episode["l"] for episode in model.ep_info_buffer} == {10}
    # An end whose last observation nobody knows is a real one: nothing is expected after it.
    np.testing.assert_array_equal(model.rollout_buffer.returns[:, 0], 10 - np.arange(20) % 10)


@pytest.mark.sb3
def test_lives_are_counted_as_sb3_counts_them():
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    sb3 = pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.evaluation import evaluate_policy as sb3s
    from stable_baselines3.common.monitor import Monitor as Sb3Monitor

    results = []
    for algorithm, evaluate in ((sb3.PPO, sb3s), (PPO, evaluate_policy)):
        env = vec_env.DummyVecEnv([lambda: Lives(Sb3Monitor(Count(5)))])
        model = algorithm("MlpPolicy", env, n_steps=32, batch_size=32, n_epochs=1, seed=0).learn(32)
        lengths = evaluate(model, env, 3, return_episode_rewards=True)[1]
        results.append((lengths, [episode["l"] for episode in model.ep_info_buffer]))
    assert results[0] == results[1] == ([5, 5, 5], [5] * 6)


class Wrong(Count):
    """An environment that does one thing that no environment may do."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.steps = kind, 0

    def reset(self, **given):
        if self.kind == "seed" and given:
            raise TypeError("reset() got an unexpected keyword argument 'seed'")
        observation, info = super().reset(**given)
        return observation if self.kind == "no info" else (observation, info)

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        self.steps += 1
        if self.steps < 5:
            return observation, reward, terminated, truncated, info
        return {
            "four": (observation, reward, terminated or truncated, info),
            "none": None,
            "shape": (np.zeros(3, dtype=np.float32), reward, terminated, truncated, info),
            "broadcast": (np.zeros(1, dtype=np.float32), reward, terminated, truncated, info),
            "reward": (observation, "much", terminated, truncated, info),
            "nan": (observation, float("nan"), terminated, truncated, info),
        }.get(self.kind, (observation, reward, terminated, truncated, info))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("seed", r"reset\(\): expected the arguments seed and options.*unexpected keyword argument 'seed'"),
        ("no info", r"reset\(\): expected \(observation, info\), got an array of shape \(2,\)"),
        ("four", r"step\(\): expected \(observation, reward, terminated, truncated, info\), got a tuple of 4, as the old Gym"),
        ("none", r"step\(\): expected .*, got NoneType None"),
        ("shape", r"observation: expected one of Box.*got an array of shape \(3,\)"),
        ("broadcast", r"observation: expected one of Box.*got an array of shape \(1,\)"),
        ("reward", "reward: expected a number, got str much"),
        ("nan", "reward: expected a finite number, got NaN"),
    ],
)
@pytest.mark.parametrize("make", [Wrong, lambda kind: SyncVectorEnv([lambda: Wrong(kind)] * 2)])
def test_mistakes_of_environments_are_told_by_their_name(kind, message, make):
    with pytest.raises(gbrl_rs.EnvironmentContractError, match=f"^environment Wrong: {message}"):
        PPO("MlpPolicy", make(kind), n_steps=32, batch_size=32).learn(64)


def test_mistakes_of_other_spaces_and_of_vector_environments():
    class Speechless(Words):
        def _observation(self):
            return {"word": "a", "pair": (np.int64(1),)} if self.t == 1 else super()._observation()

    with pytest.raises(gbrl_rs.EnvironmentContractError, match="^environment Speechless: observation: expected one of Dict"):
        PPO("MlpPolicy", Speechless(), n_steps=32, batch_size=32).learn(64)

    class Narrow(Stubborn):
        kind = "shape"

        def step(self, actions):
            observations, *others = self.inner.step(actions)
            return (observations[:, :1], *others) if self.kind == "shape" else (observations, others[0], others[1], {})

    with pytest.raises(gbrl_rs.EnvironmentContractError, match=r"observations: expected 2 of Box.*\[2, 2\], got \[2, 1\]"):
        PPO("MlpPolicy", Narrow(), n_steps=32, batch_size=64).learn(64)
    Narrow.kind = "four"
    with pytest.raises(gbrl_rs.EnvironmentContractError, match=r"step\(\): expected .*got a tuple of 4"):
        PPO("MlpPolicy", Narrow(), n_steps=32, batch_size=64).learn(64)


def test_what_resets_no_single_copies_is_told_what_to_do():
    class Refusing(gymnasium.vector.VectorWrapper):
        def reset(self, *, seed=None, options=None):
            if options is not None:
                raise ValueError("expected a reset of all")
            return super().reset(seed=seed, options=options)

    env = Refusing(SyncVectorEnv(FUNCTIONS, autoreset_mode=AutoresetMode.DISABLED))
    with pytest.raises(gbrl_rs.EnvironmentContractError, match="make it with NEXT_STEP or SAME_STEP.*VecNormalize or norm_obs"):
        PPO("MlpPolicy", env, n_steps=32, batch_size=32).learn(64)


def test_infos_are_made_once_and_shared():
    for envs in (adapt(Stubborn()), adapt(make_vec("CartPole-v1", 2)), adapt(Count())):
        envs.reset(0)
        step = envs.step(np.zeros(envs.n_envs, dtype=np.int64))
        assert step.infos() is step.infos()


def test_returns_are_summed_as_before_by_whoever_sums_them():
    envs = adapt(Stubborn())
    envs.reset(0)
    rng, sums, lengths = np.random.default_rng(0), [0.0] * envs.n_envs, [0] * envs.n_envs
    n_ended = 0
    for _ in range(60):
        step = envs.step(rng.integers(0, 5, envs.n_envs))
        for i in range(envs.n_envs):
            ignored = step.ignored is not None and step.ignored[i]
            sums[i] += float(step.rewards[i])
            lengths[i] += not ignored
            if step.terminated[i] or step.truncated[i]:
                episode = step.infos()[i]["episode"]
                assert (episode["r"], episode["l"]) == (sums[i], lengths[i])
                sums[i], lengths[i] = 0.0, 0
                n_ended += 1
    assert n_ended > 10
