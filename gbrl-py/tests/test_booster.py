"""The learner itself: any array in, the same trees out."""

import copy
import pickle

import numpy as np
import pytest

import gbrl_rs
from gbrl_rs import ActorCritic, Booster

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype(np.float32)
Y = np.stack([np.sin(2 * X[:, 0]) + X[:, 1], X[:, 2] * X[:, 3]], axis=1).astype(np.float32)


def grown(x=X, y=Y, n_trees=20, **settings):
    booster = Booster(n_outputs=2, **settings)
    for _ in range(n_trees):
        booster.step(x, booster.predict(x) - y)
    return booster


def test_steps_lower_the_loss_and_are_what_fit_does():
    booster = Booster(n_outputs=2, learning_rate=0.3)
    losses = booster.fit(X, Y, 50)
    assert losses.shape == (50,) and losses[-1] < 0.1 * losses[0]
    np.testing.assert_allclose(losses[-1], 0.5 * ((booster.predict(X) - Y) ** 2).sum(axis=1).mean(), rtol=1e-4)
    by_hand = Booster(n_outputs=2, n_features=4, learning_rate=0.3)
    by_hand.bias = booster.bias
    for _ in range(50):
        report = by_hand.step(X, by_hand.predict(X) - Y)
    assert report == {"n_trees": 1, "n_leaves": 16, "depth": 4, "n_rows": 300}
    np.testing.assert_allclose(by_hand.predict(X), booster.predict(X), atol=0.05)


@pytest.mark.parametrize(
    "form",
    [
        lambda a: a.astype(np.float64),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a.T.copy().T,
        lambda a: a[::-1].copy()[::-1],
        lambda a: a.tolist(),
        lambda a: a.astype(">f8"),
        lambda a: np.ma.array(a),
    ],
)
def test_every_dtype_and_layout_grows_the_same_trees(form):
    assert grown(form(X), Y).to_bytes() == grown().to_bytes()
    booster = grown()
    np.testing.assert_array_equal(booster.predict(form(X)), booster.predict(X))
    other = Booster(2, 4)
    other.step(X, form(Y))
    plain = Booster(2, 4)
    plain.step(X, Y)
    assert other.to_bytes() == plain.to_bytes()


def test_ranges_of_trees_add_up():
    booster = grown()
    parts = booster.predict(X, 0, 7) - booster.bias, booster.predict(X, 7) - booster.bias
    np.testing.assert_allclose(sum(parts) + booster.bias, booster.predict(X), atol=1e-6)
    np.testing.assert_array_equal(booster.predict(X, 3, 3), np.tile(booster.bias, (300, 1)))


def test_leaves_tell_rows_apart():
    booster = grown(n_trees=3)
    leaves = booster.leaf_index(X)
    assert leaves.shape == (300, 3) and leaves.dtype == np.uint32 and leaves.max() < 16
    outputs = booster.predict(X)
    same = (leaves == leaves[0]).all(axis=1)
    assert same.sum() > 1 and (outputs[same] == outputs[0]).all()


def test_strings_are_categories():
    words = RNG.choice(["red", "green", "blue", None], size=300)
    x = np.array([words, X[:, 0]], dtype=object).T
    y = (words == "green").astype(np.float32)
    booster = Booster(learning_rate=1.0, min_data_in_leaf=1)
    booster.fit(x, y, 30)
    predicted = booster.predict([["green", 0.1], ["red", 0.1], [None, 0.1]])[:, 0]
    np.testing.assert_allclose(predicted, [1, 0, 0], atol=0.05)
    again = Booster.from_bytes(booster.to_bytes())
    np.testing.assert_array_equal(again.predict(x), booster.predict(x))
    with pytest.raises(TypeError, match="column 1: expected numbers"):
        booster.predict([["green", "green"]])


def test_data_frames_name_the_columns():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"speed": X[:, 0], "colour": np.where(X[:, 1] > 0, "red", "blue")})
    booster = Booster()
    booster.fit(frame, X[:, 1] > 0, 10)
    assert booster.feature_names == ["speed", "colour"]
    assert booster.feature_importances()[1] > 0.9


def test_nullable_columns_are_numbers_with_missing_values():
    pandas = pytest.importorskip("pandas")
    speed = [None if i % 3 == 0 else i for i in range(300)]
    colour = [pandas.NA if i % 5 == 0 else "red" if i % 2 else "blue" for i in range(300)]
    frame = pandas.DataFrame({"speed": pandas.array(speed, dtype="Int64"), "colour": colour})
    booster = Booster()
    booster.fit(frame, Y[:, 0], 10)
    texts = [text if isinstance(text, str) else None for text in colour]
    plain = np.array(list(zip(speed, texts, strict=True)), dtype=object)
    other = Booster(features=[("speed", "numeric"), ("colour", "strings")])
    other.fit(plain, Y[:, 0], 10)
    assert booster.to_bytes() == other.to_bytes()
    # A value between two others goes the way of its neighbours: no text is asked about.
    assert booster.dump(0).count("speed ==") == 0
    alone = Booster()
    alone.fit(frame[["speed"]], Y[:, 0], 10)
    narrow = np.array([[np.float32("nan")] if x is None else [np.float32(x)] for x in speed], dtype=object)
    np.testing.assert_array_equal(alone.predict(narrow), alone.predict(frame[["speed"]]))


@pytest.mark.parametrize("nothing", [None, float("nan"), np.float32("nan"), np.float16("nan")], ids=repr)
def test_what_is_missing_among_objects_makes_no_category(nothing):
    numbers = np.array([[nothing], [1], [2.5], [nothing]] * 20, dtype=object)
    words = np.array([[nothing], ["a"], ["b"], [nothing]] * 20, dtype=object)
    target = np.tile([3.0, 1.0, 2.0, 3.0], 20)
    for rows, of_nothing in ((numbers, [[np.nan]]), (words, [[None]])):
        booster = Booster(learning_rate=1.0)
        booster.fit(rows, target, 20)
        np.testing.assert_allclose(booster.predict(rows)[:, 0], target, atol=0.02)
        np.testing.assert_array_equal(booster.predict(of_nothing), booster.predict(rows[:1]))
    assert Booster().fit(np.full((4, 1), nothing, dtype=object), np.ones(4), 1).shape == (1,)


def test_one_tree_at_a_time_equals_all_at_once():
    whole = Booster(n_outputs=2).fit(X, Y, 6)
    parts = Booster(n_outputs=2)
    losses = [parts.partial_fit(X, Y).n_trees for _ in range(6)]
    assert losses == [1, 2, 3, 4, 5, 6]
    assert Booster(n_outputs=2).fit(X, Y, 6).tolist() == whole.tolist()
    other = Booster(n_outputs=2)
    other.fit(X, Y, 6)
    assert other.to_bytes() == parts.to_bytes()


def test_weights_and_rates():
    booster, doubled = Booster(1, 4), Booster(1, 4)
    booster.step(X, X[:, 0], weights=np.ones(300))
    doubled.step(X, X[:, 0], weights=np.full(300, 2.0))
    np.testing.assert_allclose(booster.predict(X), doubled.predict(X))
    fast = Booster(1, 4, learning_rate="lin_0.2")
    fast.step(X, X[:, 0])
    np.testing.assert_allclose(fast.predict(X), 2 * booster.predict(X), rtol=1e-6)
    fast.set_progress(0.5)
    fast.step(X, X[:, 0])
    np.testing.assert_allclose(fast.predict(X), 3 * booster.predict(X), rtol=1e-5)
    fast.set_learning_rate(0.0)
    fast.step(X, X[:, 0])
    np.testing.assert_allclose(fast.predict(X), 3 * booster.predict(X), rtol=1e-5)


@pytest.mark.parametrize(
    "clone",
    [
        lambda b, path: pickle.loads(pickle.dumps(b)),
        lambda b, path: copy.copy(b),
        lambda b, path: copy.deepcopy(b),
        lambda b, path: (b.save(path), type(b).load(path))[1],
    ],
)
def test_copies_go_on_alike(clone, tmp_path):
    booster = grown(max_depth=3, optimizer="adam")
    other = clone(booster, tmp_path / "x.ext")
    assert [path.name for path in tmp_path.iterdir()] in ([], ["x.ext"])
    for trees in (booster, other):
        trees.step(X, trees.predict(X) - Y)
    assert other.to_bytes() == booster.to_bytes() and other.n_trees == 21
    model = ActorCritic(3, 4)
    model.step(X, np.ones((300, 3)), np.ones(300))
    again = clone(model, tmp_path / "y")
    assert isinstance(again, ActorCritic) and again.to_bytes() == model.to_bytes()


@pytest.mark.parametrize(
    "clone",
    [
        lambda b, path: pickle.loads(pickle.dumps(b)),
        lambda b, path: copy.copy(b),
        lambda b, path: (b.save(path), type(b).load(path))[1],
    ],
)
def test_copies_draw_the_same_rows_and_stand_at_the_same_rate(clone, tmp_path):
    settings = {"seed": 7, "n_threads": 1, "row_subsample": 0.5, "feature_subsample": 0.5}
    booster = grown(learning_rate="lin_0.2", **settings)
    booster.set_progress(0.75)
    model = ActorCritic(2, 4, policy_lr="lin_0.2", **settings)
    model.set_progress(0.5)
    for trees, step in (
        (booster, lambda trees: trees.step(X, trees.predict(X) - Y)),
        (model, lambda trees: trees.step(X, trees(X)[0] - Y, np.ones(300))),
    ):
        other = clone(trees, tmp_path / "x")
        for each in (trees, other):
            step(each)
        assert other.to_bytes() == trees.to_bytes()
    once_more = pickle.loads(pickle.dumps(booster))
    assert once_more._n_threads == 1
    once_more.step(X, Y)
    assert once_more.to_bytes() != grown(learning_rate="lin_0.2", **{**settings, "seed": 8}).to_bytes()


def test_files_without_a_seed_are_read_and_strange_notes_refused():
    core = grown(n_trees=1)._core
    assert Booster.from_bytes(core.to_bytes("")).n_trees == 1
    for note in ('{"seed": "x"}', '{"seed": -1}', '{"strings": 3}', '{"progress": []}', "{", '{"seed": 1e400}'):
        with pytest.raises(gbrl_rs.FormatError, match="expected the note"):
            Booster.from_bytes(core.to_bytes(note))


def test_blank_boosters_can_be_copied_and_say_what_they_lack():
    blank = pickle.loads(pickle.dumps(Booster(2, max_depth=2)))
    assert blank.fit(X, Y, 1).shape == (1,) and "depth 2" in blank.dump(0)
    with pytest.raises(RuntimeError, match="expected data"):
        _ = Booster().n_trees


def test_mistakes_are_named(tmp_path):
    booster = grown(n_trees=1)
    for call, error, message in [
        (lambda: Booster(max_dept=3), TypeError, "did you mean 'max_depth'"),
        (lambda: Booster(1, 4, max_depth=0), ValueError, "max_depth"),
        (lambda: booster.step(X[:, :3], Y), ValueError, r"observations: expected shape \[n, 4\], got \[300, 3\]"),
        (lambda: booster.step(X, Y[:5]), ValueError, "gradients"),
        (lambda: booster.step(X, Y * np.nan), ValueError, "gradients"),
        (lambda: booster.step(X, Y + 1j), TypeError, "complex"),
        (lambda: booster.predict(X[0]), ValueError, r"got \[4\]"),
        (lambda: booster.dump(99), ValueError, "99"),
        (lambda: booster.dump(0, "xml"), ValueError, "text, dot or json"),
        (lambda: Booster.load(tmp_path / "none"), FileNotFoundError, "none"),
        (lambda: Booster.from_bytes(b"junk"), gbrl_rs.FormatError, "expected"),
        (lambda: ActorCritic(2), TypeError, "expected n_features"),
    ]:
        with pytest.raises(error, match=message):
            call()


def test_an_actor_and_a_critic_share_trees_and_not_rates():
    model = ActorCritic(n_actions=2, n_features=4, policy_lr=0.5, value_lr=0.0)
    policy, value = model(X)
    assert policy.shape == (300, 2) and value.shape == (300,)
    model.step(X, -Y, -Y[:, 0])
    policy, value = model(X)
    assert np.abs(policy).max() > 0 and not value.any()
    model.set_value_lr(1.0)
    model.step(X, -Y, -Y[:, :1])
    assert model(X)[1].any() and model.n_actions == 2


@pytest.mark.sb3
def test_torch_computes_the_gradients():
    torch = pytest.importorskip("torch")

    target = torch.tensor(Y)
    model = ActorCritic(n_actions=2, n_features=4, policy_lr=0.3)
    for _ in range(30):
        outputs = torch.tensor(model(torch.tensor(X))[0], requires_grad=True)
        loss = 0.5 * ((outputs - target) ** 2).sum()
        loss.backward()
        model.step(torch.tensor(X), outputs.grad, torch.zeros(300))
    assert loss / 300 < 0.3


def test_step_copies_nothing_of_float32():
    """A large batch raises the peak by less than a copy of it would."""
    tracemalloc = pytest.importorskip("tracemalloc")
    x, g = np.zeros((100_000, 16), dtype=np.float32), np.zeros((100_000, 1), dtype=np.float32)
    booster = Booster(1, 16)
    booster.step(x, g)
    tracemalloc.start()
    booster.step(x, g)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_scikit_learns_checks():
    estimator_checks = pytest.importorskip("sklearn.utils.estimator_checks")
    from gbrl_rs import GBRLRegressor

    estimator_checks.check_estimator(GBRLRegressor(n_estimators=30, learning_rate=0.3))


def test_the_regressor():
    pytest.importorskip("sklearn")
    from gbrl_rs import GBRLRegressor

    model = GBRLRegressor(n_estimators=40, learning_rate=0.3).fit(X, Y)
    assert model.score(X, Y) > 0.9 and model.predict(X).shape == (300, 2)
    one = GBRLRegressor().partial_fit(X, Y[:, 0], 5).partial_fit(X, Y[:, 0], 5)
    assert one.booster_.n_trees == 10 and one.predict(X).shape == (300,) and one.train_score_.shape == (10,)
    assert one.feature_importances_.sum() == pytest.approx(1)


def test_weights_of_rows():
    weights = np.where(np.arange(len(X)) % 3 == 0, 2.0, 0.5)
    plain, ones, weighted = (Booster(2, max_depth=3) for _ in range(3))
    losses = plain.fit(X, Y, 5)
    assert np.array_equal(losses, ones.fit(X, Y, 5, np.ones(len(X)))) and plain.to_bytes() == ones.to_bytes()
    loss = weighted.fit(X, Y, 5, weights)[-1]
    residuals = weighted.predict(X).astype(np.float64) - np.asarray(Y, dtype=np.float32)
    assert loss == pytest.approx(np.average(0.5 * (residuals**2).sum(axis=1), weights=weights))
    # One tree, without a bias of its own: the same as step.
    by_hand, by_fit = (Booster(2, 2 if X.shape[1] == 2 else X.shape[1], max_depth=3) for _ in range(2))
    by_hand.bias = by_fit.bias = np.ones(2)
    by_hand.step(X, by_hand.predict(X) - np.asarray(Y, dtype=np.float32), weights)
    by_fit.fit(X, Y, 1, weights)
    assert by_hand.to_bytes() == by_fit.to_bytes()
    for wrong, message in ((-weights, "at least 0"), (weights[:-1], "weights: expected shape"), (0 * weights, "above 0")):
        with pytest.raises(ValueError, match=message):
            plain.fit(X, Y, 1, wrong)


def test_fitting_stops_early():
    booster = Booster(2, max_depth=3)
    noise = np.random.default_rng(0).normal(size=(100, 2))
    losses, held_out = booster.fit_until(X[:200], Y[:200], (X[200:], noise), n_trees=500, patience=7)
    assert len(losses) == len(held_out) == booster.n_trees < 500
    assert held_out[-8:].argmin() == 0 and (held_out[-7:] >= held_out[-8]).all()
    residuals = booster.predict(X[200:]).astype(np.float64) - noise.astype(np.float32)
    assert held_out[-1] == pytest.approx(0.5 * (residuals**2).sum() / 100)
    same = Booster(2, max_depth=3)
    same.fit(X[:200], Y[:200], booster.n_trees)
    assert same.to_bytes() == booster.to_bytes()


def test_the_regressor_takes_weights_and_stops_early():
    pytest.importorskip("sklearn")
    from gbrl_rs import GBRLRegressor

    outliers = np.array(Y)
    outliers[::10] += 100.0
    weights = np.ones(len(X))
    weights[::10] = 0.0
    model = GBRLRegressor(40, learning_rate=0.3, edges="step").fit(X, outliers, sample_weight=weights)
    assert model.score(X[weights > 0], Y[weights > 0]) > 0.9
    early = GBRLRegressor(2000, learning_rate=0.3, n_iter_no_change=5, random_state=0).fit(X, Y)
    assert early.n_estimators_ == len(early.train_score_) == len(early.validation_score_) < 2000
    again = GBRLRegressor(2000, learning_rate=0.3, n_iter_no_change=5, random_state=0).fit(X, Y)
    assert np.array_equal(again.predict(X), early.predict(X))
    assert GBRLRegressor(5, control_variates=True).fit(X, Y).n_estimators_ == 5
    with pytest.raises(ValueError, match="validation_fraction: expected some of 300 rows"):
        GBRLRegressor(n_iter_no_change=5, validation_fraction=1.0).fit(X, Y)


def test_equal_numbers_of_other_kinds_are_other_categories():
    """1, 1.0 and True are equal in Python; what their codes are may not depend on who stands beside whom."""
    x = np.array([[1], [1.0], [True], ["z"]], dtype=object)
    y = np.array([0.0, 1.0, 2.0, 3.0], dtype=np.float32)
    booster = Booster(features=[("c", "strings")], learning_rate=1.0, min_data_in_leaf=1)
    for _ in range(50):
        booster.step(x, booster.predict(x)[:, 0] - y)
    np.testing.assert_allclose(booster.predict(x)[:, 0], y, atol=1e-3)
    for row, wanted in zip(x, y, strict=True):
        np.testing.assert_allclose(booster.predict(row.reshape(1, 1))[0, 0], wanted, atol=1e-3)
