"""MiniGrid with every cell as what it is, a category, and its mission as a word: no one-hot columns, no embedding.

    pip install gbrl_rs minigrid
    python minigrid_categories.py

The agent sees 7 × 7 cells of (object, colour, state), its direction, and the text of its mission. Trees ask questions
such as "is the object in front a door?".
"""

import argparse

import gymnasium
import minigrid
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import COLOR_TO_IDX, OBJECT_TO_IDX, STATE_TO_IDX

from gbrl_rs import PPO, evaluate_policy, make_vec_env

gymnasium.register_envs(minigrid)


class Categories(gymnasium.ObservationWrapper):
    """Cells as MultiDiscrete, the mission as Text."""

    def __init__(self, env):
        super().__init__(env)
        rows, columns, _ = env.observation_space["image"].shape
        cell = [max(codes.values()) + 1 for codes in (OBJECT_TO_IDX, COLOR_TO_IDX, STATE_TO_IDX)]
        self.observation_space = spaces.Dict(
            {
                "cells": spaces.MultiDiscrete(np.broadcast_to(cell, (rows, columns, 3))),
                "direction": spaces.Discrete(4),
                "mission": spaces.Text(100, charset=frozenset(" abcdefghijklmnopqrstuvwxyz")),
            }
        )

    def observation(self, observation):
        return {
            "cells": observation["image"].astype(np.int64),
            "direction": observation["direction"],
            "mission": observation["mission"],
        }


parser = argparse.ArgumentParser()
parser.add_argument("--env", default="MiniGrid-Empty-5x5-v0")
parser.add_argument("--steps", type=int, default=60_000)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

env = make_vec_env(arguments.env, n_envs=8, seed=arguments.seed, wrapper_class=Categories)
model = PPO("MultiInputPolicy", env, n_steps=256, batch_size=256, ent_coef=0.01, verbose=1, seed=arguments.seed)
model.learn(arguments.steps)
mean, std = evaluate_policy(model, env, 50)
print(f"return {mean:.3f} ± {std:.3f} over 50 episodes; the best possible is about 0.95")

order = np.argsort(-model.feature_importances())[:5]
print("looks at", ", ".join(f"{model.feature_names[i]} ({model.feature_importances()[i]:.0%})" for i in order))
