"""Pictures show what is there."""

import numpy as np
import pytest

from gymnasium import spaces

from gbrl_rs import (
    PPO,
    ActorCritic,
    Booster,
    VecNormalize,
    make_vec,
    make_vec_env,
    plot_curve,
    plot_importance,
    plot_tree,
)
from gbrl_rs.plot import short_space

matplotlib = pytest.importorskip("matplotlib.pyplot") and pytest.importorskip("matplotlib")
matplotlib.use("agg")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    matplotlib.pyplot.close("all")


@pytest.fixture
def booster():
    rng = np.random.default_rng(0)
    words = rng.choice(["a", "b"], 200)
    x = np.array([words, rng.normal(size=200)], dtype=object).T
    booster = Booster(2, max_depth=2)
    booster.fit(x, np.stack([words == "a", x[:, 1] > 0], axis=1), 3)
    return booster


def texts(ax):
    return [text.get_text() for text in ax.texts if text.get_text() not in ("yes", "no")]


def test_trees_are_drawn_whole(booster):
    ax = plot_tree(booster, 1)
    shown = texts(ax)
    assert len(shown) == 7 and sum("rows" in text for text in shown) == 4
    assert any(text.startswith("f0 == ") for text in shown) and any(text.startswith("f1 > ") for text in shown)
    assert ax.get_title() == "tree 1 of 3" and len(ax.lines) == 6
    with pytest.raises(ValueError, match="99"):
        plot_tree(booster, 99)


@pytest.mark.parametrize("grow_policy", ["depthwise", "bestfirst"])
def test_binary_trees_too(grow_policy):
    x = np.random.default_rng(0).normal(size=(100, 2))
    booster = Booster(1, 2, grow_policy=grow_policy, max_depth=3)
    booster.step(x, x[:, :1] * x[:, 1:])
    leaves = sum("rows" in text for text in texts(booster.plot_tree(0)))
    assert leaves == len(np.unique(booster.leaf_index(x)))
    single = Booster(1, 2, grow_policy=grow_policy)
    single.step(x, np.zeros(100))
    assert len(texts(single.plot_tree())) == 1


def test_importance_is_sorted(booster):
    ax = plot_importance(booster, max_features=1)
    assert len(ax.patches) == 1
    assert ax.patches[0].get_width() == pytest.approx(booster.feature_importances().max())


def test_curves_of_every_file(tmp_path):
    (tmp_path / "metrics.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n10,1.5\n20,\n30,2.5\n")
    line = plot_curve(tmp_path).lines[0]
    assert line.get_xdata().tolist() == [10, 30] and line.get_ydata().tolist() == [1.5, 2.5]
    monitor = tmp_path / "0.monitor.csv"
    monitor.write_text('#{"t_start": 0}\nr,l,t\n5,3,0.1\n7,4,0.2\n')
    line = plot_curve([monitor, monitor]).lines[1]
    assert line.get_xdata().tolist() == [3, 7] and line.get_ydata().tolist() == [5, 7]
    with pytest.raises(ValueError, match="expected the column x, got time/total_timesteps"):
        plot_curve(tmp_path, x="x")
    with pytest.raises(FileNotFoundError, match="expected a CSV file"):
        plot_curve(tmp_path / "none")


def test_leaves_name_their_outputs_as_the_dumps_do(booster):
    shown = texts(plot_tree(booster, 0))
    assert sum(text.startswith("outputs[0] ") and "\noutputs[1] " in text for text in shown) == 4
    questions = [text for text in shown if text.endswith("?")]
    assert any(question in ('f0 == "a"?', 'f0 == "b"?') for question in questions)
    assert all(question.split(" > ")[0][:13] in booster.dump(0) for question in questions)
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64).learn(64)
    assert any("policy[0] " in text and "\nvalue " in text for text in texts(plot_tree(model)))


def test_categories_are_called_what_the_dumps_call_them():
    model = PPO("MlpPolicy", make_vec("Taxi-v3", 4), n_steps=64, seed=0, max_depth=2).learn(512)
    questions = {text for i in range(model.n_trees) for text in texts(plot_tree(model, i)) if text.endswith("?")}
    dumps = "".join(map(model.dump_tree, range(model.n_trees)))
    assert any('== "' in question for question in questions) and all(question in dumps for question in questions)


@pytest.mark.parametrize("depth", [2, 4, 6])
def test_boxes_never_lie_upon_each_other(depth):
    import matplotlib.pyplot as plt

    x = np.random.default_rng(0).normal(size=(500, 4)) * 1e5
    booster = Booster(3, 4, max_depth=depth, grow_policy="oblivious")
    booster.step(x, x[:, :3])
    for own in (None, plt.subplots()[1]) if depth < 6 else (None,):
        ax = plot_tree(booster, 0, ax=own)
        ax.figure.canvas.draw()
        boxes = [text.get_bbox_patch().get_window_extent() for text in ax.texts if text.get_text() not in ("yes", "no")]
        assert len(boxes) == 2 ** (depth + 1) - 1
        for i, a in enumerate(boxes):
            assert not any(a.overlaps(b) for b in boxes[i + 1 :])
        plt.close(ax.figure)


def test_a_curve_has_what_its_run_tells(tmp_path):
    columns = "time/total_timesteps,rollout/ep_rew_mean,rollout/ep_rew_p10,rollout/ep_rew_p90,eval/mean_reward"
    run = tmp_path / "a" / "ppo-seed0"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text(f"{columns}\n10,1.5,1,2,\n20000,2.5,2,3,2.75\n")
    (run / "config.toml").write_text('env = "X-v0"\nalgo = "ppo"\nseed = "3"\n')
    ax = plot_curve(run)
    assert ax.get_title() == "PPO on X-v0, seed 3" and len(ax.collections) == 1
    assert ax.get_legend_handles_labels()[1] == ["middle 80 % of the last 100 episodes", "evaluation", "mean"]
    assert ax.xaxis.get_major_formatter()(20000.0, 0) == "20,000"
    assert ax.lines[0].get_ydata().tolist() == [2.75]


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [tmp_path / env / name for env, name in (("A", "seed0"), ("B", "seed0"), ("B", "seed1"))]
    for run in runs:
        run.mkdir(parents=True)
        (run / "metrics.csv").write_text("time/total_timesteps,rollout/ep_rew_mean\n10,1\n20,2\n")

    def labels(*chosen):
        return [text.get_text() for text in plot_curve(list(chosen)).get_legend().get_texts()]

    assert labels(runs[0], runs[2]) == ["seed0", "seed1"]
    assert labels(*runs) == ["A/seed0", "B/seed0", "B/seed1"]
    assert len(set(labels(runs[0], runs[0]))) == 1


def test_everything_prints_what_it_is():
    x = np.random.default_rng(0).normal(size=(100, 2))
    booster = Booster(3)
    assert repr(booster) == "Booster(n_outputs=3, without data)" and "without data" in booster._repr_html_()
    booster.fit(x, np.zeros((100, 3)), 2)
    assert repr(booster) == "Booster(n_outputs=3, n_features=2, n_trees=2)"
    assert "outputs[2]" in booster._repr_html_() and "Booster of gradient-boosted trees" in booster._repr_html_()
    pair = ActorCritic(2, 4)
    assert repr(pair) == "ActorCritic(n_actions=2, n_features=4, n_trees=0)" and "policy[1], value" in pair._repr_html_()
    env = VecNormalize(make_vec_env("CartPole-v1", 2))
    assert repr(env) == "VecNormalize(ModelVecEnv(2 x CartPole-v1), training=True, norm_obs=True, norm_reward=True)"
    model = PPO("MlpPolicy", env, n_steps=64)
    assert repr(model) == "PPO(CartPole-v1, 2 environments, 0 steps, 0 trees, device=auto)"
    assert repr(model.policy) == "TreePolicy(Box(-10, 10, (4,), float32) -> Discrete(2), 0 trees)"
    space = spaces.Dict(a=spaces.Box(np.array([0.0, -np.inf]), np.ones(2)), b=spaces.Tuple([spaces.Discrete(2)]))
    assert short_space(space) == "Dict(a: Box((2,), float32), b: Tuple(Discrete(2)))"
    assert "\n" not in PPO("MlpPolicy", "CartPole-v1")._repr_html_()


def test_a_notebook_shows_what_a_model_is():
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, seed=0)
    assert "nothing yet" in model._repr_html_()
    shown = model.learn(64)._repr_html_()
    assert "Discrete(2)" in shown and ">64<" in shown and "obs[" in shown
