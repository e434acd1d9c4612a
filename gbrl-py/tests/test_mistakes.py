"""What people get wrong, and what they are told."""

import warnings

import gymnasium
import numpy as np
import pytest

import gbrl_rs
from gbrl_rs import A2C, AWR, PPO, ActorCritic, Booster, EvalCallback, make_vec, make_vec_env, preset


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PPO("MlpPolicy", "CartPole-v1", learning_rte=1), "PPO.*'learning_rte'; did you mean 'learning_rate'"),
        (lambda: PPO("MlpPolicy", "CartPole-v1", nsteps=1), "did you mean 'n_steps'"),
        (lambda: A2C("MlpPolicy", "CartPole-v1", gama=1), "did you mean 'gamma'"),
        (lambda: AWR("MlpPolicy", "CartPole-v1", weights_max=1), "did you mean 'max_weight'"),
        (lambda: PPO("MlpPolicy", "CartPole-v1", tree_struct={}), "'max_depth', 'grow_policy', 'n_bins', 'min_data"),
        (lambda: PPO("MlpPolicy", "CartPole-v1", split_score_func="l2"), "did you mean 'split_score'"),
        (lambda: PPO("MlpPolicy", "CartPole-v1", n_envs=2), "expected it in the environments"),
        (lambda: Booster(n_output=2), "Booster.*did you mean 'n_outputs'"),
        (lambda: Booster(input_dim=2), "did you mean 'n_features'"),
        (lambda: Booster(n_estimators=2), r"expected it in fit\(x, y, n_trees\)"),
        (lambda: ActorCritic(2, 2, policy_rate=1), "ActorCritic.*'policy_lr'"),
        (lambda: EvalCallback("CartPole-v1", eval_frequ=10), "EvalCallback.*did you mean 'eval_freq'"),
        (lambda: make_vec_env("CartPole-v1", nenvs=10), "make_vec_env.*did you mean 'n_envs'"),
        (lambda: gbrl_rs.evaluate_policy(None, None, n_eval_episode=1), "did you mean 'n_eval_episodes'"),
        (lambda: PPO("MlpPolicy", "CartPole-v1").learn(total_timestep=1), "learn.*did you mean 'total_timesteps'"),
        (lambda: gbrl_rs.CheckpointCallback(10, "x", name_prefx="m"), "did you mean 'name_prefix'"),
    ],
)
def test_the_nearest_name_is_suggested(call, message):
    with pytest.raises(TypeError, match=message):
        call()


def test_the_regressor_suggests_too():
    pytest.importorskip("sklearn")
    for wrong in ("n_estimator", "n_trees"):
        with pytest.raises(TypeError, match="GBRLRegressor.*did you mean 'n_estimators'"):
            gbrl_rs.GBRLRegressor(**{wrong: 10})


def test_values_are_checked_where_they_are_given():
    with pytest.raises(ValueError, match="learning_rate: expected a number, or a text such as lin_0.1.*got abc"):
        Booster(learning_rate="abc")
    with pytest.raises(ValueError, match="max_depth: expected"):
        Booster(max_depth=0)
    with pytest.raises(ValueError, match="optimizer: expected sgd or adam"):
        Booster(optimizer="x")
    with pytest.raises(ValueError, match="policy_lr: expected a number"):
        ActorCritic(2, 2, policy_lr="abc")
    for wrong in ("many", 1.5, None):
        with pytest.raises(ValueError, match="total_timesteps: expected a whole number"):
            PPO("MlpPolicy", "CartPole-v1").learn(wrong)
    with pytest.raises(ValueError, match="buffer_size: expected a whole number, got 0.5"):
        AWR("MlpPolicy", "CartPole-v1", buffer_size=0.5)


def test_a_preset_makes_as_many_copies_as_it_is_for():
    chosen = preset("CartPole-v1", "paper")
    assert (chosen.n_envs, chosen.total_timesteps, chosen["n_steps"]) == (8, 1_000_000, 128)
    assert chosen["clip_range_vf"] is None and chosen["normalize_advantage"] is True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_id = PPO.from_preset("CartPole-v1", "paper", seed=0)
        by_hand = PPO("MlpPolicy", make_vec_env("CartPole-v1", chosen.n_envs), **chosen, seed=0)
        assert PPO.from_preset("LinearEquation-v0").n_envs == preset("LinearEquation-v0").n_envs
        assert PPO.from_preset("CartPole-v1", n_envs=3, batch_size=128 * 3).n_envs == 3
    assert by_id.n_envs == 8 and by_id.learn(2048).get_parameters() == by_hand.learn(2048).get_parameters()
    with pytest.warns(UserWarning, match="is made for 16 copies of the environment, got 1") as caught:
        model = PPO.from_preset(gymnasium.make("CartPole-v1"))
    assert len(caught) == 1 and model.batch_size == model.n_steps == 256
    with pytest.raises(ValueError, match=r"preset of Blackjack-v1 'paper' \(there is default, generic\)"):
        PPO.from_preset("Blackjack-v1", "paper")


@pytest.mark.parametrize("name", gbrl_rs.environments())
def test_no_preset_of_ours_is_warned_about(name):
    for model in (PPO, A2C, AWR):
        chosen = preset(name, algo=model.ALGORITHM)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model("MlpPolicy", make_vec(name, chosen.n_envs), **chosen)


def test_minibatches_larger_than_the_rollout_are_told_as_that():
    with pytest.warns(UserWarning, match="mini-batch size of 64.*larger than .*= 32.*every mini-batch is the whole"):
        PPO("MlpPolicy", "CartPole-v1", n_steps=32)


def test_a_rate_that_decides_nothing_is_not_logged(tmp_path):
    def keys(**arguments):
        model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, **arguments)
        model.set_logger(gbrl_rs.configure(str(tmp_path), ["csv"]))
        model.learn(64)
        return model.logger.name_to_value

    assert keys()["train/learning_rate"] == 3e-4 and "train/learning_rate" in keys(policy_lr=0.1)
    assert "train/learning_rate" not in keys(policy_lr=0.1, value_lr=0.1)
    assert "train/learning_rate" not in keys(policy_kwargs={"policy_lr": 0.1, "value_lr": 0.1})


def test_environments_that_are_not_ours_are_pointed_to():
    with pytest.raises(ValueError, match=r"Blackjack-v1.*make_vec_env\('Blackjack-v1', 1\)"):
        make_vec("Blackjack-v1")
    with pytest.raises(ValueError, match="CartPole-v1"):
        make_vec("CartPole-v9")


def test_ids_of_ours_are_ids_too():
    model = PPO("MlpPolicy", "LinearEquation-v0", n_steps=64, seed=0).learn(64)
    other = PPO("MlpPolicy", make_vec("LinearEquation-v0"), n_steps=64, seed=0).learn(64)
    assert model.get_parameters() == other.get_parameters()
    assert np.isfinite(gbrl_rs.evaluate_policy(model, "LinearEquation-v0", 2)).all()
    with pytest.raises(gymnasium.error.NameNotFound):
        PPO("MlpPolicy", "NoSuch-v0")


def test_one_network_keyword_describes_and_two_describe():
    with pytest.warns(UserWarning, match="net_arch describes neural networks and has no meaning"):
        PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [64]})
    with pytest.warns(UserWarning, match="activation_fn, net_arch describe neural networks and have no"):
        PPO("MlpPolicy", "CartPole-v1", policy_kwargs={"net_arch": [64], "activation_fn": None})


def test_a_wrong_number_of_actions_is_told():
    for envs in (make_vec("CartPole-v1", 3), make_vec_env("CartPole-v1", 3)):
        envs.reset()
        with pytest.raises(ValueError, match=r"CartPole-v1: actions: expected 3 actions.*got .*2"):
            envs.step(np.zeros(2, dtype=np.int64))
