"""Pictures of runs and trees. matplotlib (extra ``plot``) is loaded when the first is drawn."""

from __future__ import annotations

import csv
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

STEPS = "time/total_timesteps"
RETURN = "rollout/ep_rew_mean"


class HasTrees(Protocol):
    """A model, a Booster or an ActorCritic."""

    @property
    def n_trees(self) -> int: ...

    @property
    def feature_names(self) -> list[str]: ...

    def feature_importances(self, kind: str = "gain") -> NDArray[np.float64]: ...


def plot_curve(run: Any, x: str = STEPS, y: str = RETURN, ax: Any = None, label: str | None = None) -> Any:
    """Draws a learning curve.

    Args:
        run: a run's folder or CSV file (metrics.csv of the program, progress.csv of a logger, monitor.csv of a
            Monitor), or several of them.
        x, y: columns.
        ax: matplotlib's axes to draw on; new ones if None.
        label: name in the legend; the folder's by default.

    Returns:
        The axes.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file without these columns, naming those that it has.
        ImportError: without matplotlib.
    """
    ax = _axes(ax)
    runs = list(run) if isinstance(run, (list, tuple)) else [run]
    for one in runs:
        path = _csv_of(Path(one))
        xs, ys = _columns(path, x, y)
        ax.plot(xs, ys, label=label or path.parent.name or path.name)
    ax.set_xlabel("steps" if x == STEPS else x)
    ax.set_ylabel("return" if y == RETURN else y)
    if len(runs) > 1 or label:
        ax.legend()
    return ax


def plot_importance(model: HasTrees, kind: str = "gain", max_features: int = 20, ax: Any = None) -> Any:
    """Draws how much the trees look at each column, the most important on top.

    Args:
        model: a model, a Booster or an ActorCritic.
        kind: "gain" or "count".
        max_features: how many columns at most.
        ax: as in :func:`plot_curve`.
    """
    importances, names = model.feature_importances(kind), model.feature_names
    chosen = np.argsort(-importances, kind="stable")[:max_features][::-1]
    ax = _axes(ax)
    ax.barh([names[i] for i in chosen], importances[chosen])
    ax.set_xlabel(f"importance by {kind}")
    return ax


def plot_tree(model: Any, tree_idx: int = 0, ax: Any = None) -> Any:
    """Draws a tree: questions on top, leaves with their outputs below; "yes" goes right.

    Args:
        model: a model, a Booster or an ActorCritic.
        tree_idx: which tree.
        ax: as in :func:`plot_curve`.

    Raises:
        ValueError: for a tree that there is not.
    """
    dump = getattr(model, "dump_tree", None) or model.dump
    root = _nested(json.loads(dump(tree_idx, "json")))
    n_leaves, depth = _extent(root)
    ax = _axes(ax, (max(5.0, 0.9 * n_leaves), 1.2 * depth + 2.0))
    ax.set_axis_off()
    _draw(ax, root, 0, iter(range(1 << 20)))
    ax.set_title(f"tree {tree_idx} of {model.n_trees}")
    return ax


def model_html(model: Any) -> str:
    """A model as a notebook shows it: what it is, what it looks at."""
    importances, names = model.feature_importances(), model.feature_names
    order = np.argsort(-importances, kind="stable")[:5]
    rows = [
        ("observations", model.observation_space),
        ("actions", model.action_space),
        ("environment steps", f"{model.num_timesteps:,}"),
        ("trees", f"{model.n_trees:,}"),
        (
            "looks at",
            ", ".join(f"{names[i]} ({importances[i]:.0%})" for i in order if importances[i] > 0) or "nothing yet",
        ),
    ]
    cells = "".join(f"<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table><caption>{type(model).__name__} of gradient-boosted trees</caption>{cells}</table>"


# A node of a tree to draw: what it says, and the children for "no" and "yes" (none of a leaf).
Node = tuple[str, list[Any]]


def _nested(tree: dict[str, Any]) -> Node:
    """A dumped tree as nested nodes; the levels of an oblivious one are written out."""

    def leaf(i: int) -> Node:
        of = tree["leaves"][i]
        return "\n".join([f"{value:.3g}" for value in of["values"]] + [f"{of['cover']:g} rows"]), []

    def level(depth: int, first: int) -> Node:
        if depth == len(tree["levels"]):
            return leaf(first)
        children = [level(depth + 1, 2 * first), level(depth + 1, 2 * first + 1)]
        return _question(tree["levels"][depth]), children

    def node(child: dict[str, int]) -> Node:
        if "leaf" in child:
            return leaf(child["leaf"])
        of = tree["nodes"][child["node"]]
        return _question(of["split"]), [node(of["left"]), node(of["right"])]

    if tree["shape"] == "oblivious":
        return level(0, 0)
    return node({"node": 0} if tree["nodes"] else {"leaf": 0})


def _question(split: dict[str, Any]) -> str:
    if split["test"] == ">":
        return f"{split['name']} > {float(split['threshold']):.4g}?"
    return f"{split['name']} = {split.get('label', split['code'])}?"


def _extent(node: Node) -> tuple[int, int]:
    """How many leaves a tree has, and how many questions stand above the lowest."""
    children = [_extent(child) for child in node[1]]
    if not children:
        return 1, 0
    return sum(leaves for leaves, _ in children), 1 + max(depth for _, depth in children)


def _draw(ax: Any, node: Node, depth: int, free: Iterator[int]) -> float:
    """Draws a node and what hangs from it, leaves side by side; gives its place from left to right."""
    text, children = node
    places = [_draw(ax, child, depth + 1, free) for child in children]
    x = sum(places) / len(places) if places else float(next(free))
    for place, answer in zip(places, ("no", "yes"), strict=False):
        ax.plot([x, place], [-depth, -depth - 1], color="0.6", linewidth=1, zorder=1)
        middle = ((x + place) / 2, -depth - 0.5)
        ax.annotate(answer, middle, ha="center", va="center", fontsize=6, color="0.4", backgroundcolor="white")
    box = {"boxstyle": "round", "facecolor": "white" if children else "0.93", "edgecolor": "0.6"}
    ax.text(x, -depth, text, ha="center", va="center", fontsize=7, bbox=box, zorder=2)
    return x


def _axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("expected the package matplotlib: pip install gbrl_rs[plot]") from error
    return plt.subplots(figsize=size)[1]


def _csv_of(path: Path) -> Path:
    if path.is_file():
        return path
    for name in ("metrics.csv", "progress.csv", "0.monitor.csv", "monitor.csv"):
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"{path}: expected a CSV file, or a folder with metrics.csv or progress.csv, got neither")


def _columns(path: Path, x: str, y: str) -> tuple[list[float], list[float]]:
    with open(path, newline="") as file:
        first = file.readline()
        if not first.startswith("#"):
            file.seek(0)
        rows = list(csv.DictReader(file))
    if rows and {"r", "l", "t"} <= rows[0].keys():
        lengths = np.cumsum([float(row["l"]) for row in rows])
        return lengths.tolist(), [float(row["r"]) for row in rows]
    for name in (x, y):
        if not rows or name not in rows[0]:
            raise ValueError(f"{path}: expected the column {name}, got {', '.join(rows[0]) if rows else 'no rows'}")
    pairs = [(float(row[x]), float(row[y])) for row in rows if row[x] and row[y]]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
