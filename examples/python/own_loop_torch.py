"""An actor and a critic of trees in a loop of your own: torch computes the loss, the trees take its gradients.

    pip install ./gbrl-py torch   # in a checkout of gbrl-rs
    python examples/python/own_loop_torch.py

REINFORCE with a baseline on CartPole. The gradient handed over is that of each row's own loss: a sum over rows, never
a mean.
"""

import argparse

import gymnasium
import numpy as np
import torch
from torch.distributions import Categorical

from gbrl_rs import ActorCritic

GAMMA = 0.99

parser = argparse.ArgumentParser()
parser.add_argument("--episodes", type=int, default=1000)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

torch.manual_seed(arguments.seed)
env = gymnasium.make("CartPole-v1")
model = ActorCritic(n_actions=2, n_features=4, policy_lr=1.0, value_lr=0.2, max_depth=4)


def play(seed):
    """One episode: observations [t, 4], actions [t] and discounted returns [t]."""
    observations, actions, rewards = [], [], []
    observation, _ = env.reset(seed=seed)
    ended = False
    while not ended:
        logits, _ = model(observation[None])
        action = Categorical(logits=torch.from_numpy(logits)).sample().item()
        observations.append(observation)
        actions.append(action)
        observation, reward, terminated, truncated, _ = env.step(action)
        rewards.append(reward)
        ended = terminated or truncated
    returns, total = np.zeros(len(rewards), dtype=np.float32), 0.0
    for t in reversed(range(len(rewards))):
        total = rewards[t] + GAMMA * total
        returns[t] = total
    return np.array(observations), torch.tensor(actions), torch.from_numpy(returns)


lengths = []
for batch in range(arguments.episodes // 10):
    episodes = [play(arguments.seed * 100_000 + batch * 10 + i) for i in range(10)]
    observations = np.concatenate([episode[0] for episode in episodes])
    actions, returns = (torch.cat([episode[i] for episode in episodes]) for i in (1, 2))
    lengths += [len(episode[1]) for episode in episodes]

    logits, values = (torch.from_numpy(output.copy()).requires_grad_() for output in model(observations))
    advantages = returns - values.detach()
    advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
    policy_loss = -(Categorical(logits=logits).log_prob(actions) * advantages).sum()
    value_loss = 0.5 * ((values - returns) ** 2).sum()
    (policy_loss + value_loss).backward()
    model.step(observations, logits.grad, values.grad)
    if batch % 10 == 9:
        print(f"{len(lengths)} episodes, {model.n_trees} trees, mean length {np.mean(lengths[-100:]):.1f}")

print(f"mean length of the last 100 episodes: {np.mean(lengths[-100:]):.1f}")
