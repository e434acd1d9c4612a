"""A run of the program: its folder, and what is written into it while the model learns.

The files are those of the program ``gbrl``: model.gbrl, config.toml, metrics.csv, states.safetensors, checkpoints/, and
where the packages for them are installed curve.svg and TensorBoard's events.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from gbrl_rs import _gbrl, _options
from gbrl_rs._files import last_checkpoint
from gbrl_rs._report import Progress, peak_rss_mb
from gbrl_rs.callbacks import BaseCallback
from gbrl_rs.env_util import make_copies
from gbrl_rs.evaluation import evaluate_policy
from gbrl_rs.logger import TensorBoardOutputFormat
from gbrl_rs.plot import EVALUATION, HIGH, LOW, RETURN, STEPS, plot_curve

# Copies that an evaluation steps side by side, and episodes of the last one.
EVAL_COPIES, EVAL_EPISODES = 16, 100
# Rows of metrics.csv of a whole run, about.
MAX_ROWS = 4_000
# More changed settings than these do not fit into a folder's name.
NAMED = 3
FPS, ELAPSED, CPU = "time/fps", "time/time_elapsed", "time/cpu_elapsed"
OWN_COLUMNS = (LOW, HIGH, FPS, ELAPSED, CPU, EVALUATION, "eval/std_reward", "eval/mean_ep_length")


class Origin:
    """A preset, and the settings that decide what is learnt and differ from it."""

    def __init__(self, preset: str, changes: dict[str, str] | None = None) -> None:
        self.preset, self.changes = preset, dict(changes or {})

    @staticmethod
    def of(source: str) -> Origin:
        """What :attr:`text` said, at the end of a config.toml's `source`."""
        preset = source.partition("preset ")[2]
        changes: dict[str, str] = {}
        known = frozenset(parameter["name"] for parameter in _gbrl.parameters())
        while True:
            # From the end: the path of a preset may hold what stands between two changes.
            rest, _, change = preset.rpartition(", ")
            key, _, value = change.partition(" ")
            if not rest or key not in known:
                return Origin(preset, dict(reversed(changes.items())))
            preset, changes[key] = rest, value

    def change(self, before: dict[str, str], now: dict[str, str]) -> None:
        """Notes what differs and makes another experiment."""
        for key, value in sorted(now.items()):
            if key in _options.deciding() and key in before and not _options.same(before[key], value):
                self.changes[key] = value

    @property
    def text(self) -> str:
        """For people: "preset default, max_depth 3"."""
        return ", ".join([f"preset {self.preset}", *(f"{key} {value.replace(', ', ',')}" for key, value in self.changes.items())])

    @property
    def stem(self) -> str:
        """For a folder's name: "default-max_depth-3"."""
        changes = "".join(f"-{key}-{value}" for key, value in self.changes.items())
        if len(self.changes) > NAMED:
            changes = f"-{len(self.changes)}-changes"
        return Path(self.preset).stem + "".join(c if c.isascii() and c.isalnum() or c in "._-" else "_" for c in changes)


class Run:
    """A model that learns, and its folder.

    Args:
        model: what learns.
        env_id: from what.
        folder: a new one, or that of the run that goes on.
        settings: all of them, as text.
        origin: where they come from.
        lock: the folder's, held until the run is over.
    """

    def __init__(
        self,
        model: Any,
        env_id: str,
        folder: Path,
        settings: dict[str, str],
        origin: Origin,
        lock: _gbrl.FolderLock,
    ) -> None:
        self._lock = lock
        self.model, self.env_id, self.folder, self.settings, self.origin = model, env_id, folder, settings, origin
        self.total = int(settings["total_timesteps"])
        self.start = model.num_timesteps
        self.interrupted = False
        # What is left to a run that was killed after it had learnt from its last step is its evaluation.
        self._is_trained = self.start >= self.total
        model._agent.watch()

    def write_config(self) -> None:
        """config.toml: every setting; works as ``--preset FILE``."""
        source = f"python -m gbrl_rs train {self.env_id}, {self.origin.text}"
        remarks = {"env": self.env_id, "algo": self.model.ALGORITHM, "source": source}
        lines = [f"{key} = {json.dumps(value)}" for key, value in remarks.items()]
        lines += ["", *(f"{key} = {json.dumps(value)}" for key, value in self.settings.items()), ""]
        _gbrl.write_file(self.folder / "config.toml", "\n".join(lines).encode())

    def learn(self, quiet: bool, verbose: bool) -> dict[str, Any]:
        """Trains where steps are left, saves, evaluates; gives what came of it. Ctrl-C ends the training early."""
        try:
            return self._learn(quiet, verbose)
        finally:
            self._lock.release()

    def _learn(self, quiet: bool, verbose: bool) -> dict[str, Any]:
        began = time.perf_counter()
        watch = _Watch(self, Progress(self.start, self.total, quiet or verbose))
        try:
            if self._is_trained:
                watch.init_callback(self.model)
            else:
                self.model.learn(
                    self.total - self.start,
                    callback=watch,
                    log_interval=1 if verbose else None,
                    reset_num_timesteps=self.start == 0,
                )
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            seconds = time.perf_counter() - began
            watch.progress.say("saving")
            self._save()
            # What is left where something ended the training, who does not wait for an evaluation now.
            watch.settle(evaluates=False)
            watch.progress.clear()
        mean, std = None, None
        if not self.interrupted:
            watch.progress.say(f"playing {EVAL_EPISODES} episodes to evaluate")
            mean, std, _ = evaluated(self.model, self.env_id, EVAL_EPISODES, True)
            watch.log({"eval/final_mean_reward": mean, "eval/final_std_reward": std})
        watch.close()
        self._draw(mean)
        policy = (self.folder / "model.gbrl").read_bytes()
        returns = self.model._statistics.returns
        return {
            "env": self.env_id,
            "algo": self.model.ALGORITHM,
            "preset": self.origin.preset,
            "changes": self.origin.changes,
            "seed": self.model.seed,
            "steps": self.model.num_timesteps,
            "wall_s": time.perf_counter() - began,
            "cpu_s": time.process_time(),
            "train_s": seconds,
            "steps_per_s": None if self._is_trained else (self.model.num_timesteps - self.start) / seconds,
            "train_return_mean": float(np.mean(returns)) if returns else None,
            "train_episodes": self.model._episode_num,
            "eval_return_mean": mean,
            "eval_return_std": std,
            "eval_episodes": 0 if self.interrupted else EVAL_EPISODES,
            "n_trees": self.model.n_trees,
            "peak_rss_mb": peak_rss_mb(),
            "run": str(self.folder),
            "model": str(self.folder / "model.gbrl"),
            "model_bytes": len(policy),
            "model_sha256": hashlib.sha256(policy).hexdigest(),
            "interrupted": self.interrupted,
        }

    def checkpoint(self) -> None:
        """Saves everything that is needed to go on from here."""
        self.model.save(self.folder / "checkpoints" / f"{self.model.num_timesteps}.gbrl")

    def _save(self) -> None:
        if not self._is_trained:
            self.checkpoint()
        self.model.save_policy(self.folder / "model.gbrl")
        states = self.model._agent.states()
        if states is not None:
            _gbrl.write_file(self.folder / "states.safetensors", states)

    def _draw(self, final: float | None) -> None:
        """curve.svg, where matplotlib is installed."""
        try:
            from matplotlib.backends.backend_svg import FigureCanvasSVG
            from matplotlib.figure import Figure
        except ImportError:
            return
        if not (self.folder / "metrics.csv").exists():
            return
        # Without pyplot: whoever calls this may have a window open.
        figure = Figure(figsize=(9.0, 5.2), layout="constrained")
        FigureCanvasSVG(figure)  # type: ignore[no-untyped-call,unused-ignore]
        try:
            ax = plot_curve(self.folder, ax=figure.subplots())
        except ValueError:
            return  # no episode has ended
        if final is not None:
            at = ax.plot([self.model.num_timesteps], [final], "o", color="C1", label="evaluation")[0]
            handles, labels = ax.get_legend_handles_labels()
            if labels.count("evaluation") > 1:
                at.set_label("_last")
            ax.legend()
        origin = Origin(Path(self.origin.preset).name, self.origin.changes)
        ax.set_title(f"{self.model.ALGORITHM.upper()} on {self.env_id}, {origin.text}, seed {self.model.seed}")
        picture = io.BytesIO()
        figure.savefig(picture, format="svg")
        _gbrl.write_file(self.folder / "curve.svg", picture.getvalue())


class _Watch(BaseCallback):
    """Writes what a run's files are to know, rollout by rollout, each after it was learnt from."""

    needs_steps = needs_values = False

    def __init__(self, run: Run, progress: Progress) -> None:
        super().__init__()
        self.run, self.progress = run, progress
        self.began, self.cpu_began = time.perf_counter(), time.process_time()
        self._metrics = _Metrics(run.folder / "metrics.csv", run.start)
        self._board = _board(run.folder, run.start)
        settings, rollout = run.settings, run.model.n_steps * run.model.n_envs
        n_rollouts = -(-run.total // rollout)
        self._every = {"log_every": rollout * -(-n_rollouts // MAX_ROWS)}
        self._every |= {name: int(settings[name]) for name in ("eval_every", "checkpoint_every")}
        self._rollout: dict[str, float] | None = None
        self._learnt_until = run.start

    def _on_rollout_end(self) -> None:
        statistics = self.model._statistics
        means = [[float(episode[key]) for episode in statistics.episodes] for key in ("r", "l")]
        returns = sorted(statistics.returns)

        def share(p: float) -> float:
            return returns[round(p * (len(returns) - 1))] if returns else math.nan

        self._rollout = {
            STEPS: self.model.num_timesteps,
            RETURN: float(np.mean(means[0])) if means[0] else math.nan,
            "rollout/ep_len_mean": float(np.mean(means[1])) if means[1] else math.nan,
            "time/episodes": statistics.n_episodes,
            LOW: share(0.1),
            HIGH: share(0.9),
        }

    def _on_rollout_start(self) -> None:
        self.settle()

    def _on_training_end(self) -> None:
        self.settle(is_last=True)

    def settle(self, is_last: bool = False, evaluates: bool = True) -> None:
        """Writes the numbers of the rollout that was learnt from, once."""
        if self._rollout is None:
            return
        numbers, self._rollout = self._rollout, None
        steps, seconds = int(numbers[STEPS]), time.perf_counter() - self.began
        recorded = self.model.logger.name_to_value
        numbers |= {key: value for key, value in recorded.items() if key.startswith("train/")}
        cpu = self._metrics.cpu_before + time.process_time() - self.cpu_began
        elapsed = self._metrics.elapsed_before + seconds
        numbers |= {FPS: round((steps - self.run.start) / seconds), ELAPSED: elapsed, CPU: cpu}
        before, self._learnt_until = self._learnt_until, steps
        # Rollouts that Ctrl-C cut short shift all later ones.
        due = {name: every > 0 and steps // every > before // every for name, every in self._every.items()}
        if due["eval_every"] and evaluates:
            settings = self.run.settings
            n_episodes, deterministic = int(settings["eval_episodes"]), settings["eval_deterministic"] == "true"
            found = evaluated(self.model, self.run.env_id, n_episodes, deterministic)
            numbers |= dict(zip((EVALUATION, "eval/std_reward", "eval/mean_ep_length"), found, strict=True))
        if due["log_every"] or due["eval_every"] or is_last or steps >= self.run.total:
            self._metrics.write(numbers)
            self.log({key: value for key, value in numbers.items() if key != STEPS}, steps)
        self.progress.update(steps, numbers[RETURN], self.model.n_trees)
        if due["checkpoint_every"]:
            self.run.checkpoint()

    def log(self, numbers: dict[str, float], steps: int | None = None) -> None:
        """Adds numbers to TensorBoard's."""
        if self._board is not None:
            finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
            self._board.write(finite, {}, self.model.num_timesteps if steps is None else steps)

    def close(self) -> None:
        """Takes the bar away and closes the files."""
        self.progress.clear()
        if self._board is not None:
            self._board.close()


class _Metrics:
    """metrics.csv: a row per logged rollout. A run that goes on drops the rows that it will write again."""

    def __init__(self, path: Path, resumed_at: int) -> None:
        self.path = path
        self.columns: list[str] = []
        self.elapsed_before = self.cpu_before = 0.0
        if resumed_at == 0 or not path.exists():
            return
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        kept = [row for row in rows if row[STEPS] and int(row[STEPS]) <= resumed_at]
        self.columns = list(rows[0]) if rows else []
        text = "".join(f"{','.join(row)}\n" for row in (self.columns, *(row.values() for row in kept)))
        _gbrl.write_file(path, text.encode())
        if kept:
            self.elapsed_before, self.cpu_before = (float(kept[-1].get(key) or 0.0) for key in (ELAPSED, CPU))

    def write(self, numbers: dict[str, float]) -> None:
        """Adds a row; what is not there or not finite stays empty."""
        if not self.columns:
            others = [key for key in numbers if key not in OWN_COLUMNS]
            self.columns = [*others, *OWN_COLUMNS]
            self.path.write_text(",".join(self.columns) + "\n")
        values = (numbers.get(column, math.nan) for column in self.columns)
        with open(self.path, "a") as file:
            file.write(",".join(repr(value) if math.isfinite(value) else "" for value in values) + "\n")


def evaluated(model: Any, env_id: str, n_episodes: int, deterministic: bool) -> tuple[float, float, float]:
    """Mean and standard deviation of returns, and the mean length."""
    env = make_copies(env_id, min(EVAL_COPIES, n_episodes), 1)
    played: Any = evaluate_policy(model, env, n_episodes, deterministic, return_episode_rewards=True)
    env.close()
    return float(np.mean(played[0])), float(np.std(played[0])), float(np.mean(played[1]))


def new_folder(wanted: Path) -> Path:
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


def checkpoint_of(folder: Path) -> Path:
    """The last checkpoint of a run.

    Raises:
        ValueError: where there is none.
    """
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise ValueError(f"--resume {folder}: expected a run folder with checkpoints/STEPS.gbrl in it, got none")
    return checkpoint


def _board(folder: Path, resumed_at: int) -> TensorBoardOutputFormat | None:
    """TensorBoard's events, where its package is installed."""
    try:
        board = TensorBoardOutputFormat(str(folder))
    except ImportError:
        return None
    if resumed_at:
        board.forget_after(resumed_at)
    return board
