"""Records what Gymnasium does, for the tests of the `envs` crate.

Run from the repository's root; it writes `envs/tests/data/*.csv`, the same bytes with the same versions and processor:

    python3 -m venv .venv
    .venv/bin/pip install gymnasium==1.4.0 numpy==2.4.6
    .venv/bin/python scripts/gymnasium_trajectories.py

Each classic-control file holds trajectories, one row per step: the trajectory's number, the internal state before the
step in full precision, the action, and the observation, reward, terminated and truncated that followed. So every row
can be tested on its own, from the same state. Trajectories are episodes from Gymnasium's own starts, played to their
end by a random or a simple good policy, and single steps from states at the edges of what can happen.

The other files hold the complete transition tables of FrozenLake and Taxi, Taxi's start distribution and its masks.
"""

import csv
import math
import pathlib

import gymnasium
import numpy as np

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "envs" / "tests" / "data"


def text(value):
    """The shortest decimal that reads back as the same number in its own precision."""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, np.float32):
        return np.format_float_scientific(value, trim="-", exp_digits=1)
    return repr(float(value))


def write(name, header, rows):
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.csv"
    with path.open("w", newline="") as file:
        file.write(f"# gymnasium {gymnasium.__version__}, numpy {np.__version__}; scripts/gymnasium_trajectories.py\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([text(value) for value in row])
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size} bytes")


class Recorder:
    """Steps an environment and keeps a row per step."""

    def __init__(self, env_id, state_type=np.float64):
        self.env = gymnasium.make(env_id)
        self.state_type = state_type
        self.rows = []
        self.trajectory = 0

    def play(self, policy, seed, state=None, max_steps=10**9):
        observation, _ = self.env.reset(seed=seed)
        inner = self.env.unwrapped
        if state is not None:
            inner.state = np.array(state, dtype=self.state_type)
        elif self.state_type is np.float32:
            # Gymnasium's own start has double precision, later states single; only the latter are tested.
            inner.state = np.array(inner.state, dtype=np.float32)
        for step in range(max_steps):
            before = [self.state_type(x) for x in inner.state]
            action = policy(observation, step)
            observation, reward, terminated, truncated, _ = self.env.step(action)
            action = action[0] if isinstance(action, np.ndarray) else action
            self.rows.append([self.trajectory, *before, action, *observation, reward, terminated, truncated])
            if terminated or truncated:
                break
        self.trajectory += 1

    def write(self, name):
        states = self.env.unwrapped.state
        width = self.env.observation_space.shape[0]
        header = ["trajectory", *(f"state{i}" for i in range(len(states))), "action"]
        header += [*(f"observation{i}" for i in range(width)), "reward", "terminated", "truncated"]
        write(name, header, self.rows)


def random_discrete(n, seed, hold=1):
    """Uniform actions, each held for `hold` steps."""
    random = np.random.default_rng(seed)
    actions = random.integers(n, size=2000)
    return lambda observation, step: int(actions[step // hold])


def random_box(limit, seed, hold=1):
    """Uniform throttles, a little beyond the bounds too."""
    random = np.random.default_rng(seed)
    actions = random.uniform(-1.2 * limit, 1.2 * limit, size=(2000, 1)).astype(np.float32)
    return lambda observation, step: actions[step // hold]


def constant(action):
    return lambda observation, step: action


def cartpole():
    recorder = Recorder("CartPole-v1")

    def balance(observation, step):
        x, v, angle, spin = (float(value) for value in observation)
        return int(angle + 0.3 * spin + 0.05 * x + 0.1 * v > 0)

    recorder.play(balance, seed=0)  # a full episode
    for seed in range(6):
        recorder.play(random_discrete(2, seed), seed=seed)
    limit = 12 * 2 * math.pi / 360
    edges = [
        [2.4, 0.0, 0.0, 0.0],
        [-2.4, 0.0, 0.0, 0.0],
        [2.399, 0.0499, 0.0, 0.0],
        [2.399, 0.0501, 0.0, 0.0],
        [-2.399, -0.0499, 0.0, 0.0],
        [-2.399, -0.0501, 0.0, 0.0],
        [0.0, 0.0, limit, 0.0],
        [0.0, 0.0, -limit, 0.0],
        [0.0, 0.0, limit, 1e-9],
        [0.0, 0.0, -limit, -1e-9],
        [0.0, 0.0, limit - 1e-3, 0.0499],
        [0.0, 0.0, limit - 1e-3, 0.0501],
        [1.0, -3.0, 0.1, 4.0],
        [-1.0, 5.0, -0.2, -6.0],
        [0.0, 0.0, 0.0, 0.0],
    ]
    for state in edges:
        for action in range(2):
            recorder.play(constant(action), seed=0, state=state, max_steps=1)
    recorder.write("cartpole")


def acrobot():
    recorder = Recorder("Acrobot-v1")

    def pump(observation, step):
        return 2 if observation[5] > 0 else 0

    recorder.play(random_discrete(3, 0), seed=0, max_steps=500)  # most likely a full episode
    recorder.play(pump, seed=1)
    recorder.play(random_discrete(3, 2, hold=4), seed=2, max_steps=200)
    pi = math.pi
    random = np.random.default_rng(3)
    edges = [[0.0] * 4, [pi, 0.0, 0.0, 0.0], [-pi, 0.0, 0.0, 0.0], [3.1, 3.1, 4 * pi, 9 * pi]]
    edges += [[-3.1, -3.1, -4 * pi, -9 * pi], [0.5, -3.1, 4 * pi, -9 * pi], [3.1, 0.1, -4 * pi, 9 * pi]]
    edges += acrobot_line(recorder.env)
    # Both clips and both wraps, and states just below the line.
    edges += [list(random.uniform([-pi, -pi, -4 * pi, -9 * pi], [pi, pi, 4 * pi, 9 * pi])) for _ in range(60)]
    edges += [[random.uniform(1.9, 2.2), random.uniform(-0.3, 0.3), 0.3, 0.1] for _ in range(30)]
    for state in edges:
        for action in range(3):
            recorder.play(constant(action), seed=0, state=state, max_steps=1)
    recorder.write("acrobot")


def acrobot_line(env):
    """Pairs of states, 1e-7 apart, of which one step without torque leads to either side of the line."""

    def terminates(angle, spin):
        env.reset(seed=0)
        env.unwrapped.state = np.array([angle, 0.2, spin, -0.1])
        return env.step(1)[2]

    pairs = []
    for spin in (-0.5, 0.0, 0.5):
        below, above = 1.0, 2.6
        assert not terminates(below, spin) and terminates(above, spin)
        while above - below > 1e-7:
            middle = (below + above) / 2
            below, above = (below, middle) if terminates(middle, spin) else (middle, above)
        pairs += [[below, 0.2, spin, -0.1], [above, 0.2, spin, -0.1]]
    return pairs


def mountain_car():
    recorder = Recorder("MountainCar-v0")

    def pump(observation, step):
        return 2 if observation[1] >= 0 else 0

    recorder.play(random_discrete(3, 0), seed=0)  # a full episode
    recorder.play(pump, seed=1)
    recorder.play(pump, seed=2)
    recorder.play(random_discrete(3, 3, hold=15), seed=3)
    recorder.play(constant(0), seed=4, max_steps=60)
    edges = [
        [-1.2, 0.0],
        [-1.2, -0.07],
        [-1.19, -0.05],
        [-1.13, -0.07],
        [-1.2, 0.03],
        [0.5, 0.0],
        [0.499, 0.0],
        [0.499, 0.0012],
        [0.43, 0.07],
        [0.4305, 0.07],
        [0.6, 0.07],
        [0.6, -0.07],
        [0.52, -0.01],
        [0.0, 0.0699],
        [-0.9, 0.0699],
        [-0.3, -0.0699],
    ]
    for state in edges:
        for action in range(3):
            recorder.play(constant(action), seed=0, state=state, max_steps=1)
    recorder.write("mountain_car")


def mountain_car_continuous():
    recorder = Recorder("MountainCarContinuous-v0", np.float32)

    def pump(observation, step):
        return np.array([1.0 if observation[1] >= 0 else -1.0], dtype=np.float32)

    recorder.play(random_box(1.0, 0), seed=0)  # a full episode
    recorder.play(pump, seed=1)
    recorder.play(random_box(1.0, 2, hold=25), seed=2, max_steps=300)
    edges = [[-1.2, 0.0], [-1.2, -0.07], [-1.19, -0.05], [-1.13, -0.07], [-1.2, 0.03], [0.45, 0.0], [0.449, 0.0]]
    edges += [[0.449, 0.002], [0.38, 0.07], [0.6, 0.07], [0.6, -0.07], [0.5, -0.01], [-0.9, 0.0699], [-0.3, -0.0699]]
    for state in edges:
        for action in (-1.5, -1.0, -0.3, 0.0, 0.7, 1.0, 2.0):
            recorder.play(constant(np.array([action], dtype=np.float32)), seed=0, state=state, max_steps=1)
    recorder.write("mountain_car_continuous")


def pendulum():
    recorder = Recorder("Pendulum-v1")

    def pump(observation, step):
        return np.array([2.0 if observation[2] >= 0 else -2.0], dtype=np.float32)

    recorder.play(random_box(2.0, 0), seed=0)
    recorder.play(pump, seed=1)  # turns over and over
    recorder.play(random_box(2.0, 2, hold=20), seed=2)
    pi = math.pi
    edges = [[0.0, 0.0], [pi, 0.0], [-pi, 0.0], [pi - 1e-9, 1.0], [-pi + 1e-9, -1.0], [3 * pi, 0.5], [-3 * pi, 0.5]]
    edges += [[100.0, 8.0], [-100.0, -8.0], [1.5, 7.9], [-1.5, -7.9], [0.1, 8.0], [-0.1, -8.0], [7 * pi + 1e-6, 0.0]]
    for state in edges:
        for action in (-3.0, -2.0, -0.3, 0.0, 1.1, 2.0, 3.0):
            recorder.play(constant(np.array([action], dtype=np.float32)), seed=0, state=state, max_steps=1)
    recorder.write("pendulum")


def transitions(env_id, name):
    env = gymnasium.make(env_id).unwrapped
    rows = []
    for state, actions in env.P.items():
        for action, results in actions.items():
            for probability, following, reward, terminated in results:
                rows.append([state, action, probability, following, float(reward), terminated])
    write(name, ["state", "action", "probability", "next", "reward", "terminated"], rows)
    return env


def taxi():
    env_id = max(spec for spec in gymnasium.registry if spec.startswith("Taxi-"))
    env = transitions(env_id, "taxi")
    masks = [[state, env.initial_state_distrib[state], *env.action_mask(state)] for state in range(500)]
    write("taxi_states", ["state", "start_probability", *(f"allowed{i}" for i in range(6))], masks)


if __name__ == "__main__":
    cartpole()
    acrobot()
    mountain_car()
    mountain_car_continuous()
    pendulum()
    transitions("FrozenLake-v1", "frozen_lake")
    transitions("FrozenLake8x8-v1", "frozen_lake_8x8")
    taxi()
