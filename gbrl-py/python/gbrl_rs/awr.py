"""Advantage-weighted regression (Peng et al. 2019) with trees, in the manner of Stable-Baselines3."""

from __future__ import annotations

from typing import Any, ClassVar

from gbrl_rs._algorithm import AlgorithmModel
from gbrl_rs._options import Schedule
from gbrl_rs.policies import TreePolicy

LEARNING_RATE = 3e-4


class AWR(AlgorithmModel):
    """A policy and a value function of gradient-boosted trees, learnt by AWR from a replay of the last rollouts.

    Stable-Baselines3 has no AWR; arguments and methods are those of its other algorithms. After each rollout the value
    is fitted to TD(λ) targets of the whole replay, then the policy imitates the replay's actions, each with the weight
    exp(advantage / beta): ``value_updates`` and ``policy_updates`` trees.

    Args:
        policy: "MlpPolicy", "MultiInputPolicy" or "TreePolicy": all mean trees, whatever the observations.
        env: an id, a gymnasium.Env, a gymnasium.vector.VectorEnv, an SB3 VecEnv, or :func:`gbrl_rs.make_vec`.
        learning_rate: as SB3's: 3e-4 means the rates ``policy_lr`` 0.05 (0.002 where actions are a Box) and ``value_lr``
            0.1 of the trees; twice that means twice those; a function of the remaining progress (1 to 0), or a text such as
            "lin_3e-4", schedules them.
        n_steps: steps per environment between updates.
        buffer_size: steps, over all environments, that the replay holds; the oldest rollouts are dropped.
        value_updates, value_batch_size: trees of the value after each rollout, and rows drawn for each.
        policy_updates, policy_batch_size: the same of the policy.
        gamma: discount per step.
        gae_lambda: weight of longer returns in targets and advantages.
        beta: temperature of the weights: small copies only the best actions.
        max_weight: largest weight of a row.
        weight_baseline: share of the weights' mean that is subtracted from each, in [0, 1], where actions are discrete; 0 is
            AWR as published.
        normalize_advantage: standardise advantages over the replay.
        ent_coef: weight of the entropy.
        vf_coef: weight of the value loss (V − R)², as SB3 counts it (docs/parameters.md counts ½(V − R)²).
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
        NotImplementedError: for spaces that have no columns.

    Example:
        >>> model = AWR("MlpPolicy", gbrl_rs.make_vec("CartPole-v1", 8), n_steps=256, seed=0).learn(300_000)
        >>> action, _ = model.predict(observation, deterministic=True)
    """

    ALGORITHM: ClassVar[str] = "awr"
    OWN_SETTINGS: ClassVar[tuple[str, ...]] = (
        "buffer_size",
        "value_updates",
        "value_batch_size",
        "policy_updates",
        "policy_batch_size",
        "beta",
        "max_weight",
        "weight_baseline",
    )

    SB3_LEARNING_RATE: ClassVar[float] = LEARNING_RATE
    POLICY_LR: ClassVar[float] = 0.05
    POLICY_LR_BOX: ClassVar[float] = 0.002
    VALUE_LR: ClassVar[float] = 0.1

    buffer_size: int
    value_updates: int
    value_batch_size: int
    policy_updates: int
    policy_batch_size: int
    beta: float
    max_weight: float
    weight_baseline: float

    def __init__(
        self,
        policy: str | type[TreePolicy],
        env: Any,
        learning_rate: Schedule = LEARNING_RATE,
        n_steps: int = 2048,
        buffer_size: int = 50_000,
        value_updates: int = 50,
        value_batch_size: int = 1024,
        policy_updates: int = 100,
        policy_batch_size: int = 1024,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        beta: float = 1.0,
        max_weight: float = 20.0,
        weight_baseline: float = 0.5,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
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
        return self.value_updates + self.policy_updates
