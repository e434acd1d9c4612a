"""A model is used while it learns: by other threads, and by the handlers of signals."""

import signal
import threading
import time

import numpy as np
import pytest
from gymnasium import spaces

from gbrl_rs import PPO, BaseCallback, Booster, make_vec
from gbrl_rs._spaces import FlatSpace

LONG = {"n_steps": 512, "batch_size": 64, "n_epochs": 8, "seed": 0, "n_threads": 1}
needs_alarms = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")


def learner(**arguments):
    return PPO("MlpPolicy", make_vec("CartPole-v1", 8), **{**LONG, **arguments})


def alarmed(handler, work, first=0.05, interval=0.05):
    """Runs `work` while an alarm goes off again and again."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, first, interval)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_other_threads_predict_and_look_while_it_learns():
    model, observations = learner(), np.zeros((64, 4), dtype=np.float32)
    stop, answers, errors = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            try:
                answers.append(model.predict(observations)[0])
                model.policy.predict_values(observations)
                model.policy.evaluate_actions(observations, answers[-1])
                assert model.n_trees >= 0 and model.feature_importances().shape == (4,)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    model.learn(3 * 4096)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == [] and len(answers) > 2
    alone = learner().learn(3 * 4096)
    assert alone.get_parameters() == model.get_parameters()


@needs_alarms
def test_the_handler_of_a_signal_saves_while_it_learns(tmp_path):
    """What a scheduler's warning before the end of a job leads to."""
    # Rollouts take longer than what is learnt from them.
    short = {"n_epochs": 1, "batch_size": 256, "norm_obs": True}
    model, saved = learner(**short), []

    def save(number, frame):
        model.predict(np.zeros(4), deterministic=True)
        saved.append(model.save(tmp_path / str(len(saved))))
        signal.setitimer(signal.ITIMER_REAL, 0.003)  # not before this one is done with

    alarmed(save, lambda: model.learn(8 * 4096), first=0.003, interval=0)
    assert len(saved) > 4 and model.num_timesteps == 8 * 4096
    assert_goes_on(saved, learner(**short).learn(8 * 4096), model)


def assert_goes_on(saved, whole, *models):
    """From every file the whole is learnt, as if nothing had been saved."""
    for model in models:
        assert model.get_parameters() == whole.get_parameters()
    contents = {open(path, "rb").read(): path for path in saved}
    for path in contents.values():
        again = PPO.load(path, env=make_vec("CartPole-v1", 8), force_reset=False)
        left = whole.num_timesteps - again.num_timesteps
        assert left % 4096 == 0 and again.n_trees == again._n_updates * 4096 // whole.batch_size
        again.learn(left, reset_num_timesteps=False)
        assert again.get_parameters() == whole.get_parameters()
        ends = [[(episode["r"], episode["l"]) for episode in each.ep_info_buffer] for each in (again, whole)]
        assert ends[0] == ends[1]


def test_other_threads_save_while_it_learns(tmp_path):
    for callback in (None, BaseCallback()):
        model, saved, stop = learner(norm_obs=True), [], threading.Event()

        def save(model=model, saved=saved, stop=stop):
            while not stop.is_set():
                saved.append(model.save(tmp_path / str(len(saved))))
                time.sleep(0.01)

        thread = threading.Thread(target=save)
        thread.start()
        model.learn(3 * 4096, callback=callback)
        stop.set()
        thread.join()
        assert len(saved) > 2
        assert_goes_on(saved, learner(norm_obs=True).learn(3 * 4096), model)


def test_callbacks_save_what_they_see(tmp_path):
    class Save(BaseCallback):
        needs_steps = False

        def __init__(self):
            super().__init__()
            self.saved = []

        def _on_rollout_end(self):
            path = self.model.save(tmp_path / str(self.num_timesteps))
            self.saved.append((path, self.num_timesteps, self.model.get_parameters()))

    callback = Save()
    learner(norm_obs=True).learn(2 * 4096, callback=callback)
    for path, num_timesteps, parameters in callback.saved:
        again = PPO.load(path)
        assert again.num_timesteps == num_timesteps and again.get_parameters() == parameters


@needs_alarms
def test_handlers_change_what_learns_at_their_turn():
    model, rates = learner(), []

    def change(number, frame):
        model._agent.set("ent_coef", "0.01")
        rates.append(model._agent.get("ent_coef"))

    alarmed(change, lambda: model.learn(4 * 4096), first=0.01, interval=0.02)
    assert rates and set(rates) == {"0.01"}


@needs_alarms
def test_predictions_of_many_rows_end_with_ctrl_c():
    model = learner(n_epochs=20).learn(2 * 4096)
    many = np.random.default_rng(0).normal(size=(2_000_000, 4)).astype(np.float32)
    for work in (model.predict, model.policy.predict_values, model.policy.get_distribution):
        start = time.monotonic()
        work(many[:100_000])
        assert time.monotonic() - start > 0.02, "this test needs work that takes longer than its alarm"

        def interrupt(number, frame):
            raise KeyboardInterrupt

        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            alarmed(interrupt, lambda work=work: [work(many) for _ in range(50)], first=0.1)
        assert time.monotonic() - start < 2.0
    assert model.predict(many[:3])[0].shape == (3,)


def test_other_threads_run_while_many_rows_are_predicted():
    model = learner().learn(4096)
    many = np.zeros((500_000, 4), dtype=np.float32)
    counts, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            counts[0] += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=count)
    thread.start()
    before = counts[0]
    start = time.monotonic()
    while time.monotonic() - start < 0.3:
        model.predict(many)
    assert counts[0] - before > 50
    stop.set()
    thread.join()


def test_pieces_of_a_batch_are_what_the_whole_is():
    """Rows are predicted some thousand at a time; what is drawn does not depend on it."""
    model = learner().learn(4096)
    rows = np.random.default_rng(1).normal(size=(10_001, 4)).astype(np.float32)
    model.set_random_seed(3)
    whole = model.predict(rows)[0]
    model.set_random_seed(3)
    parts = np.concatenate([model.predict(part)[0] for part in np.array_split(rows, 7)])
    np.testing.assert_array_equal(whole, parts)
    values = model.policy.predict_values(rows)
    np.testing.assert_array_equal(values[-1:], model.policy.predict_values(rows[-1:]))
    parameters = model.policy.get_distribution(rows).parameters
    np.testing.assert_array_equal(parameters[5000], model.policy.get_distribution(rows[5000]).parameters[0])
    evaluated = model.policy.evaluate_actions(rows, whole)
    for all_of_them, one in zip(evaluated, model.policy.evaluate_actions(rows[9999], whole[9999]), strict=True):
        np.testing.assert_array_equal(all_of_them[9999], one[0])
    with pytest.raises(ValueError, match="action_masks"):
        model.predict(rows, action_masks=np.ones((3, 2), dtype=bool))


def test_threads_share_a_booster():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(20_000, 3)).astype(np.float32)
    mixed = np.array([[word, x] for word, x in zip("abcde" * 40, rng.normal(size=200), strict=True)], dtype=object)
    shared, words = Booster(n_features=3, seed=0), Booster(features=[("word", "strings"), ("x", "numeric")])
    words.step(mixed, np.ones((200, 1)))
    stop, errors, answers = threading.Event(), [], []

    def ask(name):
        while not stop.is_set():
            try:
                outputs = shared.predict(numbers[:64])
                assert outputs.shape == (64, 1) and np.isfinite(outputs).all()
                assert Booster.from_bytes(shared.to_bytes()).n_trees <= shared.n_trees
                assert shared.leaf_index(numbers[:5]).shape[0] == 5 and shared.feature_importances().shape == (3,)
                words.step(np.array([[f"{name} {len(answers)}", 0.5]], dtype=object), np.ones((1, 1)))
                words.predict([["never seen", 0.5]])
                answers.append(words.n_trees)
            except Exception as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    losses = shared.fit(numbers, numbers.sum(axis=1), n_trees=200)
    while len(answers) <= 2 and not errors:
        time.sleep(0.001)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == [] and len(answers) > 2 and words.n_trees == 1 + len(answers)
    alone = Booster(n_features=3, seed=0)
    np.testing.assert_array_equal(alone.fit(numbers, numbers.sum(axis=1), n_trees=200), losses)
    np.testing.assert_array_equal(alone.predict(numbers), shared.predict(numbers))


@needs_alarms
def test_the_handler_of_a_signal_looks_at_a_booster_while_it_fits():
    x = np.random.default_rng(0).normal(size=(20_000, 8)).astype(np.float32)
    booster, seen = Booster(n_features=8), []

    def look(number, frame):
        seen.append((booster.n_trees, booster.predict(x[:10]).shape, len(booster.to_bytes()) > 0))

    # They get their turn when the fit is done.
    losses = alarmed(look, lambda: booster.fit(x, x[:, 0], n_trees=300), first=0.02, interval=0)
    assert seen == [(300, (10, 1), True)] and len(losses) == 300

    def interrupt(number, frame):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        alarmed(interrupt, lambda: booster.fit(x, x[:, 1], n_trees=100_000), first=0.1, interval=0)
    assert 300 < booster.n_trees < 100_300


def test_what_one_thread_learns_another_does_not():
    """A policy with texts predicts in one thread and observes in another: only the one that observes gives codes."""
    asked = []

    def encode(feature_idx, text, learn):
        asked.append(learn)
        if text == "outer":
            flat.rows(["inner"], 1, learn=False)
        return 0.0

    flat = FlatSpace(spaces.Text(8))
    flat.encode = encode
    flat.rows(["outer", "last"], 2, learn=True)
    assert asked == [True, False, True]
