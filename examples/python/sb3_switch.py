"""A script for Stable-Baselines3 in which only the imports were changed.

    pip install ./gbrl-py tensorboard   # in a checkout of gbrl-rs
    python examples/python/sb3_switch.py

Before: ``from stable_baselines3 import PPO`` and, for the rest, ``from stable_baselines3.common...``. The environments,
callbacks and evaluation of SB3 itself may stay, too, where it is installed.
"""

import argparse
import tempfile
from pathlib import Path

from gbrl_rs import PPO, CheckpointCallback, EvalCallback, VecNormalize, evaluate_policy, make_vec_env

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=150_000)
steps = parser.parse_args().steps
folder = Path(tempfile.mkdtemp())

env = VecNormalize(make_vec_env("CartPole-v1", n_envs=4, seed=0), norm_reward=False)
eval_env = VecNormalize(make_vec_env("CartPole-v1", n_envs=1, seed=100), training=False, norm_reward=False)

model = PPO("MlpPolicy", env, n_steps=512, verbose=1, seed=0)
model.learn(
    steps,
    callback=[
        EvalCallback(eval_env, eval_freq=max(steps // 20, 1), best_model_save_path=str(folder / "best"), verbose=0),
        CheckpointCallback(max(steps // 10, 1), str(folder / "checkpoints")),
    ],
)
model.save(folder / "cartpole")
env.save(folder / "normalize.json")
del model

env = VecNormalize.load(folder / "normalize.json", make_vec_env("CartPole-v1", n_envs=4, seed=1))
env.training = False
model = PPO.load(folder / "cartpole", env=env)
mean, std = evaluate_policy(model, env, n_eval_episodes=20)
print(f"return {mean:.1f} ± {std:.1f} over 20 episodes, files in {folder}")
