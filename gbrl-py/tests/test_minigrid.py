"""MiniGrid's observations are the same categories from the package and from the environments written in Rust."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest

import gbrl_rs
from gbrl_rs.minigrid import N_CODES, CategoricalObs, cells, missions

VIEWS = Path(__file__).resolve().parents[2] / "envs" / "tests" / "data" / "minigrid_views.txt"
NATIVE = [name for name in gbrl_rs.environments() if name.startswith("MiniGrid-")]

# As the page of envs/src/minigrid/cell.rs has them: the first code, the object, the state.
PAGE = [(2, 2, 0), (8, 3, 0), (14, 4, 0), (20, 4, 1), (26, 4, 2), (32, 5, 0), (38, 6, 0), (44, 7, 0), (50, 8, 0), (56, 9, 0)]


def triple(code):
    if code < 2:
        return [code, 0, 0]
    first, thing, state = next(row for row in reversed(PAGE) if row[0] <= code)
    return [thing, code - first, state]


def test_every_code_names_its_cell():
    triples = [triple(code) for code in range(N_CODES)]
    assert cells(np.array(triples)).tolist() == list(range(N_CODES))
    for strange in ([10, 0, 0], [0, 0, 1], [4, 6, 0], [4, 0, 3], [-1, 0, 0], [1, 5, 0], [300, 0, 0]):
        with pytest.raises(ValueError, match="expected objects, colours and states of an agent's view, got"):
            cells(np.array([[1, 0, 0], strange]))


def test_recorded_observations_of_the_package():
    if not VIEWS.exists():
        pytest.skip("the recordings lie in the repository")
    seen = set()
    for line in VIEWS.read_text().splitlines():
        if line.startswith("#"):
            continue
        digits = [int(digit) for digit in line.split("\t")[2]]
        image = np.array(digits[:-1]).reshape(49, 3)
        codes = cells(image.reshape(7, 7, 3))
        assert [triple(code) for code in codes] == image.tolist()
        seen.update(codes.tolist())
    assert len(seen) > 20


def test_sentences_count_through_their_placeholders():
    class Space:
        ordered_placeholders = [["get a", "fetch a"], ["blue", "green", "red"], ["key", "ball"]]

        @staticmethod
        def mission_func(syntax, color, thing):
            return f"{syntax} {color} {thing}"

    sentences = missions(Space)
    assert sentences[:4] == ["get a red key", "get a red ball", "get a green key", "get a green ball"]
    assert len(sentences) == 12 and sentences[-1] == "fetch a blue ball"


def test_other_environments_are_refused():
    with pytest.raises(TypeError, match="expected MiniGrid's image, direction and mission"):
        CategoricalObs(gymnasium.make("CartPole-v1"))


@pytest.mark.sb3
@pytest.mark.parametrize("name", NATIVE)
def test_spaces_are_those_of_the_environments_in_rust(name):
    pytest.importorskip("minigrid")
    env = CategoricalObs(gymnasium.make(name))
    native = gbrl_rs.make_vec(name)
    assert env.observation_space == native.single_observation_space
    assert env.action_space == native.single_action_space
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)
        assert env.missions[observation["mission"]] == env.unwrapped.mission
    env.close()


@pytest.mark.sb3
@pytest.mark.parametrize("name", [name for name in NATIVE if "Empty" in name and "Random" not in name])
def test_the_same_actions_show_the_same_categories(name):
    """Where every episode begins alike, whole trajectories are equal."""
    pytest.importorskip("minigrid")
    env, native = CategoricalObs(gymnasium.make(name)), gbrl_rs.make_vec(name)
    rng = np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    shown, _ = native.reset()
    for _ in range(600):
        for key in ("image", "direction", "mission"):
            np.testing.assert_array_equal(observation[key], shown[key][0])
        action = int(rng.choice(7, p=[0.15, 0.25, 0.5, 0.02, 0.02, 0.03, 0.03]))
        observation, reward, terminated, truncated, _ = env.step(action)
        shown, rewards, ends, cuts, _ = native.step(np.array([action]))
        assert (np.float32(reward), terminated, truncated) == (rewards[0], ends[0], cuts[0])
        if terminated or truncated:
            observation, _ = env.reset()
    env.close()


@pytest.mark.sb3
def test_a_policy_learnt_in_rust_plays_in_the_package():
    pytest.importorskip("minigrid")
    name = "MiniGrid-GoToDoor-5x5-v0"
    model = gbrl_rs.PPO("MultiInputPolicy", gbrl_rs.make_vec(name, 4), n_steps=64, batch_size=64, n_epochs=1, seed=0)
    model.learn(512)
    env = gbrl_rs.make_vec_env(name, 2, wrapper_class=CategoricalObs)
    assert np.isfinite(gbrl_rs.evaluate_policy(model, env, 2)[0])
    model.set_env(gbrl_rs.make_vec_env(name, 4, wrapper_class=CategoricalObs))
    model.learn(256, reset_num_timesteps=False)
