"""Pictures of runs and trees. matplotlib (extra ``plot``) is loaded when the first is drawn."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

STEPS = "time/total_timesteps"
RETURN = "rollout/ep_rew_mean"
# Returns that a tenth of the last hundred episodes stayed below, and went beyond.
LOW, HIGH = "rollout/ep_rew_p10", "rollout/ep_rew_p90"
EVALUATION = "eval/mean_reward"
# Of letters in trees, in points, where there is room.
FONT_SIZE = 7.0


class HasTrees(Protocol):
    """A model, a Booster or an ActorCritic."""

    @property
    def n_trees(self) -> int: ...

    @property
    def feature_names(self) -> list[str]: ...

    def feature_importances(self, kind: str = "gain") -> NDArray[np.float64]: ...


def plot_curve(run: Any, x: str = STEPS, y: str = RETURN, ax: Any = None, label: str | None = None) -> Any:
    """Draws a learning curve: the mean, and of a single run what else its file tells of the episodes' returns.

    Args:
        run: a run's folder or CSV file (metrics.csv of the program, progress.csv of a logger, monitor.csv of a
            Monitor), or several of them.
        x, y: columns.
        ax: matplotlib's axes to draw on; new ones if None.
        label: name in the legend; the folder's by default, and as many of those above it as tell runs apart.

    Returns:
        The axes.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: for a file without these columns, naming those that it has.
        ImportError: without matplotlib.
    """
    runs = list(run) if isinstance(run, (list, tuple)) else [run]
    paths = [_csv_of(Path(one)) for one in runs]
    ax = _axes(ax)
    if len(paths) == 1:
        _draw_spread(ax, paths[0], x, y)
    lines = [
        ax.plot(*_columns(path, x, y), label=label or name)[0]
        for path, name in zip(paths, _names(paths), strict=True)
    ]
    ax.set_xlabel("environment steps" if x == STEPS else x)
    ax.set_ylabel("return of an episode" if y == RETURN else y)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    ax.set_axisbelow(True)
    ax.grid(color="0.9")
    others = [name for handle, name in zip(*ax.get_legend_handles_labels(), strict=True) if handle not in lines]
    if others and not label:
        lines[0].set_label("mean")
    if len(runs) == 1 and not ax.get_title():
        ax.set_title(_title(paths[0].parent))
    if len(runs) > 1 or label or others:
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
        ax: as in :func:`plot_curve`; letters are as small as its size demands.

    Raises:
        ValueError: for a tree that there is not.
    """
    dump = getattr(model, "dump_tree", None) or model.dump
    root = _nested(json.loads(dump(tree_idx, "json")), model.output_names)
    n_leaves, depth = _extent(root)
    width, height = _sizes(root)
    ax = _axes(ax, (max(5.0, FONT_SIZE * width * n_leaves * 1.3), max(2.0, FONT_SIZE * height * (depth + 1) * 1.6)))
    ax.set_axis_off()
    ax.set_xlim(-0.6, n_leaves - 0.4)
    ax.set_ylim(-depth - 0.5, 0.5)
    boxes: list[tuple[Any, int]] = []
    _draw(ax, root, 0, iter(range(1 << 20)), boxes)
    _shrink(ax, boxes, (n_leaves + 0.2, depth + 1.0))
    ax.set_title(f"tree {tree_idx} of {model.n_trees:,}")
    return ax


def model_html(model: Any) -> str:
    """A model as a notebook shows it: what it is, what it looks at."""
    rows = [
        ("observations", short_space(model.observation_space)),
        ("actions", short_space(model.action_space)),
        ("environment steps", f"{model.num_timesteps:,}"),
    ]
    return trees_html(model, rows)


def trees_html(model: Any, rows: list[tuple[str, str]]) -> str:
    """Trees as a notebook shows them."""
    importances, names = model.feature_importances(), model.feature_names
    order = np.argsort(-importances, kind="stable")[:5]
    looks = ", ".join(f"{names[i]} ({importances[i]:.0%})" for i in order if importances[i] > 0) or "nothing yet"
    rows = [*rows, ("trees", f"{model.n_trees:,}"), ("looks at", looks)]
    cells = "".join(f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in rows)
    return f"<table><caption>{type(model).__name__} of gradient-boosted trees</caption>{cells}</table>"


def short_space(space: Any) -> str:
    """A space in a line: bounds of a Box only where they are the same everywhere."""
    kind, parts = type(space).__name__, getattr(space, "spaces", None)
    if kind == "Box":
        bounds = [f"{side.flat[0]:g}, " for side in (space.low, space.high) if side.size and (side == side.flat[0]).all()]
        return f"Box({''.join(bounds) if len(bounds) == 2 else ''}{space.shape}, {space.dtype})"
    if isinstance(parts, dict):
        return f"Dict({', '.join(f'{key}: {short_space(part)}' for key, part in parts.items())})"
    if parts is not None:
        return f"Tuple({', '.join(map(short_space, parts))})"
    return " ".join(str(space).split())


# A node of a tree to draw: what it says, and the children for "no" and "yes" (none of a leaf).
Node = tuple[str, list[Any]]


def _nested(tree: dict[str, Any], outputs: list[str]) -> Node:
    """A dumped tree as nested nodes; the levels of an oblivious one are written out."""

    def leaf(i: int) -> Node:
        of, (first, end) = tree["leaves"][i], tree["columns"]
        values = zip((" ".join(name.split()) for name in outputs[first:end]), of["values"], strict=True)
        return "\n".join([f"{name} {value:.3g}" for name, value in values] + [f"{of['cover']:,} rows"]), []

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
    """As the dumps ask it."""
    name = " ".join(split["name"].split())
    if split["test"] == "==":
        return f"{name} == {json.dumps(split['label'], ensure_ascii=False) if 'label' in split else split['code']}?"
    if split["threshold"] == "inf":
        return f"{name} is missing?"
    return f"{name} > {float(split['threshold']):.4g}?"


def _sizes(node: Node) -> tuple[float, float]:
    """Inches that a leaf's place needs across, and a level along, per point of the letters' size."""
    text, children = node
    lines = text.split("\n")
    # A question has the places of the leaves below it. A letter is about 0.6 of its height wide; and the box around.
    across = (0.62 * max(map(len, lines)) + 1.8) / 72.0 / _extent(node)[0]
    along = (1.35 * len(lines) + 2.4) / 72.0
    sizes = [(across, along), *map(_sizes, children)]
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def _extent(node: Node) -> tuple[int, int]:
    """How many leaves a tree has, and how many questions stand above the lowest."""
    children = [_extent(child) for child in node[1]]
    if not children:
        return 1, 0
    return sum(leaves for leaves, _ in children), 1 + max(depth for _, depth in children)


def _draw(ax: Any, node: Node, depth: int, free: Iterator[int], boxes: list[tuple[Any, int]]) -> float:
    """Draws a node and what hangs from it, leaves side by side; gives its place from left to right. Its text goes to
    `boxes`, with the number of leaves whose places it may take."""
    text, children = node
    places = [_draw(ax, child, depth + 1, free, boxes) for child in children]
    x = sum(places) / len(places) if places else float(next(free))
    for place, answer in zip(places, ("no", "yes"), strict=False):
        ax.plot([x, place], [-depth, -depth - 1], color="0.6", linewidth=1, zorder=1)
        middle = ((x + place) / 2, -depth - 0.5)
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"}
        answered = ax.annotate(answer, middle, ha="center", va="center", fontsize=FONT_SIZE, color="0.4", bbox=box)
        boxes.append((answered, 1))
    box = {"boxstyle": "round,pad=0.4", "facecolor": "white" if children else "0.93", "edgecolor": "0.6"}
    shown = ax.text(x, -depth, text, ha="center", va="center", fontsize=FONT_SIZE, bbox=box, zorder=2)
    boxes.append((shown, _extent(node)[0]))
    return x


def _shrink(ax: Any, boxes: list[tuple[Any, int]], places: tuple[float, float]) -> None:
    """Makes letters so small that no box leaves its place, leaves standing upright where that is tight; `places` are those
    of the axes, across and along."""
    room, per_point = ax.get_window_extent(), ax.figure.dpi / 72.0

    def excess(size: float) -> float:
        pad, worst = 1.2 * size * per_point, 0.0
        for text, n_leaves in boxes:
            box = text.get_window_extent()
            across = (box.width + pad) * places[0] / (n_leaves * room.width)
            worst = max(worst, across, (box.height + pad) * places[1] / room.height)
        return worst

    size, worst = FONT_SIZE, excess(FONT_SIZE)
    if worst > 1.5:
        for text, _ in boxes:
            if "\n" in text.get_text():
                text.set_rotation(90.0)
    # Letters do not shrink in proportion, so it is measured again.
    for _ in range(6):
        worst = excess(size)
        if worst <= 1.0:
            return
        size *= 0.98 / worst
        for text, _ in boxes:
            text.set_fontsize(size)


def _draw_spread(ax: Any, path: Path, x: str, y: str) -> None:
    """The band of a run's returns, and its evaluations, where its file has them."""
    columns = _header(path)
    if y != RETURN or x not in columns:
        return
    if {LOW, HIGH} <= columns:
        xs, low = _columns(path, x, LOW)
        high = _columns(path, x, HIGH)[1]
        ax.fill_between(xs, low, high, alpha=0.15, linewidth=0, label="middle 80 % of the last 100 episodes")
    if EVALUATION in columns:
        xs, means = _columns(path, x, EVALUATION)
        if xs:
            ax.plot(xs, means, "o", color="C1", label="evaluation")


def _title(run: Path) -> str:
    """What a run's settings say it is."""
    config = run / "config.toml"
    if not config.is_file():
        return ""
    lines = (re.match(r'(env|algo|seed) = "?([^"]*)"?$', line) for line in config.read_text().splitlines())
    said = {match[1]: match[2] for match in lines if match}
    if said.keys() < {"env", "algo", "seed"}:
        return ""
    return f"{said['algo'].upper()} on {said['env']}, seed {said['seed']}"


def _names(paths: list[Path]) -> list[str]:
    """What tells files apart: their folders' names, with as many of those above as it takes."""
    folders = [path.resolve().parent.parts for path in paths]
    for depth in range(1, max(map(len, folders)) + 1):
        names = ["/".join(parts[-depth:]) for parts in folders]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def _axes(ax: Any, size: tuple[float, float] | None = None) -> Any:
    if ax is not None:
        return ax
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("expected the package matplotlib: pip install matplotlib") from error
    return plt.subplots(figsize=size)[1]


def _csv_of(path: Path) -> Path:
    if path.is_file():
        return path
    for name in ("metrics.csv", "progress.csv", "0.monitor.csv", "monitor.csv"):
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"{path}: expected a CSV file, or a folder with metrics.csv or progress.csv, got neither")


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        first = file.readline()
        if not first.startswith("#"):
            file.seek(0)
        return list(csv.DictReader(file))


def _header(path: Path) -> set[str]:
    rows = _rows(path)
    return set(rows[0]) if rows else set()


def _columns(path: Path, x: str, y: str) -> tuple[list[float], list[float]]:
    rows = _rows(path)
    if rows and {"r", "l", "t"} <= rows[0].keys():
        lengths = np.cumsum([float(row["l"]) for row in rows])
        return lengths.tolist(), [float(row["r"]) for row in rows]
    for name in (x, y):
        if not rows or name not in rows[0]:
            raise ValueError(f"{path}: expected the column {name}, got {', '.join(rows[0]) if rows else 'no rows'}")
    pairs = [(float(row[x]), float(row[y])) for row in rows if row[x] and row[y]]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
