"""Every kind of environment gives the same steps through the adapters."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.utils import batch_space
from toys import Count, Masked, Words

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
    "next step": lambda: Wrapped(SyncVectorEnv(FUNCTIONS, autoreset_mode=AutoresetMode.NEXT_STEP)),
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


def test_environments_that_wait_never_join_two_episodes():
    envs = adapt(Stubborn())
    envs.reset(0)
    statistics = EpisodeStatistics(2, 100)
    before = np.array([[0, 0], [100, 0]], dtype=np.float32)
    for _ in range(20):
        step = envs.step(np.array([2, 2]))
        statistics.add(step)
        for i in range(2):
            if step.terminated[i] or step.truncated[i]:
                if step.infos()[i].get("ignored"):
                    assert step.rewards[i] == 0 and not step.terminated[i]
                    np.testing.assert_array_equal(step.finals[i], before[i])
                else:
                    assert step.finals[i][0] - before[i][0] == 1
            else:
                assert step.observations[i][0] - before[i][0] == 1 and step.observations[i][1] == before[i][1]
        before = np.array(step.observations)
    assert {(episode["r"], episode["l"]) for episode in statistics.episodes} == {(6.0, 3), (4.0, 2)}
    assert statistics.n_episodes == 5 + 7


def test_statistics_are_those_of_the_monitor_where_there_is_one():
    envs = adapt(gymnasium.wrappers.RecordEpisodeStatistics(Count(3)))
    statistics = EpisodeStatistics(1, 2)
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
    statistics = EpisodeStatistics(1, 10)
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
