"""A model is used while it learns: by other threads, and by the handlers of signals."""

import signal
import threading
import time

import numpy as np
import pytest

from gbrl_rs import PPO, make_vec

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
    model, saved = learner(), []

    def save(number, frame):
        model.predict(np.zeros(4))
        path = model.save(tmp_path / str(len(saved)))
        saved.append((path, model.n_trees))

    alarmed(save, lambda: model.learn(3 * 4096))
    assert saved and model.num_timesteps == 3 * 4096
    for path, n_trees in saved:
        again = PPO.load(path, env=make_vec("CartPole-v1", 8), force_reset=False)
        assert again.n_trees == n_trees
    again.learn(4096, reset_num_timesteps=False)
    assert learner().learn(3 * 4096).get_parameters() == model.get_parameters()


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
