"""What Python calls a setting, as the text that the extension reads; see docs/parameters.md for the settings."""

from __future__ import annotations

import difflib
import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from gbrl_rs import _cuda, _gbrl

Schedule = float | str | Callable[[float], float]
"""A number; a text such as "lin_0.01"; or a function of the remaining progress, from 1 at the start to 0 at the end."""

# Settings that are given in another place, and where.
ELSEWHERE = {
    "total_timesteps": "learn(total_timesteps)",
    "n_envs": "the environments",
    "device": "the argument device",
    "env_threads": "make_vec(n_threads=...)",
    "eval_every": "an EvalCallback",
    "eval_episodes": "an EvalCallback",
    "eval_deterministic": "an EvalCallback",
    "checkpoint_every": "a CheckpointCallback",
    "stats_window": "stats_window_size",
}

# Arguments of SB3's networks; trees have nothing that they could change.
NETWORK_ONLY = frozenset(
    "net_arch activation_fn ortho_init use_sde full_std use_expln features_extractor_class features_extractor_kwargs "
    "share_features_extractor normalize_images optimizer_class optimizer_kwargs lstm_hidden_size n_lstm_layers "
    "shared_lstm enable_critic_lstm lstm_kwargs".split()
)


def device(name: Any) -> str:
    """The setting `device` for SB3's argument of that name.

    Raises:
        gbrl_rs.DeviceError: for a device of another kind.
    """
    text = str(name)
    if text in ("auto", "cpu"):
        return text
    if text == "cuda" or (text.startswith("cuda:") and text[5:].isdigit()):
        _cuda.load_compiler()
        return text
    raise _gbrl.DeviceError(f"device: expected 'auto', 'cpu', 'cuda' or 'cuda:N', got '{text}'")


@functools.cache
def defaults(algo: str) -> dict[str, str]:
    """The defaults of an algorithm's settings, as text."""
    return {parameter["name"]: parameter["default"] for parameter in _gbrl.parameters(algo)}


@functools.cache
def names(section: str) -> frozenset[str]:
    """The settings of a section: "run", "agent" (all algorithms), "ppo", "awr" or "tree"."""
    return frozenset(parameter["name"] for parameter in _gbrl.parameters() if parameter["section"] == section)


def as_text(name: str, value: Any) -> str:
    """A setting's value as text.

    Numbers, booleans and texts are what they are, None is "none", sequences stand with commas between (and tuples in
    them with colons: ``monotone=[(0, 1, "rising")]``).

    Raises:
        TypeError: for a value of another kind.
    """
    if value is None:
        return "" if name in ("feature_weights", "monotone") else "none"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return repr(float(value))
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return ",".join(
            ":".join(as_text(name, part) for part in item) if isinstance(item, tuple) else as_text(name, item)
            for item in value
        )
    raise TypeError(f"{name}: expected a number, a text, a boolean, None or a list of them, got {value!r}")


def as_value(text: str) -> Any:
    """The Python value of a setting's text."""
    words = {"true": True, "false": False, "none": None}
    if text in words:
        return words[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def whole(name: str, value: Any) -> int:
    """A whole number, also as 1e3.

    Raises:
        ValueError: for anything else.
    """
    try:
        if int(value) == float(value):
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(f"{name}: expected a whole number, got {value!r}")


class Constant(float):
    """A number that can be called like a schedule, as SB3 keeps `clip_range`."""

    def __call__(self, progress_remaining: float = 1.0) -> float:
        return float(self)


def schedule(value: Any) -> Any:
    """A number as one that can also be called; functions and texts as they are."""
    is_number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, (bool, Constant))
    return Constant(value) if is_number else value


def at(schedule: Any, progress_remaining: float) -> Any:
    """A schedule's value now; texts and numbers stay as they are, since the extension knows how to read them.

    The remaining progress ends below 0 where a run's last rollout goes beyond its end; no schedule is asked about that.
    """
    if isinstance(schedule, float) or not callable(schedule):
        return schedule
    return float(schedule(max(progress_remaining, 0.0)))


# What a clip range is where its schedule has reached 0: no step changes anything, and the learner divides by it.
LEAST_CLIP_RANGE = 1e-9


def clip_at(schedule: Any, progress_remaining: float) -> Any:
    """A clip range's value now: above 0, where schedules end."""
    value = at(schedule, progress_remaining)
    return LEAST_CLIP_RANGE if isinstance(value, (int, float)) and value == 0.0 else value


def check_names(given: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Refuses keywords that are no settings.

    Raises:
        TypeError: naming the nearest known one, or the place where the setting is given instead.
    """
    known = sorted(known)
    for name in given:
        if name in known:
            continue
        if name in ELSEWHERE:
            raise TypeError(f"{owner} got the keyword '{name}': expected it in {ELSEWHERE[name]}")
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        raise TypeError(f"{owner} got an unexpected keyword argument '{name}'{hint}")


def split_policy_kwargs(policy_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The tree settings among SB3's policy_kwargs; warns once about those that only networks have."""
    given = dict(policy_kwargs or {})
    if "squash_output" in given:
        given["squash_actions"] = given.pop("squash_output")
    ignored = sorted(NETWORK_ONLY & given.keys())
    if ignored:
        warnings.warn(
            f"policy_kwargs: {', '.join(ignored)} describe neural networks and have no meaning for trees; "
            "max_depth, n_bins, policy_lr, value_lr and others in docs/parameters.md shape them",
            UserWarning,
            stacklevel=5,
        )
    return {name: value for name, value in given.items() if name not in NETWORK_ONLY}
