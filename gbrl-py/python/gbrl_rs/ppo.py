"""Proximal policy optimisation (Schulman et al. 2017) with trees, behind Stable-Baselines3's constructor."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

from gbrl_rs._algorithm import IGNORED_NORM, MAX_GRAD_NORM, AlgorithmModel
from gbrl_rs._options import Schedule
from gbrl_rs.policies import TreePolicy

SB3_LEARNING_RATE = 3e-4


class PPO(AlgorithmModel):
    """A policy and a value function of gradient-boosted trees, learnt by PPO.

    Takes the place of ``stable_baselines3.PPO``: the same arguments with the same defaults, except where a network is
    meant. Every minibatch adds one tree; trees need no normalised observations, take categories and missing values as
    they are, and grow more exact with each step.

    Args:
        policy: "MlpPolicy", "MultiInputPolicy" or "TreePolicy": all mean trees, whatever the observations.
        env: an id, a gymnasium.Env, a gymnasium.vector.VectorEnv, an SB3 VecEnv, or :func:`gbrl_rs.make_vec`.
        learning_rate: SB3's knob: 3e-4 means the rates ``policy_lr`` 0.02 (0.01 where actions are a Box) and
            ``value_lr`` 0.02 of the trees, which suit SB3's other defaults; twice that means twice those; a function of
            the remaining progress (1 to 0), or a text such as "lin_3e-4", schedules them.
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
        use_sde: must be False: state-dependent exploration draws noise from a network's last layer. `noise_correlation`
            makes noise last.
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
            norm_obs, norm_reward, noise_correlation, policy_optimizer, n_threads, ...

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
    OWN_SETTINGS: ClassVar[tuple[str, ...]] = ("batch_size", "n_epochs", "clip_range", "clip_range_vf", "target_kl")
    IGNORED: ClassVar[dict[str, tuple[Any, str]]] = {"max_grad_norm": IGNORED_NORM}

    # Lower than the defaults of docs/parameters.md, which belong to minibatches of 512: SB3's 64 mean eight times as many
    # trees per pass. tests/test_ppo.py holds that CartPole is solved by them. A Gaussian's mean takes smaller steps: its
    # gradient grows as its standard deviation shrinks.
    SB3_LEARNING_RATE: ClassVar[float] = SB3_LEARNING_RATE
    POLICY_LR: ClassVar[float] = 0.02
    POLICY_LR_BOX: ClassVar[float] = 0.01
    VALUE_LR: ClassVar[float] = 0.02

    batch_size: int
    n_epochs: int
    clip_range: Schedule
    clip_range_vf: Schedule | None
    target_kl: float | None

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
        max_grad_norm: float = MAX_GRAD_NORM,
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
        self._begin(env, locals(), settings)

    def _updates_per_rollout(self) -> int:
        return self.n_epochs

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
        if rest == rows:
            warnings.warn(
                f"You have specified a mini-batch size of {self.batch_size}, which is larger than the rollout, "
                f"`n_steps * n_envs = {rows}`: every mini-batch is the whole of it",
                UserWarning,
                stacklevel=5,
            )
        elif rest:
            warnings.warn(
                f"You have specified a mini-batch size of {self.batch_size}, but because the `RolloutBuffer` is of "
                f"size `n_steps * n_envs = {rows}`, after every {rows // self.batch_size} untruncated mini-batches, "
                f"there will be a truncated mini-batch of size {rest}\n"
                "We recommend using a `batch_size` that is a factor of `n_steps * n_envs`.\n"
                f"Info: (n_steps={self.n_steps} and n_envs={self.n_envs})",
                UserWarning,
                stacklevel=5,
            )
