"""PPO behaves as Stable-Baselines3's: its arguments, its methods, its errors."""

import io
import signal
import threading
import time
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from toys import Count, Identity, Masked, Words

import gbrl_rs
from gbrl_rs import PPO, BaseCallback, evaluate_policy, make_vec, make_vec_env

SMALL = {"n_steps": 32, "batch_size": 32, "n_epochs": 2, "seed": 1}


def small(env="CartPole-v1", **arguments):
    return PPO("MlpPolicy", env, **{**SMALL, **arguments})


def policy_of(model):
    return model.get_parameters()["policy"]


# -- learning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "space",
    [
        spaces.Discrete(4),
        spaces.Discrete(3, start=-1),
        spaces.MultiDiscrete([3, 3]),
        spaces.MultiDiscrete([[2, 3], [3, 2]], start=[[1, 0], [-5, 0]]),
        spaces.MultiBinary(3),
        spaces.MultiBinary((2, 2)),
    ],
    ids=str,
)
def test_identity_is_learnt(space):
    env = SyncVectorEnv([lambda: Identity(space)] * 4)
    model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, gamma=0.5, seed=0).learn(8_000)
    mean, _ = evaluate_policy(model, Identity(space, 100), 5)
    assert mean > 95


@pytest.mark.parametrize("squash", [False, True])
def test_identity_of_numbers_is_learnt(squash):
    space = spaces.Box(-1, 1, (2,))
    env = SyncVectorEnv([lambda: Identity(space)] * 4)
    arguments = {"n_steps": 512, "gamma": 0.0, "target_kl": 0.02, "squash_actions": squash, "seed": 0}
    model = PPO("MlpPolicy", env, **arguments).learn(40_000)
    mean, _ = evaluate_policy(model, Identity(space, 100), 5)
    assert mean > 70  # doing nothing gets 50


def test_every_kind_of_observation_trains():
    for env in (Words(), Count(5), SyncVectorEnv([Words, Words])):
        model = small(env).learn(64)
        assert model.n_trees > 0 and np.isfinite(model.rollout_buffer.advantages).all()


def test_strings_are_told_apart():
    class Word(gymnasium.Env):
        observation_space = spaces.Text(8)
        action_space = spaces.Discrete(3)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self._say(), {}

        def _say(self):
            self.word = self.np_random.choice(["north", "south", "west"])
            return str(self.word)

        def step(self, action):
            reward = float(["north", "south", "west"][action] == self.word)
            return self._say(), reward, False, False, {}

    env = gymnasium.wrappers.TimeLimit(Word(), 50)
    model = PPO("MlpPolicy", env, n_steps=256, gamma=0.0, seed=0).learn(4096)
    actions, _ = model.predict(("north", "south", "west"), deterministic=True)
    assert actions.tolist() == [0, 1, 2]
    assert model.predict("south", deterministic=True)[0] == 1
    assert model.predict("unheard of")[0] in (0, 1, 2)


def test_missing_observations_are_values():
    class Hidden(gymnasium.Env):
        observation_space = spaces.Box(-np.inf, np.inf, (1,))
        action_space = spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self._see(), {}

        def _see(self):
            self.seen = bool(self.np_random.integers(2))
            return np.array([0.5 if self.seen else np.nan], dtype=np.float32)

        def step(self, action):
            reward = float(bool(action) == self.seen)
            return self._see(), reward, False, False, {}

    model = PPO("MlpPolicy", gymnasium.wrappers.TimeLimit(Hidden(), 50), n_steps=256, gamma=0.0, seed=0).learn(4096)
    assert model.predict(np.array([[0.5], [np.nan]]), deterministic=True)[0].tolist() == [1, 0]


def test_dictionaries_learn_what_their_flattened_form_learns():
    class Parts(gymnasium.ObservationWrapper):
        def __init__(self):
            super().__init__(gymnasium.make("CartPole-v1"))
            box = self.env.observation_space
            self.observation_space = spaces.Dict(
                {"a": spaces.Box(box.low[:2], box.high[:2]), "b": spaces.Box(box.low[2:], box.high[2:])}
            )

        def observation(self, observation):
            return {"a": observation[:2], "b": observation[2:]}

    parts = PPO("MultiInputPolicy", Parts(), **SMALL).learn(256)
    flat = small().learn(256)
    np.testing.assert_array_equal(parts.rollout_buffer.returns, flat.rollout_buffer.returns)
    assert parts.rollout_buffer.observations["b"].shape == (32, 1, 2)
    observation = np.array([0.1, 0.2, 0.01, 0.3], dtype=np.float32)
    one = parts.policy.predict_values({"a": observation[:2], "b": observation[2:]})
    assert one == flat.policy.predict_values(observation)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_an_sb3_script_with_its_numbers_untouched_learns(seed):
    model = PPO("MlpPolicy", "CartPole-v1", seed=seed).learn(150_000)
    assert evaluate_policy(model, "CartPole-v1", 20)[0] >= 475


# -- masks ------------------------------------------------------------------------------------------------------------


def test_masks_are_kept_in_training_prediction_and_evaluation():
    env = SyncVectorEnv([Masked, Masked])
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=32, seed=0).learn(128)
    assert model.rollout_buffer.action_masks.shape == (32, 2, 4)
    mask = np.array([False, False, True, False])
    assert model.predict(np.zeros(1), action_masks=mask)[0] == 2
    both = model.predict(np.zeros((2, 1)), action_masks=np.array([mask, mask[::-1]]), deterministic=True)[0]
    assert both.tolist() == [2, 1]
    assert evaluate_policy(model, Masked(), 3) == (8.0, 0.0)
    assert model.policy.get_distribution(np.zeros((1, 1)), mask).mode().tolist() == [[2]]
    values, log_probs, entropies = model.policy.evaluate_actions(np.zeros((1, 1)), [[2]], mask)
    assert values.shape == (1, 1) and log_probs.tolist() == [0] and entropies.tolist() == [0]
    with pytest.raises(ValueError, match="action_masks: expected shape"):
        model.predict(np.zeros(1), action_masks=[True, False])
    with pytest.raises(ValueError, match="at least one allowed"):
        model.predict(np.zeros(1), action_masks=[False] * 4)


# -- determinism, files ----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads_and_the_road():
    def cartpole():
        return gymnasium.make("CartPole-v1")

    one = policy_of(small(SyncVectorEnv([cartpole] * 2)).learn(512))
    for mode in AutoresetMode:
        env = AsyncVectorEnv([cartpole] * 2, autoreset_mode=mode)
        assert policy_of(small(env, n_threads=2).learn(512)) == one
        env.close()
    assert policy_of(small(SyncVectorEnv([cartpole] * 2), seed=2).learn(512)) != one
    rust = policy_of(small(make_vec("CartPole-v1", 4)).learn(256))
    assert policy_of(small(make_vec("CartPole-v1", 4), n_threads=2).learn(256)) == rust


def test_rust_environments_learn_the_same_with_and_without_python():
    alone = small(make_vec("CartPole-v1", 4)).learn(512)
    watched = small(make_vec("CartPole-v1", 4)).learn(512, callback=BaseCallback())
    assert policy_of(alone) == policy_of(watched)
    assert [e["r"] for e in alone.ep_info_buffer] == [e["r"] for e in watched.ep_info_buffer]


def test_going_on_after_a_file_equals_never_stopping(tmp_path):
    def envs():
        return make_vec("CartPole-v1", 4)

    whole = small(envs(), norm_reward=True, norm_obs=True).learn(1024)
    first = small(envs(), norm_reward=True, norm_obs=True)
    first.learn(512)
    path = first.save(tmp_path / "half")
    assert path == str(tmp_path / "half.gbrl")
    second = PPO.load(tmp_path / "half", env=envs(), force_reset=False)
    assert second.num_timesteps == 512 and second.seed == 1
    assert [e["r"] for e in second.ep_info_buffer] == [e["r"] for e in first.ep_info_buffer]
    second.learn(512, reset_num_timesteps=False)
    assert policy_of(second) == policy_of(whole)


@pytest.mark.parametrize("env_id", ["Pendulum-v1", "CartPole-v1"])
def test_noise_that_lasts_goes_on_after_a_file(env_id, tmp_path):
    def model(**more):
        # A schedule would end with each call of learn.
        return small(make_vec(env_id, 4), noise_correlation=0.9, log_std_lr=0.001, **more)

    whole = model().learn(1024)
    first = model().learn(512)
    first.save(tmp_path / "half")
    second = PPO.load(tmp_path / "half", env=make_vec(env_id, 4), force_reset=False)
    assert second.settings["noise_correlation"] == 0.9
    second.learn(512, reset_num_timesteps=False)
    assert policy_of(second) == policy_of(whole)
    # All parameters are 0 before the first tree: an action is its noise, which one step passes on to the next.
    fresh = model(n_steps=100, policy_lr=0.0).learn(400)
    actions = fresh.rollout_buffer.actions[:, :, 0]
    assert np.corrcoef(actions[1:].ravel(), actions[:-1].ravel())[0, 1] > 0.7


def test_noise_that_fades_goes_on_after_a_file_and_begins_anew_with_another_run(tmp_path):
    class Saves(BaseCallback):
        def _on_rollout_start(self):
            if self.num_timesteps == 512:
                self.model.save(tmp_path / "half")

        def _on_step(self):
            return True

    def model(**more):
        return small(make_vec("CartPole-v1", 4), noise_correlation="linear:0.95:0", **more)

    whole = model().learn(1024, callback=Saves())
    second = PPO.load(tmp_path / "half", env=make_vec("CartPole-v1", 4), force_reset=False)
    assert policy_of(second.learn(512, reset_num_timesteps=False)) == policy_of(whole)
    # Without trees a choice is its number: kept in all but one step of 20 at first, hardly ever in the end.
    still = model(n_steps=100, policy_lr=0.0)
    for _ in range(2):
        still.learn(400)
        actions = still.rollout_buffer.actions
        assert np.mean(actions[1:] == actions[:-1]) > 0.9
    still.learn(4000)
    actions = still.rollout_buffer.actions
    assert np.mean(actions[1:] == actions[:-1]) < 0.7


def test_a_policy_stays_small_while_it_learns(tmp_path):
    class Watch(BaseCallback):
        def _on_rollout_end(self):
            assert self.model.n_trees <= 16

        def _on_step(self):
            return True

    bound = {"max_trees": 16, "max_compaction_change": 10.0}
    whole = small(make_vec("CartPole-v1", 4), **bound).learn(2048, callback=Watch())
    first = small(make_vec("CartPole-v1", 4), **bound).learn(1024)
    first.save(tmp_path / "half")
    second = PPO.load(tmp_path / "half", env=make_vec("CartPole-v1", 4), force_reset=False)
    second.learn(1024, reset_num_timesteps=False)
    assert second.n_trees <= 16 and policy_of(second) == policy_of(whole)
    with pytest.raises(NotImplementedError, match="max_trees is not available with Adam"):
        small(max_trees=16, value_optimizer="adam")


def test_a_file_holds_everything(tmp_path):
    model = small(Words(), learning_rate=6e-4, max_depth=3, policy_kwargs={"n_bins": 64}, verbose=0).learn(64)
    buffer = io.BytesIO()
    assert model.save(buffer) is None
    copy = PPO.load(io.BytesIO(buffer.getvalue()))
    observation = {"word": ("a", "b"), "pair": (np.array([1, 2]), np.array([[1, 0], [0, 1]]))}
    for deterministic in (True, False):
        again = [m.predict(observation, deterministic=deterministic)[0] for m in (model, copy)]
        assert np.array_equal(*again)
    assert copy.observation_space == model.observation_space and copy.action_space == model.action_space
    assert copy._arguments() == model._arguments() and copy.n_trees == model.n_trees
    assert policy_of(copy) == policy_of(model)
    copy.set_env(Words())
    copy.learn(32, reset_num_timesteps=False)
    assert copy.num_timesteps == 96


def test_names_of_files(tmp_path):
    model = small().learn(32)
    assert model.save(tmp_path / "deep" / "model.ext").endswith("model.ext")
    model.save(str(tmp_path / "best_model"))
    for name in ("best_model", "best_model.gbrl", "best_model.zip"):
        assert PPO.load(tmp_path / name).num_timesteps == 32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best_model.gbrl", "deep"]
    with pytest.raises(FileNotFoundError, match="nothing.gbrl"):
        PPO.load(tmp_path / "nothing")


def test_damaged_files_are_refused(tmp_path):
    data = bytearray((tmp_path / small().learn(32).save(tmp_path / "m").split("/")[-1]).read_bytes())
    for at in (0, 9, len(data) // 2, len(data) - 1):
        data[at] ^= 4
        with pytest.raises(gbrl_rs.FormatError):
            PPO.load(io.BytesIO(bytes(data)))
        data[at] ^= 4
    with pytest.raises(ValueError):
        PPO.load(io.BytesIO(b""))
    with pytest.raises(gbrl_rs.FormatError, match="expected a model that PPO.save"):
        PPO.load(io.BytesIO(PPO.load(io.BytesIO(bytes(data)))._agent.to_bytes("")))


def test_functions_are_not_in_a_file_and_loading_says_so():
    buffer = io.BytesIO()
    small(learning_rate=lambda progress: 3e-4 * progress, clip_range=lambda _: 0.3).learn(64).save(buffer)
    with pytest.warns(UserWarning, match="learning_rate = .*lambda.*; clip_range"):
        model = PPO.load(io.BytesIO(buffer.getvalue()))
    assert model.clip_range == 0.3 and model.learning_rate == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = PPO.load(
            io.BytesIO(buffer.getvalue()), learning_rate=1e-3, custom_objects={"clip_range": 0.1}, env="CartPole-v1"
        )
    assert again.learning_rate == 1e-3 and again.clip_range == 0.1
    again.learn(32)
    assert float(again._agent.get("clip_range")) == 0.1


def test_loading_with_another_number_of_environments_keeps_the_policy():
    buffer = io.BytesIO()
    model = small().learn(64)
    model.save(buffer)
    wide = PPO.load(io.BytesIO(buffer.getvalue()), env=SyncVectorEnv([lambda: gymnasium.make("CartPole-v1")] * 3))
    assert wide.n_envs == 3 and wide.n_trees == model.n_trees
    wide.learn(96)
    assert wide.n_trees > model.n_trees


def test_parameters_can_be_taken_over(tmp_path):
    teacher, pupil = small().learn(128), small(seed=5)
    pupil.set_parameters(teacher.get_parameters())
    observations = np.random.default_rng(0).normal(size=(20, 4))
    values = [model.policy.predict_values(observations) for model in (teacher, pupil)]
    np.testing.assert_array_equal(*values)
    pupil.learn(64)
    teacher.save(tmp_path / "t")
    pupil.set_parameters(str(tmp_path / "t"))
    np.testing.assert_array_equal(pupil.policy.predict_values(observations), values[0])
    with pytest.raises(ValueError, match="Key foo is an invalid object name"):
        pupil.set_parameters({"foo": b""})
    with pytest.raises(ValueError, match="do not match"):
        pupil.set_parameters({})


def test_the_program_reads_the_policy(tmp_path):
    model = small().learn(64)
    model.save_policy(tmp_path / "model.gbrl")
    booster = gbrl_rs.Booster.load(tmp_path / "model.gbrl")
    assert booster.n_trees == model.n_trees


# -- stopping ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_raises_within_a_second_and_leaves_a_usable_model():
    model = PPO("MlpPolicy", make_vec("CartPole-v1", 8), n_steps=128, batch_size=64, seed=0)
    # A shell's background jobs begin with Ctrl-C ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.learn(1_000_000_000)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - started < 1.5
    assert model.num_timesteps > 0
    model.predict(np.zeros(4))
    steps = model.num_timesteps
    model.learn(1024, reset_num_timesteps=False)
    assert model.num_timesteps >= steps + 1024


def test_exceptions_come_through_unchanged_and_learning_can_go_on():
    class Broken(Count):
        broken = True

        def step(self, action):
            if self.broken and self.state[0] == 2:
                raise LookupError("no such state")
            return super().step(action)

    env = Broken(5)
    model = small(env)
    with pytest.raises(LookupError, match="^no such state$"):
        model.learn(64)
    env.broken = False
    assert model.learn(64).num_timesteps == 64

    def quarrel(locals_, globals_):
        raise ZeroDivisionError("callback")

    with pytest.raises(ZeroDivisionError, match="^callback$"):
        model.learn(64, callback=quarrel)
    assert model.learn(64, reset_num_timesteps=False).num_timesteps >= 64


def test_rewards_that_are_not_finite_are_errors():
    class Endless(Count):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, float("nan"), *rest

    with pytest.raises(gbrl_rs.EnvironmentContractError, match="reward"):
        small(Endless()).learn(64)


# -- arguments -------------------------------------------------------------------------------------------------------


def test_learning_rate_is_sb3s_knob_and_own_rates_win():
    def rates(**arguments):
        agent = small(**arguments)._agent
        return float(agent.get("policy_lr")), float(agent.get("value_lr"))

    policy_lr, value_lr = rates()
    assert rates(learning_rate=6e-4) == pytest.approx((2 * policy_lr, 2 * value_lr))
    assert rates(learning_rate=lambda progress: 1.5e-4 * progress) == pytest.approx((policy_lr / 2, value_lr / 2))
    assert rates(policy_lr=0.2, learning_rate=6e-4) == pytest.approx((0.2, 2 * value_lr))
    assert rates(policy_kwargs={"policy_lr": 0.3})[0] == pytest.approx(0.3)
    assert small(policy_lr="lin_0.2")._agent.get("policy_lr") == "linear:0.2:0"


def test_schedules_are_called_with_the_remaining_progress():
    seen = []

    def rate(progress):
        seen.append(progress)
        return 1e-3 * progress

    model = small(learning_rate=rate, clip_range=lambda progress: 0.1 + progress).learn(128)
    assert sorted(set(seen), reverse=True) == [1.0, 0.75, 0.5, 0.25, 0.0]
    assert float(model._agent.get("clip_range")) == pytest.approx(0.1)


def test_coefficients_are_sb3s():
    model = small(vf_coef=0.7, ent_coef=0.01, target_kl=0.02, clip_range_vf=0.3, normalize_advantage=False)
    get = model._agent.get
    assert float(get("vf_coef")) == pytest.approx(1.4) and float(get("ent_coef")) == 0.01
    assert float(get("target_kl")) == 0.02 and float(get("clip_range_vf")) == 0.3
    assert get("normalize_advantage") == "false"


def test_attributes_changed_by_a_callback_count_from_the_next_update():
    class Anneal(BaseCallback):
        def _on_rollout_end(self):
            self.model.ent_coef = 0.25
            self.model.n_epochs = 1

    model = small().learn(32, callback=Anneal())
    assert float(model._agent.get("ent_coef")) == 0.25 and model.n_trees == 1
    model.n_steps = 64
    with pytest.raises(ValueError, match="n_steps"):
        model.learn(32)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"foo": 1}, TypeError, "unexpected keyword argument 'foo'"),
        ({"max_dept": 1}, TypeError, "did you mean 'max_depth'"),
        ({"n_envs": 4}, TypeError, "expected it in the environments"),
        ({"policy_kwargs": {"max_dept": 1}}, TypeError, "policy_kwargs got an unexpected.*max_depth"),
        ({"max_depth": 99}, ValueError, "max_depth"),
        ({"gamma": "x"}, ValueError, "gamma"),
        ({"use_sde": True}, NotImplementedError, "use_sde: expected False.*network.*noise_correlation"),
        ({"noise_correlation": 1.0}, ValueError, "noise_correlation: expected at least 0, below 1"),
        ({"device": "tpu"}, gbrl_rs.DeviceError, "expected 'auto', 'cpu', 'cuda' or 'cuda:N', got 'tpu'"),
        ({"device": "cuda:99"}, gbrl_rs.DeviceError, "device cuda:99: "),
        ({"rollout_buffer_class": list}, NotImplementedError, "rollout_buffer_class"),
        ({"batch_size": 1}, AssertionError, "`batch_size` must be greater than 1"),
        ({"n_steps": 1}, AssertionError, "`n_steps \\* n_envs` must be greater than 1"),
        ({"clip_range_vf": -1.0}, AssertionError, "`clip_range_vf` must be positive"),
        ({"max_depth": object()}, TypeError, "max_depth: expected a number"),
    ],
)
def test_wrong_arguments_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        small(**arguments)


def test_wrong_policies_and_environments_are_named():
    class Lists(Count):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Sequence(spaces.Discrete(2))

    with pytest.raises(ValueError, match="Policy NoPolicy unknown"):
        PPO("NoPolicy", "CartPole-v1")
    with pytest.raises(TypeError, match="env: expected an id"):
        PPO("MlpPolicy", None)
    with pytest.raises(AssertionError, match="as action spaces but"):
        PPO("MlpPolicy", Identity(spaces.Dict({"a": spaces.Discrete(2)})))
    with pytest.raises(NotImplementedError, match="got Sequence"):
        PPO("MlpPolicy", Lists())


def test_what_networks_have_is_ignored_with_one_warning():
    with pytest.warns(UserWarning, match="activation_fn, net_arch describe neural networks") as caught:
        small(policy_kwargs={"net_arch": [64], "activation_fn": dict, "max_depth": 2})
    assert len(caught) == 1 and caught[0].filename == __file__
    with pytest.warns(UserWarning, match="max_grad_norm=1.0 is a norm of network parameters"):
        small(max_grad_norm=1.0)
    with pytest.warns(UserWarning, match="a truncated mini-batch of size 2\n"):
        small(batch_size=30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small()


def test_presets_and_their_overrides():
    model = PPO.from_preset(make_vec("CartPole-v1", 8), "paper", seed=3, n_epochs=2)
    assert (model.n_steps, model.batch_size, model.n_epochs, model.seed) == (128, 64, 2, 3)
    assert float(model._agent.get("vf_coef")) == pytest.approx(0.871923)
    assert model._agent.get("edges") == "step" and model.learn(1024).n_trees == 32
    with pytest.raises(ValueError, match="papr"):
        PPO.from_preset("CartPole-v1", "papr")


# -- prediction, environments ----------------------------------------------------------------------------------------


def test_predictions_have_sb3s_shapes():
    model = small()
    one, state = model.predict(np.zeros(4), state="kept")
    assert one.shape == () and one.dtype == np.int64 and state == "kept"
    assert model.predict(np.zeros((3, 4)))[0].shape == (3,)
    numbers = small("Pendulum-v1")
    assert numbers.predict(np.zeros(3))[0].shape == (1,) and numbers.predict(np.zeros((2, 3)))[0].shape == (2, 1)
    assert np.abs(numbers.predict(np.zeros((500, 3)))[0]).max() <= 2.0


def test_mixing_gym_and_sb3_is_told():
    model = small()
    with pytest.raises(ValueError, match="mixing Gym API with SB3 VecEnv API"):
        model.predict(gymnasium.make("CartPole-v1").reset())
    with pytest.raises(ValueError, match=r"Unexpected observation shape \(3,\).*or \(n_env, 4\)"):
        model.predict(np.zeros(3))
    with pytest.raises(ValueError, match="is a dict but the obs space is"):
        model.predict({"a": np.zeros(4)})


def test_other_environments_must_fit():
    model = small()
    with pytest.raises(ValueError, match="Observation spaces do not match"):
        model.set_env(gymnasium.make("Pendulum-v1"))
    with pytest.raises(AssertionError, match=r"number of environments to be set.*\(2 != 1\)"):
        model.set_env(make_vec_env("CartPole-v1", 2))
    model.set_env(gymnasium.make("CartPole-v1"))
    assert model.learn(32).num_timesteps == 32
    buffer = io.BytesIO()
    model.save(buffer)
    alone = PPO.load(io.BytesIO(buffer.getvalue()))
    assert alone.get_env() is None and alone.predict(np.zeros(4))[0] in (0, 1)
    with pytest.raises(ValueError, match="expected environments to learn from"):
        alone.learn(32)


def test_the_loop_of_sb3s_front_page():
    model = small().learn(64)
    vec_env = model.get_env()
    observations = vec_env.reset()
    for _ in range(100):
        actions, _ = model.predict(observations, deterministic=True)
        observations, rewards, dones, infos = vec_env.step(actions)
    assert observations.shape == (1, 4) and rewards.shape == dones.shape == (1,) and len(infos) == 1


def test_the_buffer_is_the_rollout():
    model = small(SyncVectorEnv([lambda: Count(5)] * 2), gamma=0.9, gae_lambda=0.8)
    assert not model.rollout_buffer.full and model.rollout_buffer.size() == 0
    model.learn(64)
    buffer = model.rollout_buffer
    assert buffer.full and buffer.size() == 32
    np.testing.assert_allclose(buffer.returns, buffer.advantages + buffer.values, atol=1e-6)
    position = np.arange(32) % 5
    np.testing.assert_array_equal(buffer.observations[:, 0, 0], position)
    np.testing.assert_array_equal(buffer.episode_starts, np.stack([position == 0] * 2, axis=1))
    np.testing.assert_array_equal(buffer.rewards, buffer.actions[..., 0])
    assert not hasattr(buffer, "action_masks")


def test_advantages_of_a_new_value_function_are_discounted_sums():
    """With a value of 0 everywhere, GAE is a sum of discounted rewards up to the episode's end."""
    gamma, lambda_ = 0.9, 0.7
    model = small(Count(8), gamma=gamma, gae_lambda=lambda_)
    _, callback = model._setup_learn(32, None, True, "PPO", False)
    model.collect_rollouts(model.env, callback)
    buffer = model.rollout_buffer
    assert not buffer.values.any()
    rewards, expected = buffer.rewards[:, 0].astype(float), np.zeros(32)
    for t in range(32):
        end = t - t % 8 + 8
        expected[t] = sum((gamma * lambda_) ** k * rewards[t + k] for k in range(end - t))
    np.testing.assert_allclose(buffer.advantages[:, 0], expected, rtol=1e-6)


def test_seeds_restart_everything():
    model = small()
    model.set_random_seed(9)
    first = [model.predict(np.zeros((30, 4)))[0].tolist() for _ in range(2)]
    model.set_random_seed(9)
    assert model.predict(np.zeros((30, 4)))[0].tolist() == first[0] != first[1]


def test_steps_are_counted_as_sb3_counts():
    model = small().learn(50)
    assert model.num_timesteps == 64
    model.learn(32, reset_num_timesteps=False)
    assert model.num_timesteps == 96 and model._total_timesteps == 96
    model.learn(32)
    assert model.num_timesteps == 32


def test_the_policy_in_numbers():
    model = small("Pendulum-v1").learn(64)
    observations = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    distribution = model.policy.get_distribution(observations)
    means, log_stds = np.split(distribution.parameters, 2, axis=1)
    actions = means.astype(np.float32) + 0.1
    density = -(((actions - means) / np.exp(log_stds)) ** 2) / 2 - log_stds - np.log(2 * np.pi) / 2
    np.testing.assert_allclose(distribution.log_prob(actions), density[:, 0], rtol=1e-6)
    np.testing.assert_allclose(distribution.entropy(), (log_stds + np.log(2 * np.pi * np.e) / 2)[:, 0], rtol=1e-12)
    batch, is_batch = model.policy.obs_to_tensor(observations[0])
    assert not is_batch and model.policy.predict_values(batch) == model.policy.predict_values(observations[0])


def test_looking_at_the_trees():
    model = small().learn(64)
    assert model.feature_names == ["obs[0]", "obs[1]", "obs[2]", "obs[3]"]
    assert model.feature_importances().sum() == pytest.approx(1)
    assert model.dump_tree(0).startswith("tree 0")
    assert "Box" in model._repr_html_() and "<table>" in model._repr_html_()


def test_settings_of_the_trees_may_follow_a_schedule():
    model = small(make_vec("CartPole-v1", 4), lambda_l2=lambda remaining: 5.0 * remaining).learn(256)
    assert model._agent.get("lambda_l2") == "0"
    assert model.n_trees > 0


def test_another_number_of_copies_goes_on_counting(tmp_path):
    path = small(make_vec("CartPole-v1", 2)).learn(256).save(tmp_path / "two")
    model = PPO.load(path, env=make_vec("CartPole-v1", 3))
    model.learn(96, reset_num_timesteps=False, callback=lambda local, everything: True)
    assert model.num_timesteps >= 256 + 96


def test_distributions_have_torchs_names():
    rows = np.random.default_rng(0).normal(size=(5, 4))
    model = small().learn(64)
    for masks in (None, np.array([[True, False]] * 5)):
        distribution = model.policy.get_distribution(rows, masks)
        probs = distribution.distribution.probs
        np.testing.assert_allclose(probs.sum(axis=1), 1.0)
        expected = np.stack([distribution.log_prob(np.full((5, 1), k)) for k in (0, 1)][: 2 if masks is None else 1], 1)
        np.testing.assert_allclose(np.log(probs[:, : expected.shape[1]]), expected, atol=1e-9)
    numbers = small("Pendulum-v1").policy.get_distribution(np.zeros((2, 3))).distribution
    assert numbers.mean.shape == numbers.stddev.shape == (2, 1) and (numbers.stddev > 0).all()
    bits = small(Identity(spaces.MultiBinary(3))).learn(64).policy.get_distribution(np.ones((2, 3), dtype=np.int8))
    np.testing.assert_allclose(np.log(bits.distribution.probs).sum(axis=1), bits.log_prob(np.ones((2, 3))), atol=1e-9)
    several = small(Identity(spaces.MultiDiscrete([2, 3]))).policy.get_distribution(np.zeros((1, 2), dtype=int))
    assert [part.probs.shape for part in several.distribution] == [(1, 2), (1, 3)]


def test_attributes_that_scripts_look_for():
    model = small()
    assert model.action_noise is None and model.rollout_buffer_class is None and model.sde_sample_freq == -1
    assert model._vec_normalize_env is None and model.lr_schedule(0.5) == 3e-4
    model.lr_schedule = lambda progress: 1e-3 * progress
    assert model.lr_schedule(0.5) == 5e-4
    import gbrl_rs as package

    assert package.callbacks.EvalCallback is gbrl_rs.EvalCallback and package.env_util.make_vec_env is make_vec_env
