"""Proximal policy optimisation (Schulman et al. 2017) with trees, behind Stable-Baselines3's constructor."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar, TypeVar

from gymnasium import spaces

from gbrl_rs import _gbrl, _options
from gbrl_rs._envs import adapt
from gbrl_rs._on_policy import OnPolicyModel
from gbrl_rs._options import Schedule
from gbrl_rs.policies import TreePolicy

Self = TypeVar("Self", bound="PPO")

# SB3's own default, which stands for these rates of the trees; see `learning_rate`. They are lower than the defaults of
# docs/parameters.md, which belong to minibatches of 512: SB3's 64 mean eight times as many trees per pass. Chosen on
# CartPole, Acrobot and Pendulum; a value_lr of 0.1 fails on all three. A Gaussian's mean takes smaller steps: its
# gradient grows as its standard deviation shrinks.
SB3_LEARNING_RATE = 3e-4
POLICY_LR = 0.02
POLICY_LR_BOX = 0.01
VALUE_LR = 0.02

# SB3's own start of a Gaussian's log standard deviation.
LOG_STD_INIT = 0.0
POLICIES = ("MlpPolicy", "MultiInputPolicy", "TreePolicy")


class PPO(OnPolicyModel):
    """A policy and a value function of gradient-boosted trees, learnt by PPO.

    Takes the place of ``stable_baselines3.PPO``: the same arguments with the same defaults, except where a network is
    meant. Every minibatch adds one tree; trees need no normalised observations, take categories and missing values as
    they are, and grow more exact with each step.

    Args:
        policy: "MlpPolicy", "MultiInputPolicy" or "TreePolicy": all mean trees, whatever the observations.
        env: an id, a gymnasium.Env, a gymnasium.vector.VectorEnv, an SB3 VecEnv, or :func:`gbrl_rs.make_vec`.
        learning_rate: SB3's knob: 3e-4 means the rates ``policy_lr`` 0.02 (0.01 where actions are a Box) and
            ``value_lr`` 0.02 of the trees, which suit SB3's other defaults; twice that means twice those; a function of
            the remaining progress (1 to 0) schedules them.
        n_steps: steps per environment between updates.
        batch_size: rows per minibatch, and so per tree.
        n_epochs: passes over each rollout.
        gamma: discount per step.
        gae_lambda: weight of longer returns in the advantages.
        clip_range: how far the probability ratio may leave 1; a number or a schedule.
        clip_range_vf: how far a value may leave its old one; None for no limit. Depends on the rewards' scale.
        normalize_advantage: standardise advantages within a minibatch.
        ent_coef: weight of the entropy.
        vf_coef: weight of the value loss (V − R)², as SB3 counts it (docs/parameters.md counts ½(V − R)²).
        max_grad_norm: accepted and ignored: a norm of network parameters. Rows of gradients are clipped by the settings
            ``max_policy_grad_norm`` and ``max_value_grad_norm``.
        use_sde: must be False: state-dependent exploration draws noise from a network's last layer.
        sde_sample_freq, rollout_buffer_class, rollout_buffer_kwargs: for SB3's sake; must be the defaults.
        target_kl: ends a rollout's updates beyond 1.5 times this divergence, in nats; None for no limit.
        stats_window_size: episodes over which the log's means are taken.
        tensorboard_log: folder for TensorBoard; None for none.
        policy_kwargs: settings of the trees, as the keywords below; what only networks have is ignored with a warning.
        verbose: 1 prints a table at each log.
        seed: root of all random numbers; None draws one. A seed fixes the run to the byte, on any number of threads.
        device: "cpu": the processor; "cuda" or "cuda:N": an NVIDIA GPU grows the trees, the same ones to the bit; "auto": the
            processor, and a GPU only for steps and predictions so large that it is sure to pay.
        policy_lr, value_lr: the trees' rates themselves, which then win over `learning_rate`: numbers, texts such as
            "lin_0.1", or functions of the remaining progress.
        **settings: every other setting of docs/parameters.md, with its default there except norm_reward (False) and
            log_std_init (0), as SB3 has it: max_depth, n_bins, grow_policy, split_score, edges,
            norm_obs, norm_reward, policy_optimizer, n_threads, ...

    Raises:
        TypeError: for an unknown keyword, naming the nearest one, and for an `env` that is none.
        ValueError: for an unknown policy, and for a setting out of range.
        AssertionError: for what SB3 asserts, in its words: batch_size, n_steps * n_envs, clip_range_vf, action spaces.
        NotImplementedError: for `use_sde`, and for spaces that have no columns.

    Example:
        >>> model = PPO("MlpPolicy", "CartPole-v1", seed=0).learn(100_000)
        >>> action, _ = model.predict(observation, deterministic=True)
    """

    ALGORITHM: ClassVar[str] = "ppo"

    policy_aliases: ClassVar[dict[str, type[TreePolicy]]] = dict.fromkeys(POLICIES, TreePolicy)

    def __init__(
        self,
        policy: str | type[TreePolicy],
        env: Any,
        learning_rate: Schedule = SB3_LEARNING_RATE,
        n_steps: int = 2048,
        batch_size: int = 64,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: Schedule = 0.2,
        clip_range_vf: Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        target_kl: float | None = None,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: str = "auto",
        _init_setup_model: bool = True,
        *,
        policy_lr: Schedule | None = None,
        value_lr: Schedule | None = None,
        **settings: Any,
    ) -> None:
        arguments = dict(locals())
        for name in ("self", "env", "settings", "_init_setup_model", "__class__"):
            arguments.pop(name, None)
        self._configure({**arguments, **settings})
        if max_grad_norm != 0.5:
            warnings.warn(
                f"max_grad_norm={max_grad_norm} is a norm of network parameters and has no meaning for trees; "
                "max_policy_grad_norm and max_value_grad_norm clip the gradients of rows",
                UserWarning,
                stacklevel=2,
            )
        self._start(env)

    @classmethod
    def from_preset(cls: type[Self], env: Any, name: str = "default", **overrides: Any) -> Self:
        """A model with the settings of a preset: "default" or "paper", see envs/presets.

        Args:
            env: as in the constructor. The preset is that of its registered name; others share a generic one.
            name: which preset.
            **overrides: constructor arguments and settings that win over the preset's.

        Raises:
            ValueError: for a preset that the environment does not have.

        Example:
            >>> PPO.from_preset(gbrl_rs.make_vec("CartPole-v1", 8), "paper", seed=1).learn(200_000)
        """
        envs = adapt(env)
        preset = {key: _options.as_value(text) for key, text in _gbrl.preset(envs.env_id, name).items()}
        arguments = {key: value for key, value in preset.items() if key not in _options.ELSEWHERE}
        if "vf_coef" in arguments:
            arguments["vf_coef"] /= 2.0
        return cls("TreePolicy", envs, **{**arguments, **overrides})

    def _configure(self, arguments: dict[str, Any]) -> None:
        given = dict(arguments)
        self.policy_class = _policy_class(given.pop("policy"))
        self.device = _options.device(given.pop("device"))
        if given.pop("use_sde"):
            raise NotImplementedError(
                "use_sde: expected False, got True: generalized State-Dependent Exploration (gSDE) draws its noise "
                "from the last layer of a network, and trees have none"
            )
        for name, default in (("sde_sample_freq", -1), ("rollout_buffer_class", None), ("rollout_buffer_kwargs", None)):
            value = given.pop(name, default)
            if value != default:
                raise NotImplementedError(f"{name}: expected {default}, got {value!r}: rollouts are kept in Rust")
        self.use_sde = False
        self.learning_rate = given.pop("learning_rate")
        self.n_steps = int(given.pop("n_steps"))
        self.batch_size = int(given.pop("batch_size"))
        self.n_epochs = int(given.pop("n_epochs"))
        self.gamma = given.pop("gamma")
        self.gae_lambda = given.pop("gae_lambda")
        self.clip_range = given.pop("clip_range")
        self.clip_range_vf = given.pop("clip_range_vf")
        self.normalize_advantage = given.pop("normalize_advantage")
        self.ent_coef = given.pop("ent_coef")
        self.vf_coef = given.pop("vf_coef")
        self.max_grad_norm = given.pop("max_grad_norm")
        self.target_kl = given.pop("target_kl")
        self.stats_window_size = int(given.pop("stats_window_size"))
        self.tensorboard_log = given.pop("tensorboard_log")
        self.policy_kwargs = _options.split_policy_kwargs(given.pop("policy_kwargs"))
        self.verbose = given.pop("verbose")
        self.seed = given.pop("seed")
        self.policy_lr = given.pop("policy_lr")
        self.value_lr = given.pop("value_lr")
        self.settings = given
        known = (_options.names("ppo") | _options.names("tree") | {"n_threads"}) - _OWN
        _options.check_names(self.settings, known, f"{type(self).__name__}.__init__()")
        _options.check_names(self.policy_kwargs, known | {"policy_lr", "value_lr"}, "policy_kwargs")

    def _arguments(self) -> dict[str, Any]:
        names = (
            "learning_rate n_steps batch_size n_epochs gamma gae_lambda clip_range clip_range_vf normalize_advantage "
            "ent_coef vf_coef max_grad_norm use_sde target_kl stats_window_size tensorboard_log policy_kwargs verbose "
            "seed policy_lr value_lr"
        ).split()
        return {"policy": "TreePolicy", **{name: getattr(self, name) for name in names}, **self.settings}

    def _settings(self, progress_remaining: float) -> dict[str, str]:
        at = _options.at
        values = {
            "n_steps": self.n_steps,
            "batch_size": self.batch_size,
            "n_epochs": self.n_epochs,
            "gamma": self.gamma,
            "gae_lambda": self.gae_lambda,
            "clip_range": at(self.clip_range, progress_remaining),
            "clip_range_vf": at(self.clip_range_vf, progress_remaining),
            "normalize_advantage": self.normalize_advantage,
            "ent_coef": self.ent_coef,
            # SB3 weighs (V − R)², the learner ½(V − R)².
            "vf_coef": 2.0 * self.vf_coef,
            "target_kl": self.target_kl,
            "norm_reward": NORM_REWARD,
            "log_std_init": LOG_STD_INIT,
            **self._rates(progress_remaining),
            **{name: at(value, progress_remaining) for name, value in {**self.policy_kwargs, **self.settings}.items()},
        }
        return {name: _options.as_text(name, value) for name, value in values.items()}

    def _rates(self, progress_remaining: float) -> dict[str, Any]:
        factor = _options.at(self.learning_rate, progress_remaining) / SB3_LEARNING_RATE
        is_box = isinstance(self.action_space, spaces.Box)
        policy_lr, value_lr = (POLICY_LR_BOX if is_box else POLICY_LR) * factor, VALUE_LR * factor
        return {
            "policy_lr": policy_lr if self.policy_lr is None else _options.at(self.policy_lr, progress_remaining),
            "value_lr": value_lr if self.value_lr is None else _options.at(self.value_lr, progress_remaining),
        }

    def _check_arguments(self) -> None:
        rows = self.n_steps * self.n_envs
        if self.normalize_advantage:
            assert self.batch_size > 1, "`batch_size` must be greater than 1, since advantages are normalized"
            assert rows > 1, (
                f"`n_steps * n_envs` must be greater than 1. Currently n_steps={self.n_steps} and n_envs={self.n_envs}"
            )
        if isinstance(self.clip_range_vf, (float, int)):
            assert self.clip_range_vf > 0, "`clip_range_vf` must be positive, pass `None` to deactivate vf clipping"
        rest = rows % self.batch_size
        if rest:
            warnings.warn(
                f"You have specified a mini-batch size of {self.batch_size}, but because the `RolloutBuffer` is of "
                f"size `n_steps * n_envs = {rows}`, after every {rows // self.batch_size} untruncated mini-batches, "
                f"there will be a truncated mini-batch of size {rest}\n"
                "We recommend using a `batch_size` that is a factor of `n_steps * n_envs`.\n"
                f"Info: (n_steps={self.n_steps} and n_envs={self.n_envs})",
                UserWarning,
                stacklevel=4,
            )


# Whether rewards are scaled by the running spread of the discounted return, unless the caller says.
NORM_REWARD = False

# Settings that are arguments of their own.
_OWN = frozenset(
    "n_steps batch_size n_epochs gamma gae_lambda clip_range clip_range_vf ent_coef vf_coef normalize_advantage "
    "target_kl policy_lr value_lr".split()
)


def _policy_class(policy: Any) -> type[TreePolicy]:
    if isinstance(policy, type) and issubclass(policy, TreePolicy):
        return policy
    if policy in POLICIES:
        return TreePolicy
    raise ValueError(f"Policy {policy} unknown; expected one of {', '.join(POLICIES)}")
