"""Advantage actor-critic (Mnih et al. 2016) with trees, behind Stable-Baselines3's constructor."""

from __future__ import annotations

from typing import Any, ClassVar

from gbrl_rs._algorithm import IGNORED_NORM, MAX_GRAD_NORM, AlgorithmModel
from gbrl_rs._options import Schedule
from gbrl_rs.policies import TreePolicy

SB3_LEARNING_RATE = 7e-4
NO_RMS_PROP = "is about an optimizer of network parameters and has no meaning for trees; policy_optimizer may be adam"
# Rows of a rollout from which on the rates are those below: trees of fewer rows are more, and each knows less.
FULL_ROWS = 40


class A2C(AlgorithmModel):
    """A policy and a value function of gradient-boosted trees, learnt by A2C.

    Takes the place of ``stable_baselines3.A2C``: the same arguments with the same defaults, except where a network is
    meant. Every rollout adds one tree, fitted to all its rows: many copies of the environment make better trees.

    Args:
        policy: "MlpPolicy", "MultiInputPolicy" or "TreePolicy": all mean trees, whatever the observations.
        env: an id, a gymnasium.Env, a gymnasium.vector.VectorEnv, an SB3 VecEnv, or :func:`gbrl_rs.make_vec`.
        learning_rate: SB3's knob: 7e-4 means the rates ``policy_lr`` 0.03 (0.003 where actions are a Box) and
            ``value_lr`` 0.05 of the trees, in proportion less for rollouts of fewer than 40 rows; twice that means twice
            those; a function of the remaining progress (1 to 0), or a text such as "lin_3e-4", schedules them.
        n_steps: steps per environment between updates.
        gamma: discount per step.
        gae_lambda: weight of longer returns in the advantages; 1 is the plain one of A2C.
        ent_coef: weight of the entropy.
        vf_coef: weight of the value loss (V − R)², as SB3 counts it (docs/parameters.md counts ½(V − R)²).
        max_grad_norm: accepted and ignored: a norm of network parameters. Rows of gradients are clipped by the settings
            ``max_policy_grad_norm`` and ``max_value_grad_norm``.
        rms_prop_eps, use_rms_prop: accepted and ignored: an optimizer of network parameters.
        use_sde: must be False: state-dependent exploration draws noise from a network's last layer. `noise_correlation`
            makes noise last.
        sde_sample_freq, rollout_buffer_class, rollout_buffer_kwargs: for SB3's sake; must be the defaults.
        normalize_advantage: standardise advantages within the rollout.
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
        NotImplementedError: for `use_sde`, and for spaces that have no columns.

    Example:
        >>> model = A2C("MlpPolicy", gbrl_rs.make_vec("CartPole-v1", 16), seed=0).learn(300_000)
        >>> action, _ = model.predict(observation, deterministic=True)
    """

    ALGORITHM: ClassVar[str] = "a2c"
    IGNORED: ClassVar[dict[str, tuple[Any, str]]] = {
        "max_grad_norm": IGNORED_NORM,
        "rms_prop_eps": (1e-5, NO_RMS_PROP),
        "use_rms_prop": (True, NO_RMS_PROP),
    }

    SB3_LEARNING_RATE: ClassVar[float] = SB3_LEARNING_RATE
    POLICY_LR: ClassVar[float] = 0.03
    POLICY_LR_BOX: ClassVar[float] = 0.003
    VALUE_LR: ClassVar[float] = 0.05

    def __init__(
        self,
        policy: str | type[TreePolicy],
        env: Any,
        learning_rate: Schedule = SB3_LEARNING_RATE,
        n_steps: int = 5,
        gamma: float = 0.99,
        gae_lambda: float = 1.0,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = MAX_GRAD_NORM,
        rms_prop_eps: float = 1e-5,
        use_rms_prop: bool = True,
        use_sde: bool = False,
        sde_sample_freq: int = -1,
        rollout_buffer_class: None = None,
        rollout_buffer_kwargs: dict[str, Any] | None = None,
        normalize_advantage: bool = False,
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

    def _rate_factor(self) -> float:
        return min(1.0, self.n_steps * self.n_envs / FULL_ROWS)
