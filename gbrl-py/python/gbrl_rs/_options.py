"""What Python calls a setting, as the text that the extension reads; see docs/parameters.md for the settings."""

from __future__ import annotations

import difflib
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np

from gbrl_rs import _cuda, _gbrl

P = ParamSpec("P")
T = TypeVar("T")

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

# Keys of a file of settings that are remarks.
REMARKS = ("source", "env", "algo")

# What others call it (gbrl, scikit-learn), and what it may be here.
ALIASES = {
    "tree_struct": ("max_depth", "grow_policy", "n_bins", "min_data_in_leaf"),
    "split_score_func": ("split_score",),
    "generator_type": ("bin_strategy",),
    "shared_tree_struct": ("shared_structure",),
    "weights_max": ("max_weight",),
    "gradient_steps": ("value_updates", "policy_updates"),
    "train_freq": ("n_steps",),
    "input_dim": ("n_features",),
    "output_dim": ("n_outputs", "n_actions"),
    "optimizers": ("learning_rate", "policy_lr", "value_lr"),
    "lr": ("learning_rate",),
    "n_trees": ("n_estimators",),
    "iterations": ("n_estimators",),
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


@functools.cache
def deciding() -> frozenset[str]:
    """The settings that decide what is learnt; lengths, seeds, threads, devices and reports do not."""
    return frozenset(parameter["name"] for parameter in _gbrl.parameters() if parameter["decides"] == "true")


@functools.cache
def of_models(algo: str) -> frozenset[str]:
    """The settings that a model's constructor takes."""
    return names("agent") | names(algo) | names("tree") | (names("run") - ELSEWHERE.keys())


@functools.cache
def whole_numbers() -> frozenset[str]:
    """The settings that are whole numbers."""
    return frozenset(parameter["name"] for parameter in _gbrl.parameters() if parameter["kind"] == "whole number")


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


def same(a: str, b: str) -> bool:
    """Whether two texts are one setting: "1" and "1.0" are."""
    try:
        return a == b or float(a) == float(b)
    except ValueError:
        return False


def keywords(settings: Mapping[str, str]) -> dict[str, Any]:
    """Settings as the arguments of a constructor."""
    values = {key: as_value(text) for key, text in settings.items() if key not in ELSEWHERE}
    if "vf_coef" in values:
        # SB3 weighs (V − R)², settings ½(V − R)².
        values["vf_coef"] = float(values["vf_coef"]) / 2.0
    if "stats_window" in settings:
        values["stats_window_size"] = int(settings["stats_window"])
    for name in ("feature_weights", "monotone"):
        if name in settings:
            values[name] = settings[name]
    return values


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


def check_names(given: Iterable[str], known: Iterable[str], owner: str, also: Iterable[str] = ()) -> None:
    """Refuses keywords that are no settings.

    Args:
        given: the keywords.
        known: those that may be there.
        owner: who was given them.
        also: further names that may have been meant.

    Raises:
        TypeError: naming the nearest known one, or the place where the setting is given instead.
    """
    known = set(known)
    for name in given:
        if name in known:
            continue
        if name in ELSEWHERE:
            raise TypeError(f"{owner} got the keyword '{name}': expected it in {ELSEWHERE[name]}")
        raise TypeError(f"{owner} got an unexpected keyword argument '{name}'{did_you_mean(name, known.union(also))}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question about the names that were probably meant; nothing where none is near."""
    known = sorted(known)
    near = [alias for alias in ALIASES.get(name, ()) if alias in known] or difflib.get_close_matches(name, known, 1)
    return f"; did you mean {', '.join(map(repr, near))}?" if near else ""


def suggests(function: Callable[P, T]) -> Callable[P, T]:
    """A function whose error about an unknown keyword names the nearest one."""
    known = frozenset(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if not kwargs.keys() <= known:
            check_names(kwargs, known, f"{function.__qualname__}()")
        return function(*args, **kwargs)

    return call


def split_policy_kwargs(policy_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The tree settings among SB3's policy_kwargs; warns once about those that only networks have."""
    given = dict(policy_kwargs or {})
    if "squash_output" in given:
        given["squash_actions"] = given.pop("squash_output")
    ignored = sorted(NETWORK_ONLY & given.keys())
    if ignored:
        verbs = ("describes", "has") if len(ignored) == 1 else ("describe", "have")
        warnings.warn(
            f"policy_kwargs: {', '.join(ignored)} {verbs[0]} neural networks and {verbs[1]} no meaning for trees; "
            "max_depth, n_bins, policy_lr, value_lr and others in docs/parameters.md shape them",
            UserWarning,
            stacklevel=5,
        )
    return {name: value for name, value in given.items() if name not in NETWORK_ONLY}
