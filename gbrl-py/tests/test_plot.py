"""Pictures show what is there."""

import numpy as np
import pytest

from gbrl_rs import PPO, Booster, plot_curve, plot_importance, plot_tree

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")


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
    assert any(text.startswith("f0 = ") for text in shown) and any(text.startswith("f1 > ") for text in shown)
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


def test_a_notebook_shows_what_a_model_is():
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=32, seed=0)
    assert "nothing yet" in model._repr_html_()
    shown = model.learn(64)._repr_html_()
    assert "Discrete(2)" in shown and ">64<" in shown and "obs[" in shown
