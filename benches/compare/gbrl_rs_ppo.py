"""PPO on Gymnasium's CartPole-v1 or our own, the paper's settings: microseconds per environment step, learning included.

--library gbrl_rs or sb3 (the same settings where they mean something for a network, torch on one thread);
--envs gymnasium or rust; --library program runs the program on the same Rust environments.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--library", choices=["gbrl_rs", "sb3", "program"], required=True)
parser.add_argument("--envs", choices=["gymnasium", "rust"], default="gymnasium")
parser.add_argument("--steps", type=int, default=200_000)
parser.add_argument("--copies", type=int, default=8)
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

ENV = "CartPole-v1"


def learn_with_gbrl_rs():
    import gbrl_rs

    make = gbrl_rs.make_vec if args.envs == "rust" else gbrl_rs.make_vec_env
    model = gbrl_rs.PPO.from_preset(make(ENV, args.copies), "paper", seed=0, n_threads=args.threads)
    start = time.perf_counter()
    model.learn(args.steps)
    return time.perf_counter() - start, model.num_timesteps


def learn_with_sb3():
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    # The networks are so small that a second thread only costs.
    torch.set_num_threads(1)
    settings = dict(n_steps=128, batch_size=64, n_epochs=1, gamma=0.98, gae_lambda=0.8)
    model = PPO("MlpPolicy", make_vec_env(ENV, args.copies), seed=0, device="cpu", **settings)
    start = time.perf_counter()
    model.learn(args.steps)
    return time.perf_counter() - start, model.num_timesteps


def learn_with_program():
    program = Path(__file__).parents[2] / "target/release/gbrl"
    command = f"{program} train {ENV} --preset paper --steps {args.steps} --threads {args.threads} --quiet --json --out"
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command.split(), f"{folder}/run"], check=True, stdout=subprocess.PIPE, text=True)
    output = json.loads(done.stdout.splitlines()[-1])
    return output["train_s"], output["steps"]


def environment_seconds(steps):
    """The same number of steps of the same environments with random actions, one after the other, nothing else."""
    import gymnasium

    envs = [gymnasium.make(ENV) for _ in range(args.copies)]
    for env in envs:
        env.reset(seed=0)
    actions = [env.action_space.sample() for env in envs for _ in range(64)]
    start = time.perf_counter()
    for i in range(steps // len(envs)):
        for env in envs:
            _, _, terminated, truncated, _ = env.step(actions[i % len(actions)])
            if terminated or truncated:
                env.reset()
    return time.perf_counter() - start


seconds, steps = {"gbrl_rs": learn_with_gbrl_rs, "sb3": learn_with_sb3, "program": learn_with_program}[args.library]()
result = dict(library=args.library, envs=args.envs, steps=steps, us_per_step=1e6 * seconds / steps)
if args.envs == "gymnasium":
    result["share_outside_env_step"] = 1 - environment_seconds(steps) / seconds
print(json.dumps(result))
