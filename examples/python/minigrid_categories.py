"""MiniGrid with every cell as what it is, a category, and its mission as another: no one-hot columns, no embedding.

    pip install ./gbrl-py minigrid   # in a checkout of gbrl-rs
    python examples/python/minigrid_categories.py

The agent sees 7 × 7 cells, each of which is one of 62 things (a closed red door, a yellow key, ...), its direction, and the
number of its mission. Trees ask questions such as "is there a closed red door in front?". The observations are those of
gbrl_rs's own MiniGrid in Rust, so the policy plays there too, many times quicker.
"""

import argparse

import gymnasium
import minigrid
import numpy as np

from gbrl_rs import PPO, environments, evaluate_policy, make_vec, make_vec_env
from gbrl_rs.minigrid import CategoricalObs

gymnasium.register_envs(minigrid)

parser = argparse.ArgumentParser()
parser.add_argument("--env", default="MiniGrid-Empty-5x5-v0")
parser.add_argument("--steps", type=int, default=60_000)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

env = make_vec_env(arguments.env, n_envs=8, seed=arguments.seed, wrapper_class=CategoricalObs)
model = PPO("MultiInputPolicy", env, n_steps=256, batch_size=256, ent_coef=0.01, verbose=1, seed=arguments.seed)
model.learn(arguments.steps)
mean, std = evaluate_policy(model, env, 50)
print(f"return {mean:.3f} ± {std:.3f} over 50 episodes; the best possible is about 0.95")
if arguments.env in environments():
    mean, std = evaluate_policy(model, make_vec(arguments.env, 8), 50)
    print(f"return {mean:.3f} ± {std:.3f} in the environment in Rust")

order = np.argsort(-model.feature_importances())[:5]
print("looks at", ", ".join(f"{model.feature_names[i]} ({model.feature_importances()[i]:.0%})" for i in order))
