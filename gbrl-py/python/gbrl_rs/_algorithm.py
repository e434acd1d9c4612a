"""From Stable-Baselines3's constructor arguments to the settings of an algorithm.

An algorithm's class says which arguments it has and what SB3's learning rate means for its trees; see
:mod:`gbrl_rs.ppo`, :mod:`gbrl_rs.a2c` and :mod:`gbrl_rs.awr`.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any, ClassVar, TypeVar

import numpy as np
from gymnasium import spaces

from gbrl_rs import _gbrl, _options
from gbrl_rs._envs import adapt
from gbrl_rs._on_policy import OnPolicyModel
from gbrl_rs._options import Schedule
from gbrl_rs.env_util import make_copies
from gbrl_rs.policies import TreePolicy
from gbrl_rs.presets import preset

Self = TypeVar("Self", bound="AlgorithmModel")

POLICIES = ("MlpPolicy", "MultiInputPolicy", "TreePolicy")

# SB3's own start of a Gaussian's log standard deviation.
LOG_STD_INIT = 0.0
# Whether rewards are scaled by the running spread of the discounted return, unless the caller says.
NORM_REWARD = False
# SB3's default of a norm that trees do not have, and what it is.
MAX_GRAD_NORM = 0.5
IGNORED_NORM = (
    MAX_GRAD_NORM,
    "is a norm of network parameters and has no meaning for trees; max_policy_grad_norm and max_value_grad_norm clip the "
    "gradients of rows",
)

# Arguments of every algorithm that are settings of the same name.
_SETTINGS = ("n_steps", "gamma", "gae_lambda", "normalize_advantage", "ent_coef")
# Arguments of every algorithm that are not.
_ARGUMENTS = (
    "learning_rate",
    "vf_coef",
    "stats_window_size",
    "tensorboard_log",
    "verbose",
    "seed",
    "policy_lr",
    "value_lr",
)
# Arguments that schedules may take to 0.
_CLIP_RANGES = ("clip_range", "clip_range_vf")
# What an argument must be, for SB3's sake.
_FIXED = (("sde_sample_freq", -1), ("rollout_buffer_class", None), ("rollout_buffer_kwargs", None))


class AlgorithmModel(OnPolicyModel):
    """A model whose constructor takes SB3's arguments."""

    OWN_SETTINGS: ClassVar[tuple[str, ...]] = ()
    """Arguments that are settings of the same name, besides those that all algorithms have."""

    IGNORED: ClassVar[dict[str, tuple[Any, str]]] = {}
    """Arguments of networks, with SB3's defaults, and what is said where another value is given."""

    SB3_LEARNING_RATE: ClassVar[float]
    """SB3's own default, which stands for the three rates below."""

    POLICY_LR: ClassVar[float]
    POLICY_LR_BOX: ClassVar[float]
    VALUE_LR: ClassVar[float]

    policy_aliases: ClassVar[dict[str, type[TreePolicy]]] = dict.fromkeys(POLICIES, TreePolicy)

    n_steps: int
    gamma: float
    gae_lambda: float
    normalize_advantage: bool
    ent_coef: float
    vf_coef: float
    policy_lr: Schedule | None
    value_lr: Schedule | None
    policy_kwargs: dict[str, Any]

    def _begin(self, env: Any, arguments: dict[str, Any], settings: dict[str, Any]) -> None:
        """The rest of a constructor; `arguments` are its local names."""
        given = {name: value for name, value in arguments.items() if name not in _LOCALS}
        self._configure({**given, **settings})
        for name, (default, reason) in self.IGNORED.items():
            if given[name] != default:
                warnings.warn(f"{name}={given[name]} {reason}", UserWarning, stacklevel=3)
        self._start(env)

    @classmethod
    def from_preset(cls: type[Self], env: Any, name: str = "default", **overrides: Any) -> Self:
        """A model with the settings of a preset: "default" or "paper", see envs/presets.

        Args:
            env: an id, of which as many copies are made as the preset says, or environments as in the constructor. The
                preset is that of the registered name; others share a generic one.
            name: which preset.
            **overrides: constructor arguments and settings that win over the preset's, `n_envs` among them.

        Raises:
            ValueError: for a preset that the environment does not have, naming those that it has.

        Example:
            >>> PPO.from_preset("CartPole-v1", "paper", seed=1).learn(200_000)
        """
        envs = None if isinstance(env, str) else adapt(env)
        env_id = env if envs is None else envs.env_id
        chosen = preset(env_id, name, cls.ALGORITHM)
        wanted = _options.whole("n_envs", overrides.pop("n_envs", chosen.n_envs))
        if envs is None:
            envs = adapt(make_copies(env_id, wanted))
        elif envs.n_envs != wanted:
            warnings.warn(
                f"the preset '{name}' of {env_id} is made for {wanted} {'copy' if wanted == 1 else 'copies'} of the "
                f"environment, got {envs.n_envs}; expected the id, or make_vec_env(..., {wanted})",
                UserWarning,
                stacklevel=2,
            )
        arguments = {**chosen, **overrides}
        if "batch_size" in chosen and "batch_size" not in overrides:
            # A minibatch is never larger than the rollout.
            arguments["batch_size"] = min(arguments["batch_size"], arguments["n_steps"] * envs.n_envs)
        return cls("TreePolicy", envs, **arguments)  # type: ignore[call-arg]

    def _configure(self, arguments: dict[str, Any]) -> None:
        given = dict(arguments)
        self.policy_class = _policy_class(given.pop("policy"))
        self.device = _options.device(given.pop("device"))
        if given.pop("use_sde", False):
            raise NotImplementedError(
                "use_sde: expected False, got True: generalized State-Dependent Exploration (gSDE) draws its noise "
                "from the last layer of a network, and trees have none; noise_correlation=0.9 makes noise last"
            )
        for name, default in _FIXED:
            value = given.pop(name, default)
            if value != default:
                raise NotImplementedError(f"{name}: expected {default}, got {value!r}: rollouts are kept in Rust")
        self.use_sde = False
        for name in (*_ARGUMENTS, *_SETTINGS, *self.OWN_SETTINGS, *self.IGNORED):
            value = given.pop(name)
            if name == "stats_window_size" or name in _options.whole_numbers():
                value = None if name == "seed" and value is None else _options.whole(name, value)
            elif name in _CLIP_RANGES:
                value = _options.schedule(value)
            setattr(self, name, value)
        self.policy_kwargs = _options.split_policy_kwargs(given.pop("policy_kwargs"))
        self.settings = given
        passed = {"vf_coef", "policy_lr", "value_lr", *_SETTINGS, *self.OWN_SETTINGS}
        known = _options.of_models(self.ALGORITHM) - passed - {"seed"}
        own = frozenset(inspect.signature(type(self).__init__).parameters)
        _options.check_names(self.settings, known, f"{type(self).__name__}.__init__()", also=own - _LOCALS)
        _options.check_names(self.policy_kwargs, known | {"policy_lr", "value_lr"}, "policy_kwargs")

    def _arguments(self) -> dict[str, Any]:
        names = (*_ARGUMENTS, *_SETTINGS, *self.OWN_SETTINGS, *self.IGNORED, "policy_kwargs")
        return {"policy": "TreePolicy", **{name: getattr(self, name) for name in names}, **self.settings}

    def _settings(self, progress_remaining: float) -> dict[str, str]:
        at = _options.at
        values = {
            **{name: at(getattr(self, name), progress_remaining) for name in (*_SETTINGS, *self.OWN_SETTINGS)},
            **{
                name: _options.clip_at(getattr(self, name), progress_remaining)
                for name in _CLIP_RANGES
                if name in self.OWN_SETTINGS
            },
            # SB3 weighs (V − R)², the learner ½(V − R)².
            "vf_coef": 2.0 * self.vf_coef,
            "norm_reward": NORM_REWARD,
            "log_std_init": LOG_STD_INIT,
            **self._rates(progress_remaining),
            **{name: at(value, progress_remaining) for name, value in {**self.policy_kwargs, **self.settings}.items()},
        }
        return {name: _options.as_text(name, value) for name, value in values.items()}

    def _rates(self, progress_remaining: float) -> dict[str, Any]:
        factor = self._learning_rate(progress_remaining) / self.SB3_LEARNING_RATE * self._rate_factor()
        is_box = isinstance(self.action_space, spaces.Box)
        policy_lr, value_lr = (self.POLICY_LR_BOX if is_box else self.POLICY_LR) * factor, self.VALUE_LR * factor
        return {
            "policy_lr": policy_lr if self.policy_lr is None else _options.at(self.policy_lr, progress_remaining),
            "value_lr": value_lr if self.value_lr is None else _options.at(self.value_lr, progress_remaining),
        }

    def _learning_rate(self, progress_remaining: float) -> float:
        rate = _options.at(self.learning_rate, progress_remaining)
        if isinstance(rate, str):
            return _gbrl.schedule_at("learning_rate", rate, min(max(1.0 - progress_remaining, 0.0), 1.0))
        is_number = isinstance(rate, (int, float, np.integer, np.floating)) and not isinstance(rate, bool)
        if not is_number or not 0.0 <= rate < np.inf:
            raise ValueError(
                'learning_rate: expected a number of at least 0, a text such as "lin_3e-4", or a function of the remaining '
                f"progress (1 to 0), got {rate!r}"
            )
        return float(rate)

    def _uses_learning_rate(self) -> bool:
        given = {"policy_lr": self.policy_lr, "value_lr": self.value_lr, **self.policy_kwargs}
        return given["policy_lr"] is None or given["value_lr"] is None

    def _rate_factor(self) -> float:
        """What the trees' rates are multiplied by, where they are not given."""
        return 1.0

    def _check_arguments(self) -> None:
        """Nothing to check together, unless an algorithm says so."""


# Names in a constructor that are no arguments of the algorithm.
_LOCALS = frozenset("self env settings _init_setup_model __class__".split())


def _policy_class(policy: Any) -> type[TreePolicy]:
    if isinstance(policy, type) and issubclass(policy, TreePolicy):
        return policy
    if policy in POLICIES:
        return TreePolicy
    raise ValueError(f"Policy {policy} unknown; expected one of {', '.join(POLICIES)}")
