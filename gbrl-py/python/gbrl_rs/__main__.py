"""``python -m gbrl_rs train ENV``: the program ``gbrl train`` for every environment that Gymnasium knows."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import gymnasium

from gbrl_rs import _gbrl, _options
from gbrl_rs._algorithm import AlgorithmModel
from gbrl_rs._envs import adapt
from gbrl_rs._report import summary
from gbrl_rs._run import Origin, Run, checkpoint_of, new_folder
from gbrl_rs.a2c import A2C
from gbrl_rs.awr import AWR
from gbrl_rs.env_util import make_copies
from gbrl_rs.logger import HumanOutputFormat, Logger
from gbrl_rs.ppo import PPO

ALGORITHMS: dict[str, type[AlgorithmModel]] = {algorithm.ALGORITHM: algorithm for algorithm in (PPO, A2C, AWR)}
ABOUT = "Trains policies of gradient-boosted trees on the environments of Gymnasium, as the program gbrl does on those in Rust."
TRAIN = """
Trains a policy, evaluates it over 100 episodes and saves it in a new folder, runs/ENV/ALGO-PRESET-CHANGES-SEED unless --out
says otherwise: model.gbrl (the policy), config.toml (every setting; works as --preset FILE), metrics.csv, checkpoints/ (to
resume from) and states.safetensors (a sample of visited states); where matplotlib is installed curve.svg, and where
tensorboard is, its events.

Settings come from the preset, then --set, then the options below; docs/parameters.md explains them all. Ctrl-C saves the
policy and a checkpoint and says how to go on.
"""
EXAMPLES = """examples:
  python -m gbrl_rs train CartPole-v1
  python -m gbrl_rs train Pendulum-v1 --preset paper --seed 3
  python -m gbrl_rs train CartPole-v1 --algo a2c
  python -m gbrl_rs train Acrobot-v1 --set policy_lr=lin_0.2 --set max_depth=5 --steps 300000
  python -m gbrl_rs train --resume runs/CartPole-v1/ppo-default-seed0 --steps 2000000"""
# Options that are settings of another name.
FLAGS = {"total_timesteps": "steps", "n_envs": "n_envs", "seed": "seed", "n_threads": "threads", "device": "device"}
# Options of a run's beginning.
FIRST = ("env", "algo", "preset", "n_envs", "seed", "out")


def main(arguments: list[str] | None = None) -> int:
    """Runs the program; gives its exit code: 0, 2 for a mistake in the arguments, 130 after Ctrl-C.

    What environments raise while they are stepped comes through as it is, after the model was saved.
    """
    options = _parser().parse_args(arguments)
    try:
        run = _train(options) if options.resume is None else _resume(options)
    except (ValueError, TypeError, OSError, NotImplementedError, RuntimeError, gymnasium.error.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    is_quiet = options.quiet or options.json
    run.model.set_logger(Logger(None, [HumanOutputFormat(sys.stdout)] if options.verbose and not is_quiet else []))
    try:
        result = run.learn(is_quiet, options.verbose)
    except KeyboardInterrupt:
        # Not while it learnt: the policy is saved, and only what was asked for last is missing.
        go_on = f"python -m gbrl_rs train --resume {shlex.quote(str(run.folder))}"
        print(f"stopped; what was learnt is in {run.folder}, and `{go_on}` does the rest", file=sys.stderr)
        return 130
    if options.json:
        print(json.dumps(result, allow_nan=False))
    elif not options.quiet:
        print(summary(result, run.origin.text, run.total))
    return 130 if run.interrupted else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m gbrl_rs", description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True)
    width = min(shutil.get_terminal_size().columns, 100) - 2
    train = commands.add_parser(
        "train",
        help="train a policy, evaluate and save it",
        description="\n\n".join(textwrap.fill(part, width, break_on_hyphens=False) for part in TRAIN.strip().split("\n\n")),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = train.add_argument
    add("env", nargs="?", help="environment, any id that Gymnasium has registered, or one of gbrl's own")
    add("--algo", choices=[*ALGORITHMS], help="algorithm, ppo unless a file of settings names its own")
    add("--preset", metavar="NAME|FILE", help='preset of the environment, "default" if not given, or a TOML file of settings')
    add(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one setting; may be given several times"
    )
    add("--steps", type=_whole, metavar="N", help="environment steps in all (setting total_timesteps)")
    add("--n-envs", type=_whole, metavar="N", help="copies of the environment (setting n_envs)")
    add("--seed", type=_whole, metavar="N", help="root of all random numbers (setting seed)")
    add("--threads", type=_whole, metavar="N", help="threads of the learner, 0 for one per processor (setting n_threads)")
    add("--device", help="where trees are grown: cpu, an NVIDIA GPU as cuda or cuda:N, or auto; changes no result")
    add("--out", type=Path, metavar="DIR", help="folder of the run, instead of runs/ENV/NAME")
    again = "go on with an earlier run from its last checkpoint; one whose steps are done is evaluated"
    add("--resume", type=Path, metavar="RUN_DIR", help=again)
    add("--verbose", action="store_true", help="a table of numbers after each rollout, instead of the progress bar")
    add("--quiet", action="store_true", help="no progress bar, no table and no summary")
    add("--json", action="store_true", help="print one JSON object as the last line, instead of the summary")
    return parser


def _whole(text: str) -> int:
    """A whole number, such as 100000, 100_000 or 1e5."""
    try:
        number = int(text)
    except ValueError:
        # Beyond 2⁵³ a float is no longer what was written.
        fraction = float(text.replace("_", ""))
        number = int(fraction) if math.isfinite(fraction) and fraction.is_integer() else -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number, such as 100000 or 1e5, got {text}")
    return number


def _train(options: argparse.Namespace) -> Run:
    """A new run. Its folder is made last, when nothing else can be wrong."""
    if options.env is None:
        raise ValueError("ENV: expected an environment, or --resume RUN_DIR, got neither")
    name = options.preset or "default"
    algo, preset = _preset(options.env, name, options.algo)
    before = {**_options.defaults(algo), **preset}
    settings = {**before, **_changes(options, algo)}
    origin = Origin(name)
    origin.change(before, settings)
    env = make_copies(options.env, int(settings["n_envs"]), int(settings["seed"]))
    arguments: dict[str, Any] = {**_options.keywords(settings), "device": settings["device"]}
    model: Any = ALGORITHMS[algo]("TreePolicy", env, **arguments)  # type: ignore[call-arg]
    wanted = options.out or Path("runs") / options.env / f"{algo}-{origin.stem}-seed{settings['seed']}"
    folder = new_folder(wanted)
    run = Run(model, options.env, folder, settings, origin, _gbrl.FolderLock(folder))
    run.write_config()
    return run


def _resume(options: argparse.Namespace) -> Run:
    """The rest of an earlier run."""
    for flag in FIRST:
        if getattr(options, flag) is not None:
            raise ValueError(f"{flag}: expected nothing beside --resume, since a run goes on as it began, got one")
    folder: Path = options.resume
    checkpoint_of(folder)
    lock = _gbrl.FolderLock(folder)
    # Again: until now somebody else may have trained there.
    checkpoint = checkpoint_of(folder)
    config = _read_settings(folder / "config.toml")
    env_id, algo = config["env"], config.get("algo", "ppo")
    changes = _changes(options, algo)
    before = {key: value for key, value in config.items() if key not in _options.REMARKS}
    settings = {**before, **changes}
    for key in FIRST:
        if key in changes:
            raise ValueError(
                f"--set {key}: expected nothing beside --resume, since a run goes on as it began, got {changes[key]}"
            )
    arguments = {**_options.keywords(changes), "device": settings["device"]}
    model, note = _algorithm(algo)._from_bytes(checkpoint.read_bytes(), str(checkpoint), arguments)
    if model._is_policy_alone:
        raise ValueError(
            f"--resume {folder}: expected a run of python -m gbrl_rs, got one of the program gbrl; go on with it by "
            f"gbrl train --resume {folder}"
        )
    origin = Origin.of(config.get("source", ""))
    changed = dict(origin.changes)
    origin.change(before, settings)
    env = make_copies(env_id, int(settings["n_envs"]), int(settings["seed"]))
    model._go_on_with(adapt(env), note, force_reset=False)
    total = int(settings["total_timesteps"])
    # What ended a run before its evaluation leaves it to this one. Other settings need steps to show in.
    is_another = origin.changes != changed or total != int(before["total_timesteps"])
    if model.num_timesteps >= total and is_another:
        raise ValueError(
            f"{folder}: nothing is left to do: {model.num_timesteps} of {total} steps are done; use --steps"
        )
    if model.num_timesteps >= total and not model._is_learnt:
        raise ValueError(
            f"{folder}: the last rollout was not learnt from to its end, as the run was stopped then: expected more "
            f"steps, as in --steps {2 * model.num_timesteps}, or a new run"
        )
    run = Run(model, env_id, folder, settings, origin, lock)
    # Last: a run that cannot go on keeps the settings that it ran with.
    run.write_config()
    return run


def _preset(env_id: str, name: str, asked: str | None) -> tuple[str, dict[str, str]]:
    """The algorithm, and the settings of a preset or file."""
    if "/" in name or "\\" in name or name.endswith(".toml"):
        values = _read_settings(Path(name))
        algo = values.get("algo", asked or "ppo")
        if asked not in (None, algo):
            raise ValueError(f"--algo: expected {algo}, as in {name}, got {asked}")
        settings = {key: value for key, value in values.items() if key not in _options.REMARKS}
        _check_names(settings, _algorithm(algo).ALGORITHM, name)
        return algo, settings
    return asked or "ppo", _gbrl.preset(env_id, name, asked or "ppo")


def _algorithm(name: str) -> type[AlgorithmModel]:
    if name not in ALGORITHMS:
        raise ValueError(f"algo: expected one of {', '.join(ALGORITHMS)}, got {name}")
    return ALGORITHMS[name]


def _changes(options: argparse.Namespace, algo: str) -> dict[str, str]:
    changes = {}
    for assignment in options.set:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set: expected key=value, got '{assignment}'")
        changes[key.strip()] = value.strip()
    _check_names(changes, algo, "--set")
    given = {key: getattr(options, flag) for key, flag in FLAGS.items()}
    return changes | {key: str(value) for key, value in given.items() if value is not None}


def _check_names(settings: dict[str, str], algo: str, where: str) -> None:
    known = _options.defaults(algo)
    for key in settings:
        if key not in known:
            raise ValueError(f"{where}: unknown setting '{key}'{_options.did_you_mean(key, known)}")


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


if __name__ == "__main__":
    sys.exit(main())
