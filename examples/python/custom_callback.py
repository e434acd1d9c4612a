"""A callback of one's own: more exploration while returns stand still, and a picture of the first tree in the log.

pip install ./gbrl-py   # in a checkout of gbrl-rs
python examples/python/custom_callback.py
"""

import argparse

import numpy as np

from gbrl_rs import PPO, BaseCallback, make_vec


class EntropyWhileStuck(BaseCallback):
    """Doubles ent_coef while the mean return does not rise, and halves it when it does.

    It only looks at whole rollouts (`needs_steps = False`), so environments in Rust are still stepped without Python.
    """

    needs_steps = False

    def __init__(self, low=0.001, high=0.02):
        super().__init__(verbose=1)
        self.low, self.high, self.best = low, high, -np.inf

    def _on_training_start(self):
        self.model.ent_coef = self.low

    def _on_rollout_end(self):
        if not self.model.ep_info_buffer:
            return
        mean = np.mean([episode["r"] for episode in self.model.ep_info_buffer])
        factor = 0.5 if mean > self.best else 2.0
        self.best = max(self.best, mean)
        # What a callback sets counts from the next update on.
        self.model.ent_coef = float(np.clip(self.model.ent_coef * factor, self.low, self.high))
        self.logger.record("train/ent_coef", self.model.ent_coef)

    def _on_training_end(self):
        if self.verbose:
            print(self.model.dump_tree(0))


parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=100_000)
steps = parser.parse_args().steps

model = PPO("MlpPolicy", make_vec("Acrobot-v1", 8), n_steps=256, seed=0)
model.learn(steps, callback=EntropyWhileStuck())
print(f"ent_coef {model.ent_coef:g}, return {np.mean([e['r'] for e in model.ep_info_buffer]):.1f}")
