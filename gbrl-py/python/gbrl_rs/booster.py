"""The tree learner itself, for people who compute gradients elsewhere: in numpy, torch, JAX or anything else."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gbrl_rs import _gbrl, _options
from gbrl_rs._arrays import Rows, as_float32, as_mixed_rows, as_rows, is_missing, to_numpy

Self = TypeVar("Self", bound="_Trees")

Rate = float | str


class _Trees:
    """What every class around an extension's Booster offers."""

    _core: _gbrl.Booster
    _is_string: list[bool]
    _seed: int
    _n_threads: int
    _progress: float

    @property
    def n_trees(self) -> int:
        """Trees so far."""
        return self._core.n_trees

    @property
    def n_features(self) -> int:
        """Columns of an observation."""
        return self._core.n_features

    @property
    def n_outputs(self) -> int:
        """Columns of an output."""
        return self._core.n_outputs

    @property
    def feature_names(self) -> list[str]:
        """Names of an observation's columns."""
        return self._core.feature_names

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return self._core.output_names

    @property
    def bias(self) -> NDArray[np.float32]:
        """Where every output starts, float32 `[n_outputs]`; may be set."""
        return self._core.bias

    @bias.setter
    def bias(self, bias: Any) -> None:
        self._core.set_bias(as_float32(bias, "bias"))

    def leaf_index(self, observations: Any) -> NDArray[np.uint32]:
        """Which leaf of every tree each row falls into, uint32 `[n, n_trees]`."""
        return self._core.leaf_index(self._rows(observations, learn=False))

    def feature_importances(self, kind: str = "gain") -> NDArray[np.float64]:
        """How much the trees look at each column, float64 `[n_features]`, summing to 1.

        Args:
            kind: "gain" (what the splits won) or "count" (how many there are).
        """
        return self._core.importance(kind)

    def dump(self, tree_idx: int, format: str = "text") -> str:
        """A tree as "text", "dot" (Graphviz) or "json".

        Raises:
            ValueError: for a tree or a format that there is not.
        """
        return self._core.tree(tree_idx, format)

    def plot_tree(self, tree_idx: int = 0, ax: Any = None) -> Any:
        """Draws a tree with matplotlib (extra ``plot``); see :func:`gbrl_rs.plot_tree`."""
        from gbrl_rs.plot import plot_tree

        return plot_tree(self, tree_idx, ax=ax)

    def _repr_html_(self) -> str:
        from gbrl_rs.plot import trees_html

        rows = [("columns", ", ".join(self.feature_names[:20])), ("outputs", ", ".join(self.output_names[:20]))]
        return trees_html(self, rows)

    def set_progress(self, progress: float) -> None:
        """Where the run stands, from 0 to 1: what schedules such as "lin_0.1" go by."""
        self._core.set_progress(progress)
        self._progress = float(progress)

    def _rows(self, observations: Any, learn: bool) -> Rows:
        if any(self._is_string):
            return as_mixed_rows(observations, self._is_string, self._core.encode, learn, "observations")
        return as_rows(observations, len(self._is_string), "observations")

    # -- files, pickle, copy -----------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The bytes of a model file (docs/format), checked by its sums."""
        return self._core.to_bytes(self._note())

    @classmethod
    def from_bytes(cls: type[Self], data: bytes, n_threads: int = 0) -> Self:
        """What :meth:`to_bytes` or :meth:`save` wrote.

        Raises:
            gbrl_rs.FormatError: (a ValueError) for altered bytes.
        """
        core, note = _gbrl.Booster.from_bytes(bytes(data), 0, n_threads)
        return cls._around(core, note, n_threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a model file, exactly at `path`, in one step: a crash leaves the old one whole.

        Raises:
            OSError: when it cannot be written.
        """
        self._core.save(path, self._note())

    @classmethod
    def load(cls: type[Self], path: str | os.PathLike[str], n_threads: int = 0) -> Self:
        """What :meth:`save` wrote.

        Raises:
            FileNotFoundError: when there is none.
            gbrl_rs.FormatError: (a ValueError) for altered bytes.
        """
        core, note = _gbrl.Booster.load(path, 0, n_threads)
        return cls._around(core, note, n_threads)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(), self._n_threads)

    def __copy__(self: Self) -> Self:
        build, arguments = self.__reduce__()
        copy: Self = build(*arguments)
        return copy

    def __deepcopy__(self: Self, memo: dict[int, Any]) -> Self:
        return self.__copy__()

    def _note(self) -> str:
        """What a model file does not say: which columns hold strings, and what the next trees depend on."""
        strings = [i for i, holds in enumerate(self._is_string) if holds]
        return json.dumps({"strings": strings, "seed": self._seed, "progress": self._progress})

    @classmethod
    def _around(cls: type[Self], core: _gbrl.Booster, note: str, n_threads: int) -> Self:
        trees = cls.__new__(cls)
        trees._restore(core, note, n_threads)
        return trees

    def _restore(self, core: _gbrl.Booster, note: str, n_threads: int) -> None:
        try:
            read = json.loads(note) if note.startswith("{") else {}
            strings = {int(i) for i in read.get("strings", [])}
            seed, progress = int(read.get("seed", 0)), float(read.get("progress", 0.0))
            core.set_seed(seed)
        except (ValueError, TypeError, OverflowError) as error:
            raise _gbrl.FormatError(f"expected the note that to_bytes() writes, got {note[:80]!r}") from error
        core.set_progress(progress)
        self._core, self._seed, self._n_threads, self._progress = core, seed, n_threads, progress
        self._is_string = [i in strings for i in range(core.n_features)]


class Booster(_Trees):
    """Gradient-boosted trees with vector leaves, grown one per :meth:`step` from gradients of yours.

    Inputs may be arrays of any library, dtype and layout; C-contiguous float32 is read where it lies. NaN is a value
    with a learned direction. Columns of strings (or any objects) are categories.

    Args:
        n_outputs: columns of an output.
        n_features: columns of an observation; None takes them, and which of them hold strings, from the first data.
        features: names and kinds instead: "numeric", "strings", or "codes:N" for whole numbers below N that are
            categories.
        learning_rate: a number or a schedule such as "lin_0.1" (see :meth:`set_progress`).
        optimizer: "sgd", or "adam": how gradients become changes of the outputs.
        seed: root of the subsampling.
        n_threads: 0 for one per processor; changes no byte of any result.
        **settings: the settings of docs/parameters.md, section Trees: max_depth, n_bins, grow_policy, ...

    Raises:
        TypeError: for an unknown setting, naming the nearest one.
        ValueError: for one out of range.

    Example:
        >>> booster = Booster(n_outputs=2, learning_rate=0.1, max_depth=5)
        >>> for _ in range(100):
        ...     outputs = booster.predict(x)                     # float32 [n, 2]
        ...     booster.step(x, outputs - y)                      # d ½‖outputs − y‖² / d outputs, per row
    """

    def __init__(
        self,
        n_outputs: int = 1,
        n_features: int | None = None,
        features: Sequence[tuple[str, str]] | None = None,
        learning_rate: Rate = 0.1,
        optimizer: str = "sgd",
        seed: int = 0,
        n_threads: int = 0,
        **settings: Any,
    ) -> None:
        texts = _tree_settings(settings, type(self))
        groups = [("outputs", n_outputs, _rate("learning_rate", learning_rate), optimizer)]
        self._arguments = (groups, texts, seed, n_threads)
        self._n_outputs = n_outputs
        if features is None and n_features is not None:
            features = [(f"f{i}", "numeric") for i in range(n_features)]
        if features is not None:
            self._build(list(features))
        else:
            # All but what is said of single columns can be wrong before they are known.
            general = {name: text for name, text in texts.items() if name not in ("feature_weights", "monotone")}
            _gbrl.Booster([("f0", "numeric")], groups, general, seed, 1)

    def _build(self, features: list[tuple[str, str]]) -> None:
        groups, texts, seed, n_threads = self._arguments
        self._core = _gbrl.Booster(features, groups, texts, seed, n_threads)
        self._seed, self._n_threads, self._progress = seed, n_threads, 0.0
        self._is_string = [kind == "strings" for _, kind in features]

    def step(self, observations: Any, gradients: Any, weights: Any = None) -> dict[str, int]:
        """Adds one tree that lowers a loss whose gradients you give.

        Args:
            observations: `[n, n_features]`.
            gradients: d loss_row / d output_row, `[n, n_outputs]`, per row: not divided by n.
            weights: of the rows, `[n]`; all 1 if None.

        Returns:
            "n_trees" added, "n_leaves", "depth", and "n_rows" after subsampling.

        Raises:
            ValueError: for other shapes and for gradients that are not finite.
        """
        self._learn_columns(observations)
        rows = self._rows(observations, learn=True)
        grads = as_rows(_column(gradients, self.n_outputs, "gradients"), self.n_outputs, "gradients")
        return self._core.step(rows, grads, _weights(weights))

    def fit(self, x: Any, y: Any, n_trees: int = 100, weights: Any = None) -> NDArray[np.float64]:
        """Adds trees that lower ½‖output − y‖².

        Args:
            x: `[n, n_features]`.
            y: `[n, n_outputs]`, or `[n]` where there is one output.
            n_trees: how many.
            weights: of the rows, `[n]`; all 1 if None.

        Returns:
            The loss after each tree, averaged over rows by their weights, float64 `[n_trees]`.

        Raises:
            ValueError: for other shapes, targets that are not finite and negative weights.
        """
        rows, targets = self._targets(x, y)
        return self._core.fit(rows, targets, n_trees, _weights(weights))[0]

    def fit_until(
        self,
        x: Any,
        y: Any,
        validation: tuple[Any, ...],
        n_trees: int = 1000,
        weights: Any = None,
        patience: int = 10,
        tol: float = 0.0,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """:meth:`fit` that stops early, by rows that are not learnt from.

        Args:
            x, y, n_trees, weights: as in :meth:`fit`.
            validation: (x, y) of those rows, or (x, y, weights).
            patience: trees that may pass without lowering their loss; the last of them stay.
            tol: how much lower is lower.

        Returns:
            The losses of both after each tree, float64 `[trees grown]`.
        """
        training = self._targets(x, y)
        held_x, held_y, *held_weights = validation
        held_out = (*self._targets(held_x, held_y, learn=False), _weights(held_weights[0] if held_weights else None))
        return self._core.fit(*training, n_trees, _weights(weights), held_out, patience, tol)

    def partial_fit(self: Booster, x: Any, y: Any, n_trees: int = 1, weights: Any = None) -> Booster:
        """:meth:`fit` for data that come piece by piece; returns itself."""
        self.fit(x, y, n_trees, weights)
        return self

    def _targets(self, x: Any, y: Any, learn: bool = True) -> tuple[Rows, Rows]:
        self._learn_columns(x)
        return self._rows(x, learn), as_rows(_column(y, self.n_outputs, "y"), self.n_outputs, "y")

    def predict(self, observations: Any, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Outputs, float32 `[n, n_outputs]`, by the bias and the trees from `start` to `stop` (all by default).

        Strings never seen before fail every question about them.
        """
        self._learn_columns(observations)
        return self._core.predict(self._rows(observations, learn=False), start, stop)

    def set_learning_rate(self, learning_rate: Rate) -> None:
        """Another rate, or another schedule, for the trees to come."""
        self._core.set_rate(0, _rate("learning_rate", learning_rate))

    @property
    def n_outputs(self) -> int:
        """Columns of an output."""
        return self._n_outputs

    def __repr__(self) -> str:
        if not self.is_built:
            return f"Booster(n_outputs={self.n_outputs}, without data)"
        return f"Booster(n_outputs={self.n_outputs}, n_features={self.n_features}, n_trees={self.n_trees})"

    def _repr_html_(self) -> str:
        return super()._repr_html_() if self.is_built else f"<code>{self!r}</code>"

    @property
    def is_built(self) -> bool:
        """Whether the columns are known: before the first data they may not be."""
        return "_core" in self.__dict__

    def __getattr__(self, name: str) -> Any:
        if name in ("_core", "_is_string"):
            raise RuntimeError("Booster: expected data (step, fit, predict) or n_features before this, got neither")
        raise AttributeError(f"'Booster' object has no attribute '{name}'")

    def __reduce__(self) -> tuple[Any, ...]:
        return super().__reduce__() if self.is_built else (_blank, (self._n_outputs, self._arguments))

    def _restore(self, core: _gbrl.Booster, note: str, n_threads: int) -> None:
        super()._restore(core, note, n_threads)
        self._n_outputs = core.n_outputs

    def _learn_columns(self, observations: Any) -> None:
        if self.is_built:
            return
        array = to_numpy(observations, "observations")
        if array.ndim != 2:
            raise ValueError(f"observations: expected shape [n, columns], got {list(array.shape)}")
        kinds = ["strings" if _holds_strings(array[:, i]) else "numeric" for i in range(array.shape[1])]
        names = _column_names(observations) or [f"f{i}" for i in range(array.shape[1])]
        self._build(list(zip(names, kinds, strict=True)))


class ActorCritic(_Trees):
    """A policy and a value function on shared trees, each with its own learning rate, for a loop of your own.

    The outputs of the trees are the policy's parameters (logits, or means) and the value. You turn them into a loss in
    any library and hand back its gradients; every :meth:`step` adds one tree.

    Args:
        n_actions: columns of the policy's outputs.
        n_features, features: as in :class:`Booster`.
        policy_lr, value_lr: rates, numbers or schedules such as "lin_0.1".
        policy_optimizer, value_optimizer: "sgd" or "adam".
        seed, n_threads, **settings: as in :class:`Booster`.

    Example:
        >>> model = ActorCritic(n_actions=2, n_features=4)
        >>> logits, values = model(observations)                 # float32 [n, 2] and [n]
        >>> model.step(observations, policy_grad, value_grad)     # of the same shapes, per row
    """

    def __init__(
        self,
        n_actions: int,
        n_features: int | None = None,
        features: Sequence[tuple[str, str]] | None = None,
        policy_lr: Rate = 0.1,
        value_lr: Rate = 0.05,
        policy_optimizer: str = "sgd",
        value_optimizer: str = "sgd",
        seed: int = 0,
        n_threads: int = 0,
        **settings: Any,
    ) -> None:
        texts = _tree_settings(settings, type(self))
        if features is None:
            if n_features is None:
                raise TypeError("ActorCritic(): expected n_features or features, got neither")
            features = [(f"f{i}", "numeric") for i in range(n_features)]
        groups = [
            ("policy", n_actions, _rate("policy_lr", policy_lr), policy_optimizer),
            ("value", 1, _rate("value_lr", value_lr), value_optimizer),
        ]
        self._core = _gbrl.Booster(list(features), groups, texts, seed, n_threads)
        self._seed, self._n_threads, self._progress = seed, n_threads, 0.0
        self._is_string = [kind == "strings" for _, kind in features]

    def __repr__(self) -> str:
        return f"ActorCritic(n_actions={self.n_actions}, n_features={self.n_features}, n_trees={self.n_trees})"

    @property
    def n_actions(self) -> int:
        """Columns of the policy's outputs."""
        return self.n_outputs - 1

    def __call__(self, observations: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The policy's outputs float32 `[n, n_actions]` and the values float32 `[n]`."""
        outputs = self._core.predict(self._rows(observations, learn=False))
        return outputs[:, :-1], outputs[:, -1]

    def step(self, observations: Any, policy_grad: Any, value_grad: Any, weights: Any = None) -> dict[str, int]:
        """Adds one tree.

        Args:
            observations: `[n, n_features]`.
            policy_grad: d loss_row / d policy output, `[n, n_actions]`, per row: not divided by n.
            value_grad: d loss_row / d value, `[n]` or `[n, 1]`.
            weights: of the rows, `[n]`.

        Returns:
            As :meth:`Booster.step`.
        """
        rows = self._rows(observations, learn=True)
        gradients = np.empty((len(rows), self.n_outputs), dtype=np.float32)
        gradients[:, :-1] = as_rows(policy_grad, self.n_actions, "policy_grad")
        gradients[:, -1:] = as_rows(_column(value_grad, 1, "value_grad"), 1, "value_grad")
        return self._core.step(rows, gradients, _weights(weights))

    def set_policy_lr(self, rate: Rate) -> None:
        """Another rate of the policy's outputs, for the trees to come."""
        self._core.set_rate(0, _rate("policy_lr", rate))

    def set_value_lr(self, rate: Rate) -> None:
        """Another rate of the value, for the trees to come."""
        self._core.set_rate(1, _rate("value_lr", rate))


def _rate(name: str, rate: Rate) -> str:
    """A learning rate as text, checked under its own name."""
    text = _options.as_text(name, rate)
    _gbrl.schedule_at(name, text, 0.0)
    return text


def _tree_settings(settings: dict[str, Any], owner: type) -> dict[str, str]:
    """Keywords as the extension reads them, checked by name."""
    for name in ("n_estimators", "n_trees", "iterations"):
        if name in settings:
            raise TypeError(f"{owner.__name__}() got the keyword '{name}': expected it in fit(x, y, n_trees)")
    own = inspect.signature(owner).parameters.keys() - {"settings"}
    _options.check_names(settings, _options.names("tree"), f"{owner.__name__}()", also=own)
    return {name: _options.as_text(name, value) for name, value in settings.items()}


def _blank(n_outputs: int, arguments: Any) -> Booster:
    booster = Booster(n_outputs)
    booster._arguments = arguments
    return booster


def _weights(weights: Any) -> NDArray[np.float32] | None:
    return None if weights is None else as_float32(weights, "weights")


def _column(values: Any, n_columns: int, what: str) -> Any:
    """A vector as a column, where there is only one."""
    if n_columns != 1:
        return values
    array = to_numpy(values, what)
    return array.reshape(-1, 1) if array.ndim == 1 else array


def _holds_strings(column: NDArray[Any]) -> bool:
    if column.dtype.kind in "USTO":
        return any(not is_missing(item) and not _is_number(item) for item in column.tolist())
    return False


def _is_number(item: Any) -> bool:
    return isinstance(item, (int, float, np.number, np.bool_))


def _column_names(observations: Any) -> list[str] | None:
    """Names of a data frame's columns."""
    columns = getattr(observations, "columns", None)
    return None if columns is None else [str(name) for name in columns]
