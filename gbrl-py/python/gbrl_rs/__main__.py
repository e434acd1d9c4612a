"""``python -m gbrl_rs train ENV``: the program ``gbrl train`` for every environment that Gymnasium knows."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from gbrl_rs import _gbrl, _options
from gbrl_rs._algorithm import AlgorithmModel, keywords
from gbrl_rs.a2c import A2C
from gbrl_rs.awr import AWR
from gbrl_rs.callbacks import BaseCallback
from gbrl_rs.env_util import make_vec_env
from gbrl_rs.evaluation import evaluate_policy
from gbrl_rs.logger import configure
from gbrl_rs.plot import RETURN, STEPS, plot_curve
from gbrl_rs.ppo import PPO
from gbrl_rs.vec_env import make_vec

EVAL_EPISODES = 100
# Keys of a file of settings that are remarks.
REMARKS = ("source", "env", "algo")
ALGORITHMS: dict[str, type[AlgorithmModel]] = {algorithm.ALGORITHM: algorithm for algorithm in (PPO, A2C, AWR)}
EXAMPLES = """examples:
  python -m gbrl_rs train CartPole-v1
  python -m gbrl_rs train Pendulum-v1 --preset paper --seed 3
  python -m gbrl_rs train CartPole-v1 --algo a2c
  python -m gbrl_rs train Acrobot-v1 --set policy_lr=lin_0.2 --set max_depth=5 --steps 300000
  python -m gbrl_rs train --resume runs/CartPole-v1/ppo-default-seed0 --steps 2000000"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the program; gives its exit code: 0, 2 for a mistake in the arguments, 130 after Ctrl-C.

    What environments raise while they are stepped comes through as it is, after the model was saved.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        run = _resume(options) if options.resume else _train(options)
    except (ValueError, TypeError, OSError, NotImplementedError, gymnasium.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return _run(options, *run)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gbrl_rs", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser(
        "train",
        help="train a policy, evaluate and save it",
        description="Trains a policy, evaluates it over 100 episodes and saves it in runs/ENV/NAME: model.gbrl, "
        "config.toml, metrics.csv, checkpoints/, and TensorBoard events and curve.svg where tensorboard and matplotlib "
        "are installed.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = train.add_argument
    add("env", nargs="?", help="environment, any id that Gymnasium has registered, or one of gbrl's own")
    add("--algo", choices=[*ALGORITHMS], help="algorithm, ppo unless a file of settings names its own")
    add(
        "--preset", default="default", metavar="NAME|FILE", help="preset of the environment, or a TOML file of settings"
    )
    add(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; may be given several times"
    )
    add("--steps", type=_whole, metavar="N", help="environment steps in all (setting total_timesteps)")
    add("--n-envs", type=_whole, metavar="N", help="copies of the environment (setting n_envs)")
    add("--seed", type=_whole, metavar="N", help="root of all random numbers (setting seed)")
    add("--threads", type=_whole, metavar="N", help="threads of the learner, 0 for one per processor")
    add("--out", type=Path, metavar="DIR", help="folder of the run, instead of runs/ENV/NAME")
    add("--resume", type=Path, metavar="RUN_DIR", help="go on with an earlier run from its last checkpoint")
    add("--quiet", action="store_true", help="no table and no summary")
    add("--json", action="store_true", help="print one JSON object as the last line, instead of the summary")
    return parser


def _whole(text: str) -> int:
    """A whole number, such as 100000, 100_000 or 1e5."""
    number = float(text.replace("_", ""))
    if not math.isfinite(number) or number != int(number) or number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number, such as 100000 or 1e5, got {text}")
    return int(number)


Run = tuple[AlgorithmModel, str, Path, dict[str, str]]
"""A model that is ready to learn, its environment's id, the folder, and all settings."""


def _train(options: argparse.Namespace) -> Run:
    if options.env is None:
        raise ValueError("ENV: expected an environment, or --resume RUN_DIR, got neither")
    algo, preset = _preset(options.env, options.preset, options.algo)
    settings = {**_options.defaults(algo), **preset, **_changes(options)}
    env = _make(options.env, int(settings["n_envs"]), int(settings["seed"]))
    arguments: dict[str, Any] = {**keywords(settings), "stats_window_size": int(settings["stats_window"])}
    model: Any = ALGORITHMS[algo]("TreePolicy", env, **arguments)  # type: ignore[call-arg]
    stem = Path(options.preset).stem
    folder = _new_folder(options.out or Path("runs") / options.env / f"{algo}-{stem}-seed{settings['seed']}")
    _write_config(folder, options.env, algo, settings)
    return model, options.env, folder, settings


def _resume(options: argparse.Namespace) -> Run:
    folder = options.resume
    checkpoints = sorted((folder / "checkpoints").glob("*.gbrl"), key=lambda path: int(path.stem))
    if not checkpoints:
        raise ValueError(f"--resume {folder}: expected a run folder with checkpoints/STEPS.gbrl in it, got none")
    config = _read_settings(folder / "config.toml")
    env_id, algo = options.env or config["env"], config.get("algo", "ppo")
    changes = _changes(options)
    settings = {**{key: value for key, value in config.items() if key not in REMARKS}, **changes}
    env = _make(env_id, int(settings["n_envs"]), int(settings["seed"]))
    arguments = keywords(changes)
    if "stats_window" in changes:
        arguments["stats_window_size"] = int(changes["stats_window"])
    unknown = changes.keys() - _options.defaults(algo).keys()
    _options.check_names(unknown, _options.defaults(algo), "--set")
    model = _algorithm(algo).load(checkpoints[-1], env=env, **arguments)
    total = int(settings["total_timesteps"])
    if model.num_timesteps >= total:
        raise ValueError(
            f"{folder}: nothing is left to do: {model.num_timesteps} of {total} steps are done; use --steps"
        )
    _write_config(folder, env_id, algo, settings)
    return model, env_id, folder, settings


def _run(
    options: argparse.Namespace, model: AlgorithmModel, env_id: str, folder: Path, settings: dict[str, str]
) -> int:
    quiet = options.quiet or options.json
    model.set_logger(configure(str(folder / "log"), _formats(quiet)))
    started, before, interrupted = time.perf_counter(), model.num_timesteps, False
    steps = int(settings["total_timesteps"]) - before
    try:
        model.learn(steps, callback=_callbacks(env_id, folder, settings), reset_num_timesteps=before == 0)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        seconds = time.perf_counter() - started
        model.logger.close()
        _save(model, folder)
        model.save_policy(folder / "model.gbrl")
    _draw_curve(folder)
    result: dict[str, Any] = {
        "env": env_id,
        "algo": model.ALGORITHM,
        "preset": options.preset,
        "seed": model.seed,
        "steps": model.num_timesteps,
        "train_s": seconds,
        "train_return_mean": float(np.mean([episode["r"] for episode in model.ep_info_buffer] or [np.nan])),
        "train_episodes": model._episode_num,
        "steps_per_s": (model.num_timesteps - before) / seconds,
        "n_trees": model.n_trees,
        "run": str(folder),
        "interrupted": interrupted,
    }
    if not interrupted:
        evaluation = evaluate_policy(model, _make(env_id, 16, 1), EVAL_EPISODES, return_episode_rewards=True)
        returns = np.array(evaluation[0])
        result |= {"eval_return_mean": float(returns.mean()), "eval_return_std": float(returns.std())}
    result["wall_s"] = time.perf_counter() - started
    if options.json:
        print(json.dumps(result))
    elif not options.quiet:
        _print_summary(result)
    return 130 if interrupted else 0


def _callbacks(env_id: str, folder: Path, settings: dict[str, str]) -> list[BaseCallback]:
    callbacks: list[BaseCallback] = [_Keep(folder)]
    if int(settings["checkpoint_every"]):
        callbacks.append(_Every(int(settings["checkpoint_every"]), lambda model: _save(model, folder)))
    if int(settings["eval_every"]):
        env, n_episodes = _make(env_id, 16, 1), int(settings["eval_episodes"])
        deterministic = settings["eval_deterministic"] == "true"

        def evaluate(model: Any) -> None:
            played: Any = evaluate_policy(model, env, n_episodes, deterministic, return_episode_rewards=True)
            model.logger.record("eval/mean_reward", float(np.mean(played[0])))
            model.logger.record("eval/mean_ep_length", float(np.mean(played[1])))

        callbacks.append(_Every(int(settings["eval_every"]), evaluate))
    return callbacks


def _save(model: Any, folder: Path) -> None:
    model.save(folder / "checkpoints" / f"{model.num_timesteps}.gbrl")


class _Every(BaseCallback):
    """Does something between two rollouts, whenever so many steps have passed."""

    needs_steps = needs_values = False

    def __init__(self, steps: int, action: Callable[[Any], None]) -> None:
        super().__init__()
        self.steps, self.action, self.done = steps, action, 0

    def _on_training_start(self) -> None:
        self.done = self.model.num_timesteps // self.steps

    def _on_rollout_start(self) -> None:
        now = self.model.num_timesteps // self.steps
        if now > self.done:
            self.done = now
            self.action(self.model)


class _Keep(BaseCallback):
    """Writes metrics.csv, a row per rollout."""

    needs_steps = needs_values = False

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / "metrics.csv"

    def _on_rollout_end(self) -> None:
        episodes = self.model.ep_info_buffer
        if not episodes:
            return
        is_new = not self.path.exists()
        with open(self.path, "a") as file:
            if is_new:
                file.write(f"{STEPS},{RETURN},rollout/ep_len_mean\n")
            mean = [float(np.mean([episode[key] for episode in episodes])) for key in ("r", "l")]
            file.write(f"{self.model.num_timesteps},{mean[0]},{mean[1]}\n")


def _make(env_id: str, n_envs: int, seed: int) -> Any:
    """Gymnasium's environment, or gbrl's own where Gymnasium has none of that name."""
    if env_id not in gymnasium.registry and env_id in _gbrl.environments():
        return make_vec(env_id, n_envs, seed)
    return make_vec_env(env_id, n_envs)


def _preset(env_id: str, name: str, asked: str | None) -> tuple[str, dict[str, str]]:
    """The algorithm, and the settings of a preset or file."""
    if "/" in name or "\\" in name or name.endswith(".toml"):
        values = _read_settings(Path(name))
        algo = values.get("algo", asked or "ppo")
        if asked not in (None, algo):
            raise ValueError(f"--algo: expected {algo}, as in {name}, got {asked}")
        return _algorithm(algo).ALGORITHM, {key: value for key, value in values.items() if key not in REMARKS}
    return asked or "ppo", _gbrl.preset(env_id, name, asked or "ppo")


def _algorithm(name: str) -> type[AlgorithmModel]:
    if name not in ALGORITHMS:
        raise ValueError(f"algo: expected one of {', '.join(ALGORITHMS)}, got {name}")
    return ALGORITHMS[name]


def _changes(options: argparse.Namespace) -> dict[str, str]:
    changes = {}
    for assignment in options.set:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set: expected key=value, got '{assignment}'")
        changes[key.strip()] = value.strip()
    flags = {"total_timesteps": "steps", "n_envs": "n_envs", "seed": "seed", "n_threads": "threads"}
    changes |= {key: str(getattr(options, flag)) for key, flag in flags.items() if getattr(options, flag) is not None}
    return changes


def _read_settings(path: Path) -> dict[str, str]:
    try:
        import tomllib
    except ImportError as error:
        raise NotImplementedError("files of settings: expected Python 3.11 or newer, which reads TOML") from error
    with open(path, "rb") as file:
        try:
            table = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"{path}: expected `setting = value` lines (TOML), got {error}") from error
    return {key: _options.as_text(key, value) for key, value in table.items()}


def _write_config(folder: Path, env_id: str, algo: str, settings: dict[str, str]) -> None:
    lines = [f"env = {json.dumps(env_id)}", f"algo = {json.dumps(algo)}", ""]
    lines += [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (folder / "config.toml").write_text("\n".join(lines) + "\n")


def _new_folder(wanted: Path) -> Path:
    """`wanted`, or wanted-2, wanted-3, ... where that is taken: a run never overwrites another."""
    folder, number = wanted, 1
    while True:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
            break
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
    (folder / "checkpoints").mkdir()
    return folder


def _formats(quiet: bool) -> list[str]:
    formats = ["csv"] if quiet else ["stdout", "csv"]
    try:
        import tensorboard  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: F401
    except ImportError:
        return formats
    return [*formats, "tensorboard"]


def _draw_curve(folder: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    if (folder / "metrics.csv").exists():
        matplotlib.use("svg")
        plot_curve(folder).figure.savefig(folder / "curve.svg")


def _print_summary(result: dict[str, Any]) -> None:
    verb = "stopped after" if result["interrupted"] else "trained for"
    print(f"{result['env']} {verb} {result['steps']:,} steps ({result['steps_per_s']:,.0f} steps/s)\n")
    if "eval_return_mean" in result:
        mean, std = result["eval_return_mean"], result["eval_return_std"]
        print(f"  evaluation  return {mean:,.4g} ± {std:,.4g} over {EVAL_EPISODES} episodes, likeliest actions")
    print(f"  policy      {result['n_trees']:,} trees")
    print(f"  files       {result['run']}")
    if result["interrupted"]:
        print(f"\ngo on with: python -m gbrl_rs train --resume {shlex.quote(result['run'])}")


if __name__ == "__main__":
    sys.exit(main())
