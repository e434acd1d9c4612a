"""The policy of a model as Stable-Baselines3's callbacks and scripts look at it.

Everything is numpy: trees have no gradient that torch could follow. ``obs_to_tensor`` therefore gives an array, and
methods take torch tensors too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gbrl_rs import _gbrl
from gbrl_rs._arrays import as_flags, as_float32
from gbrl_rs._spaces import FlatSpace


class Categorical:
    """Choices `[n, k]`: ``logits`` as the trees give them, -inf where a mask forbids, and ``probs``."""

    def __init__(self, logits: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> None:
        self.logits = logits if allowed is None else np.where(allowed, logits, -np.inf)
        weights = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        self.probs = weights / weights.sum(axis=1, keepdims=True)


class Bernoulli:
    """Bits `[n, k]`: ``logits``, and ``probs`` of being 1; `allowed` is `[n, k, 2]`, 0 first."""

    def __init__(self, logits: NDArray[np.float64], allowed: NDArray[np.bool_] | None) -> None:
        self.logits = logits
        self.probs = 0.5 * (1.0 + np.tanh(0.5 * logits))
        if allowed is not None:
            self.probs = np.where(allowed.all(axis=2), self.probs, allowed[..., 1])


class Normal:
    """Numbers `[n, k]`: ``mean`` and ``stddev``, before bounds are kept."""

    def __init__(self, mean: NDArray[np.float64], stddev: NDArray[np.float64]) -> None:
        self.mean = self.loc = mean
        self.stddev = self.scale = stddev


class TreeDistribution:
    """The distribution of actions for a batch of observations.

    Attributes:
        parameters: float64 `[n, n_params]`: logits of discrete parts side by side, or means and then log standard
            deviations.
    """

    def __init__(
        self,
        agent: _gbrl.Agent,
        observations: NDArray[np.float32],
        masks: NDArray[np.bool_] | None,
        space: spaces.Space[Any],
    ) -> None:
        self._agent, self._observations, self._masks = agent, observations, masks
        self.parameters = agent.distribution(observations)
        self._space = space

    @property
    def distribution(self) -> Any:
        """The numbers of the distribution under torch's names, float64: ``probs`` and ``logits`` `[n, choices]` of
        discrete actions (a list of them, one per part, of MultiDiscrete ones; ``probs`` `[n, parts]` of being 1 of binary
        ones), ``mean`` and ``stddev`` `[n, parts]` of continuous ones. Choices that masks forbid have probability 0.
        """
        if isinstance(self._space, spaces.Box):
            means, log_stds = np.split(self.parameters, 2, axis=1)
            return Normal(means, np.exp(log_stds))
        if isinstance(self._space, spaces.MultiBinary):
            masks = None if self._masks is None else self._masks.reshape(len(self.parameters), -1, 2)
            return Bernoulli(self.parameters, masks)
        sizes: Any = getattr(self._space, "nvec", [self.parameters.shape[1]])
        ends = np.cumsum(np.ravel(sizes))[:-1]
        logits = np.split(self.parameters, ends, axis=1)
        allowed = [None] * len(logits) if self._masks is None else np.split(self._masks, ends, axis=1)
        parts = [Categorical(*pair) for pair in zip(logits, allowed, strict=True)]
        return parts[0] if isinstance(self._space, spaces.Discrete) else parts

    def mode(self) -> NDArray[np.float32]:
        """The likeliest actions, float32 `[n, action columns]`, as environments get them."""
        return self._agent.act(self._observations, self._masks, True)

    def sample(self) -> NDArray[np.float32]:
        """Drawn actions, float32 `[n, action columns]`, as environments get them."""
        return self._agent.act(self._observations, self._masks, False)

    def log_prob(self, actions: Any) -> NDArray[np.float64]:
        """ln π of actions as a rollout keeps them, float64 `[n]`."""
        return self._evaluate(actions)[1]

    def entropy(self) -> NDArray[np.float64]:
        """−E ln π, in nats, float64 `[n]`."""
        return self._evaluate(self.mode())[2]

    def _evaluate(self, actions: Any) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        rows = as_float32(actions, "actions").reshape(len(self._observations), -1)
        return self._agent.evaluate_actions(self._observations, rows, self._masks)


class TreePolicy:
    """A policy of trees as it is now; it changes as its model learns, and nothing here changes it.

    Observations may be single values of the space or batches; see :meth:`gbrl_rs.PPO.predict`.
    """

    def __init__(self, agent: _gbrl.Agent, flat_observations: FlatSpace, flat_actions: FlatSpace) -> None:
        self._agent = agent
        self._flat_observations = flat_observations
        self._flat_actions = flat_actions
        self.observation_space = flat_observations.space
        self.action_space = flat_actions.space
        self.device = "cpu"
        self._n_choices = _n_choices(self.action_space)

    def __repr__(self) -> str:
        from gbrl_rs.plot import short_space

        spaces_of = f"{short_space(self.observation_space)} -> {short_space(self.action_space)}"
        return f"{type(self).__name__}({spaces_of}, {self._agent.n_trees:,} trees)"

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        """As :meth:`gbrl_rs.PPO.predict`."""
        is_pair = isinstance(observation, tuple) and len(observation) == 2 and isinstance(observation[1], dict)
        if is_pair and not _is_pair_with_dict(self.observation_space):
            raise ValueError(
                "You have passed a tuple to the predict() function instead of a Numpy array or a Dict. You are "
                "probably mixing Gym API with SB3 VecEnv API: `obs, info = env.reset()` (Gym) vs "
                "`obs = vec_env.reset()` (SB3 VecEnv)."
            )
        rows, is_batch = self._flat_observations.one_or_many(observation)
        masks = None if action_masks is None else self._masks(action_masks, len(rows))
        actions = self._flat_actions.values(self._agent.act(rows, masks, deterministic))
        return (actions if is_batch else self._flat_actions.first(actions)), state

    def predict_values(self, obs: Any) -> NDArray[np.float32]:
        """Values of observations, float32 `[n, 1]` as SB3 has it, on the scale that was learnt (see `norm_reward`)."""
        return self._agent.values(self._rows(obs)).reshape(-1, 1)

    def evaluate_actions(
        self, obs: Any, actions: Any, action_masks: Any = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
        """Values float32 `[n, 1]`, ln π(action) float64 `[n]` and entropies float64 `[n]`.

        Args:
            obs: observations, `[n, ...]`.
            actions: as ``rollout_buffer.actions`` holds them: raw numbers of a Box, indices of discrete parts.
            action_masks: bool `[n, choices]`.
        """
        rows = self._rows(obs)
        masks = None if action_masks is None else self._masks(action_masks, len(rows))
        kept = as_float32(actions, "actions").reshape(len(rows), -1)
        values, log_probs, entropies = self._agent.evaluate_actions(rows, kept, masks)
        return values.reshape(-1, 1), log_probs, entropies

    def get_distribution(self, obs: Any, action_masks: Any = None) -> TreeDistribution:
        """The distribution of actions for observations."""
        rows = self._rows(obs)
        return TreeDistribution(
            self._agent,
            rows,
            None if action_masks is None else self._masks(action_masks, len(rows)),
            self.action_space,
        )

    def obs_to_tensor(self, observation: Any) -> tuple[Any, bool]:
        """The observation as a batch, and whether it was one: numpy, not torch, and with strings already encoded.

        What comes out goes into the other methods.
        """
        rows, is_batch = self._flat_observations.one_or_many(observation)
        return FlatRows(rows), is_batch

    def set_training_mode(self, mode: bool) -> None:
        """For SB3's sake: trees are the same in both modes."""

    def _rows(self, obs: Any) -> NDArray[np.float32]:
        if isinstance(obs, FlatRows):
            return np.asarray(obs)
        if hasattr(obs, "detach"):
            obs = as_float32(obs, "observations")
        return self._flat_observations.one_or_many(obs)[0]

    def _masks(self, action_masks: Any, n: int) -> NDArray[np.bool_]:
        masks = np.asarray(action_masks)
        return as_flags(
            masks.reshape(n, -1) if masks.size == n * self._n_choices else masks, (n, self._n_choices), "action_masks"
        )


class FlatRows(np.ndarray[Any, np.dtype[np.float32]]):
    """Observations as rows of the policy already."""

    def __new__(cls, rows: NDArray[np.float32]) -> FlatRows:
        return rows.view(cls)


def _is_pair_with_dict(space: Any) -> bool:
    """Whether (array, dictionary) is an observation and not what Gymnasium's reset() gives."""
    return isinstance(space, spaces.Tuple) and len(space.spaces) == 2 and isinstance(space.spaces[1], spaces.Dict)


def _n_choices(space: Any) -> int:
    nvec = getattr(space, "nvec", None)
    if nvec is not None:
        return int(nvec.sum())
    if type(space).__name__ == "MultiBinary":
        return 2 * int(np.prod(space.shape))
    return int(getattr(space, "n", 0))
