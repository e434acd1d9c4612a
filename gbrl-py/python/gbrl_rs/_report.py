"""What a run of the program says to people: a bar while it learns, a page in the end."""

from __future__ import annotations

import math
import shlex
import shutil
import sys
import time
from typing import Any, TextIO

import gymnasium


class Progress:
    """A bar with return, speed, trees and time left: on stderr, where that is a terminal."""

    def __init__(self, start: int, total: int, hidden: bool, file: TextIO | None = None) -> None:
        self._file = sys.stderr if file is None else file
        self._is_shown = not hidden and self._file.isatty()
        self._start, self._total = start, total
        self._began = time.perf_counter()

    def update(self, steps: int, mean_return: float, n_trees: int) -> None:
        """Shows where the run stands."""
        if not self._is_shown:
            return
        speed = (steps - self._start) / max(time.perf_counter() - self._began, 1e-9)
        left = int(max(self._total - steps, 0) / max(speed, 1e-9))
        shown = thousands(mean_return) if math.isfinite(mean_return) else "–"
        words = f"return {shown}  {speed:,.0f} steps/s  {n_trees:,} trees  {left // 60}:{left % 60:02} left"
        share = min(steps / max(self._total, 1), 1.0)
        width = max(shutil.get_terminal_size().columns - len(words) - 10, 5)
        bar = "━" * round(share * width)
        self._show(f"{bar:<{width}} {share:4.0%}  {words}")

    def say(self, what: str) -> None:
        """Shows what is being done besides training."""
        self._show(what)

    def clear(self) -> None:
        """Takes the bar away."""
        self._show("")

    def _show(self, line: str) -> None:
        if self._is_shown:
            encoding = self._file.encoding or "ascii"
            self._file.write("\r\x1b[K" + line.encode(encoding, "replace").decode(encoding))
            self._file.flush()


def summary(result: dict[str, Any], origin: str, total: int) -> str:
    """The page that ends a run: what came of it, of which settings, and what to do next.

    Args:
        result: see :meth:`gbrl_rs._run.Run.learn`.
        origin: the preset and what was changed, in words.
        total: steps that the run was to have.
    """
    verb = "stopped after" if result["interrupted"] else "trained for"
    pace = "before"
    if result["steps_per_s"] is not None:
        pace = f"in {duration(result['train_s'])} ({result['steps_per_s']:,.0f} steps/s)"
    lines = [f"{result['env']} {verb} {result['steps']:,} steps {pace}", ""]
    training = "no episode has ended yet"
    if result["train_return_mean"] is not None:
        window = min(result["train_episodes"], 100)
        of = f"mean of the last {window} of {result['train_episodes']:,} episodes"
        training = f"return {thousands(result['train_return_mean'])}, {of}"
    lines.append(f"  training    {training}")
    if result["eval_return_mean"] is not None:
        mean, std = thousands(result["eval_return_mean"]), thousands(result["eval_return_std"])
        lines.append(f"  evaluation  return {mean} ± {std} over {result['eval_episodes']} episodes, likeliest actions")
        spec = gymnasium.registry.get(result["env"])
        if spec is not None and spec.reward_threshold is not None:
            is_solved = result["eval_return_mean"] >= spec.reward_threshold
            word = "solved" if is_solved else "not solved yet"
            lines.append(f"              {word}: {thousands(float(spec.reward_threshold))} or more counts as solved")
    peak = "" if result["peak_rss_mb"] is None else f", {result['peak_rss_mb']:,.0f} MB of memory at most"
    lines.append(f"  policy      {result['n_trees']:,} trees, {size(result['model_bytes'])}{peak}")
    lines += [f"  settings    {origin}, seed {result['seed']}", f"  files       {result['run']}", "", "Next:"]
    folder = shlex.quote(result["run"])
    go_on = f"python -m gbrl_rs train --resume {folder}"
    load = f'gbrl_rs.{result["algo"].upper()}.load("{result["run"]}")'
    commands = [(load, "in Python: predict, evaluate_policy, learn on")]
    if result["interrupted"] and result["steps"] < total:
        commands.insert(0, (go_on, "go on where it stopped"))
    else:
        commands.append((f"{go_on} --steps {2 * total}", "train on; schedules stretch to the new total"))
    commands.append((f"tensorboard --logdir {folder}", "curves; curve.svg shows the return"))
    width = max(len(command) for command, _ in commands)
    return "\n".join([*lines, *(f"  {command:<{width}}   {about}" for command, about in commands)])


def thousands(x: float) -> str:
    """A number with commas between thousands; fractions only where they matter."""
    digits = 0 if abs(x) >= 100 or x == int(x) else 1 if abs(x) >= 1 else 3
    return f"{x:,.{digits}f}"


def duration(seconds: float) -> str:
    """A time for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def size(n_bytes: int) -> str:
    """A size for people."""
    units = ((1, "B"), (1_000, "KB"), (1_000_000, "MB"))
    unit, name = max((unit for unit in units if unit[0] <= n_bytes), default=units[0])
    return f"{n_bytes / unit:.{0 if unit == 1 else 1}f} {name}"


def peak_rss_mb() -> float | None:
    """The most memory that was resident at once, in MB (10⁶ bytes); None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
