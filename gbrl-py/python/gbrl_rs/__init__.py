"""Reinforcement learning with gradient-boosted trees, in Rust, behind Stable-Baselines3's interface.

Example:
    >>> from gbrl_rs import PPO
    >>> model = PPO("MlpPolicy", "CartPole-v1", verbose=1).learn(100_000)

Names are loaded when first used, so that the import takes no longer than numpy's.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from gbrl_rs._gbrl import (
        DeviceError as DeviceError,
        EnvironmentContractError as EnvironmentContractError,
        FormatError as FormatError,
        environments as environments,
        parameters as parameters,
    )
    from gbrl_rs._export import ExportReport as ExportReport
    from gbrl_rs.a2c import A2C as A2C
    from gbrl_rs.awr import AWR as AWR
    from gbrl_rs.booster import ActorCritic as ActorCritic, Booster as Booster
    from gbrl_rs.callbacks import (
        BaseCallback as BaseCallback,
        CallbackList as CallbackList,
        CheckpointCallback as CheckpointCallback,
        ConvertCallback as ConvertCallback,
        EvalCallback as EvalCallback,
        EventCallback as EventCallback,
        EveryNTimesteps as EveryNTimesteps,
        ProgressBarCallback as ProgressBarCallback,
        StopTrainingOnMaxEpisodes as StopTrainingOnMaxEpisodes,
        StopTrainingOnNoModelImprovement as StopTrainingOnNoModelImprovement,
        StopTrainingOnRewardThreshold as StopTrainingOnRewardThreshold,
    )
    from gbrl_rs.env_util import make_vec_env as make_vec_env
    from gbrl_rs.evaluation import evaluate_policy as evaluate_policy
    from gbrl_rs.logger import Logger as Logger, configure as configure
    from gbrl_rs.monitor import Monitor as Monitor
    from gbrl_rs.plot import (
        plot_curve as plot_curve,
        plot_importance as plot_importance,
        plot_tree as plot_tree,
    )
    from gbrl_rs.policies import TreePolicy as TreePolicy
    from gbrl_rs.ppo import PPO as PPO
    from gbrl_rs.presets import Preset as Preset, preset as preset
    from gbrl_rs.sklearn import GBRLRegressor as GBRLRegressor
    from gbrl_rs.vec_env import RustVectorEnv as RustVectorEnv, make_vec as make_vec
    from gbrl_rs.vec_normalize import VecNormalize as VecNormalize

_MODULES = {
    "_gbrl": "DeviceError EnvironmentContractError FormatError __version__ environments parameters",
    "_export": "ExportReport",
    "a2c": "A2C",
    "awr": "AWR",
    "booster": "ActorCritic Booster",
    "callbacks": "BaseCallback CallbackList CheckpointCallback ConvertCallback EvalCallback EventCallback "
    "EveryNTimesteps ProgressBarCallback StopTrainingOnMaxEpisodes StopTrainingOnNoModelImprovement "
    "StopTrainingOnRewardThreshold",
    "env_util": "make_vec_env",
    "evaluation": "evaluate_policy",
    "logger": "Logger configure",
    "monitor": "Monitor",
    "plot": "plot_curve plot_importance plot_tree",
    "policies": "TreePolicy",
    "ppo": "PPO",
    "presets": "Preset preset",
    "sklearn": "GBRLRegressor",
    "vec_env": "RustVectorEnv make_vec",
    "vec_normalize": "VecNormalize",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

# What needs an extra is imported by name: `from gbrl_rs import *` does without scikit-learn.
__all__ = sorted(name for name in _HOMES if _HOMES[name] != "sklearn")  # noqa: PLE0605: a list, made of the table above


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None and name in (*_MODULES, "minigrid") and not name.startswith("_"):
        return importlib.import_module(f"{__name__}.{name}")
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
