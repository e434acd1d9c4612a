"""A policy that leaves Python: C, Rust, ONNX, WebAssembly or JSON that decides by itself."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gbrl_rs import _gbrl

if TYPE_CHECKING:
    from gbrl_rs._spaces import FlatSpace


@dataclass(frozen=True)
class Disagreement:
    """In what the exported policy differs from ``predict()`` over some observations.

    Attributes:
        rows: observations.
        agreement: share of them with the same action.
        logit_error, action_error, value_error: the largest differences, a real-valued action's as a share of its range.
        exact: whether every bit is the same.
    """

    rows: int
    agreement: float
    logit_error: float
    action_error: float
    value_error: float
    exact: bool


@dataclass(frozen=True)
class ExportReport:
    """What ``model.export()`` wrote, what it costs, and how it stood its check. ``print`` shows it as the program does.

    Attributes:
        files: what was written.
        n_trees: trees.
        flash_bytes: bytes of constant tables, or of the file.
        ram_bytes: bytes that a decision works in.
        comparisons, additions: the most that a decision takes.
        checked_by: who ran the exported policy.
        states: on the recorded states, None without any.
        neighbours: on every threshold's neighbours and special values.
    """

    files: tuple[Path, ...]
    format: str
    quantize: str
    n_trees: int
    flash_bytes: int
    ram_bytes: int
    comparisons: int
    additions: int
    checked_by: str
    states: Disagreement | None
    neighbours: Disagreement
    text: str

    def __str__(self) -> str:
        return self.text


class ModelExport:
    """The part of a model that exports its policy."""

    _agent: _gbrl.Agent
    _flat_observations: FlatSpace
    num_timesteps: int

    def export(
        self,
        path: str | os.PathLike[str],
        format: str = "c",
        *,
        quantize: str = "none",
        value: bool = False,
        name: str | None = None,
        states: Any = None,
        action_masks: Any = None,
    ) -> ExportReport:
        """Writes the policy into the folder `path`, as a program that decides by itself.

        Before anything is written the exported policy decides on states and around every threshold of the trees;
        without quantisation a single bit that differs from ``predict()`` is an error. docs/edge.md leads from here to a
        microcontroller.

        Args:
            path: a folder, which is made if it does not exist.
            format: "c" (C99), "rust", "bin" (loadable bytes and their interpreter), "onnx", "wasm" (needs clang and lld)
                or "json".
            quantize: "none", or leaves as "int16" or "int8": smaller, and nearly the same decisions.
            value: whether the value of a state goes along.
            name: in front of every public name; the environment's if not given.
            states: observations to check it on, a batch as vector environments give them, or the path of a run's
                states.safetensors; those of the last rollout if not given and there was one.
            action_masks: which choices were allowed in `states`, bool `[n, choices]`.

        Raises:
            ValueError: for a name that is no identifier, or states of another shape.
            NotImplementedError: for outputs that an Adam optimizer makes.
            DeviceError: where a compiler is missing.

        Example:
            >>> report = model.export("firmware", quantize="int16", name="pole")
            >>> report.flash_bytes, report.states.agreement
        """
        file, rows, masks = None, None, None
        if isinstance(states, (str, os.PathLike)):
            file = os.fspath(states)
        elif states is not None:
            rows = np.ascontiguousarray(self._flat_observations.one_or_many(states)[0])
            masks = None if action_masks is None else np.ascontiguousarray(action_masks, dtype=np.bool_)
        else:
            rows, masks = self._last_states()
        text = _gbrl.export_policy(
            self._agent, os.fspath(path), format, quantize, value, name, self.num_timesteps, file, rows, masks
        )
        report = json.loads(text)
        files = tuple(Path(file) for file in report.pop("files"))
        on = {what: report.pop(what) for what in ("states", "neighbours")}
        seen = None if on["states"] is None else Disagreement(**on["states"])
        return ExportReport(files=files, states=seen, neighbours=Disagreement(**on["neighbours"]), **report)

    def _last_states(self) -> tuple[NDArray[np.float32] | None, NDArray[np.bool_] | None]:
        """Observations and masks of the last rollout, if they are kept as environments gave them."""
        if self._agent.get("norm_obs") == "true":
            return None, None
        try:
            rollout = self._agent.rollout()
        except ValueError:  # there was none, or it is not full
            return None, None
        observations = rollout["observations"]
        if not observations.size:
            return None, None
        rows = observations.reshape(-1, observations.shape[-1])
        masks = rollout.get("action_masks")
        return rows, None if masks is None else masks.reshape(len(rows), -1)
