"""Running normalisation of observations and rewards, as Stable-Baselines3's VecNormalize does it.

Trees need no normalised observations; this is for scripts that use it and for comparisons. The settings `norm_obs` and
`norm_reward` do the same inside the learner, and quicker.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gbrl_rs import _gbrl
from gbrl_rs._envs import Info, adapt, is_sb3_vec_env
from gbrl_rs._model_env import ModelVecEnv
from gbrl_rs._options import suggests


class RunningMeanStd:
    """Mean and variance of everything seen so far, by Chan's parallel formula.

    Args:
        shape: of one value.
        epsilon: weight of the mean 0 and variance 1 that it starts from.
    """

    def __init__(self, shape: tuple[int, ...] = (), epsilon: float = 1e-4) -> None:
        self.mean = np.zeros(shape)
        self.var = np.ones(shape)
        self.count = epsilon

    def update(self, batch: NDArray[Any]) -> None:
        """Takes in a batch, `[n, *shape]`."""
        n, mean, var = len(batch), batch.mean(axis=0, dtype=np.float64), batch.var(axis=0, dtype=np.float64)
        total = self.count + n
        delta = mean - self.mean
        squares = self.var * self.count + var * n + delta**2 * self.count * n / total
        self.mean = self.mean + delta * n / total
        self.var, self.count = squares / total, total


class VecNormalize:
    """Environments whose observations and rewards are standardised by what was seen so far.

    Speaks the language of SB3's VecEnv: ``reset()`` gives observations, ``step(actions)`` gives observations, rewards,
    dones and infos.

    Args:
        venv: anything that :class:`gbrl_rs.PPO` takes as its environment; observations are a Box or a Dict of them.
        training: whether the statistics still move.
        norm_obs, norm_reward: what is standardised; rewards are divided by the spread of their discounted sum.
        clip_obs, clip_reward: largest sizes afterwards.
        gamma: discount of that sum.
        epsilon: added to variances.
        norm_obs_keys: which parts of a Dict; all if None.

    Raises:
        ValueError: for observations that are no numbers.

    Example:
        >>> env = VecNormalize(make_vec_env("Pendulum-v1", 4))
        >>> model = PPO("MlpPolicy", env).learn(100_000)
        >>> env.save("statistics.json")
    """

    @suggests
    def __init__(
        self,
        venv: Any,
        training: bool = True,
        norm_obs: bool = True,
        norm_reward: bool = True,
        clip_obs: float = 10.0,
        clip_reward: float = 10.0,
        gamma: float = 0.99,
        epsilon: float = 1e-8,
        norm_obs_keys: list[str] | None = None,
    ) -> None:
        self.venv: Any = _spoken(venv)
        self.num_envs: int = self.venv.num_envs
        self.action_space = self.venv.action_space
        self.training, self.norm_obs, self.norm_reward = training, norm_obs, norm_reward
        self.clip_obs, self.clip_reward, self.gamma, self.epsilon = clip_obs, clip_reward, gamma, epsilon
        self.norm_obs_keys = norm_obs_keys
        space = self.venv.observation_space
        self._is_dict = isinstance(space, spaces.Dict)
        self.obs_rms: Any = None
        if norm_obs:
            self.obs_rms = self._statistics_of(space)
        self.observation_space = self._normalized_space(space) if norm_obs else space
        self.ret_rms = RunningMeanStd()
        self.returns = np.zeros(self.num_envs)
        self.old_reward = np.zeros(self.num_envs, dtype=np.float32)
        self._old_obs: Any = None

    def __repr__(self) -> str:
        flags = ", ".join(f"{name}={getattr(self, name)}" for name in ("training", "norm_obs", "norm_reward"))
        return f"VecNormalize({self.venv!r}, {flags})"

    def set_venv(self, venv: Any) -> None:
        """Stands around other environments from now on, with the same statistics.

        Raises:
            ValueError: for environments of other spaces.
        """
        venv = _spoken(venv)
        got, own = (venv.observation_space, venv.action_space), (self.venv.observation_space, self.action_space)
        if got != own:
            raise ValueError(f"VecNormalize: expected environments of the spaces {own}, got {got}")
        self.venv, self.num_envs = venv, venv.num_envs
        self.returns = np.zeros(self.num_envs)
        self._old_obs = None

    def reset(self) -> Any:
        """Starts new episodes."""
        self._old_obs = self.venv.reset()
        self.returns[:] = 0.0
        self._learn(self._old_obs)
        return self.normalize_obs(self._old_obs)

    def step_async(self, actions: Any) -> None:
        """Takes the actions of the next :meth:`step_wait`."""
        self.venv.step_async(actions)

    def step_wait(self) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[Info]]:
        """Standardised observations and rewards, dones and infos."""
        observations, rewards, dones, infos = self.venv.step_wait()
        self._old_obs, self.old_reward = observations, rewards
        self._learn(observations)
        if self.training:
            self.returns = self.returns * self.gamma + rewards
            self.ret_rms.update(self.returns)
        normalized = self.normalize_reward(rewards)
        for i in np.flatnonzero(dones).tolist():
            if "terminal_observation" in infos[i]:
                # The last observation stands in an info that others may hold: it is replaced, not written to.
                infos[i] = {**infos[i], "terminal_observation": self.normalize_obs(infos[i]["terminal_observation"])}
        self.returns[dones] = 0.0
        return self.normalize_obs(observations), normalized, dones, infos

    def step(self, actions: Any) -> tuple[Any, NDArray[np.float32], NDArray[np.bool_], list[Info]]:
        """:meth:`step_async` and :meth:`step_wait` in one."""
        self.step_async(actions)
        return self.step_wait()

    def normalize_obs(self, obs: Any) -> Any:
        """Observations, alone or a batch, standardised; the statistics stay."""
        if self.obs_rms is None or not self.norm_obs:
            return obs
        if not self._is_dict:
            return self._standardized(obs, self.obs_rms)
        return {
            key: self._standardized(part, self.obs_rms[key]) if key in self.obs_rms else part
            for key, part in obs.items()
        }

    def unnormalize_obs(self, obs: Any) -> Any:
        """The inverse of :meth:`normalize_obs`, but for what was clipped."""
        if self.obs_rms is None or not self.norm_obs:
            return obs
        if not self._is_dict:
            return self._original(obs, self.obs_rms)
        return {
            key: self._original(part, self.obs_rms[key]) if key in self.obs_rms else part for key, part in obs.items()
        }

    def normalize_reward(self, reward: NDArray[Any]) -> NDArray[np.float32]:
        """Rewards, scaled; the statistics stay."""
        if not self.norm_reward:
            return np.asarray(reward, dtype=np.float32)
        scaled = reward / np.sqrt(self.ret_rms.var + self.epsilon)
        return np.clip(scaled, -self.clip_reward, self.clip_reward).astype(np.float32)

    def unnormalize_reward(self, reward: NDArray[Any]) -> NDArray[Any]:
        """The inverse of :meth:`normalize_reward`, but for what was clipped."""
        if not self.norm_reward:
            return reward
        return np.asarray(reward * np.sqrt(self.ret_rms.var + self.epsilon))

    def get_original_obs(self) -> Any:
        """The last observations as they came."""
        return self._old_obs

    def get_original_reward(self) -> NDArray[Any]:
        """The last rewards as they came."""
        return self.old_reward

    def save(self, save_path: str | Path) -> None:
        """Writes the arguments and the statistics, as JSON."""
        names = "training norm_obs norm_reward clip_obs clip_reward gamma epsilon norm_obs_keys".split()
        rms = self.obs_rms if self._is_dict or self.obs_rms is None else {"": self.obs_rms}
        state = {
            "arguments": {name: getattr(self, name) for name in names},
            "observations": rms and {key: _packed(part) for key, part in rms.items()},
            "returns": _packed(self.ret_rms),
        }
        _gbrl.write_file(save_path, json.dumps(state).encode())

    @staticmethod
    def load(load_path: str | Path, venv: Any) -> VecNormalize:
        """What :meth:`save` wrote, around other environments.

        Raises:
            FileNotFoundError: when there is none.
            ValueError: for another file, and for observations of another shape.
        """
        try:
            state = json.loads(Path(load_path).read_text())
            env = VecNormalize(venv, **state["arguments"])
            rms = env.obs_rms if env._is_dict or env.obs_rms is None else {"": env.obs_rms}
            for key, packed in (state["observations"] or {}).items():
                _unpack(packed, rms[key])
            _unpack(state["returns"], env.ret_rms)
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{load_path}: expected what VecNormalize.save() wrote for such observations") from error
        return env

    def __getattr__(self, name: str) -> Any:
        # Only what is not found here: seed, render, close, get_attr, env_method, ...
        if name.startswith("__") or name == "venv":
            raise AttributeError(name)
        return getattr(self.venv, name)

    @property
    def unwrapped(self) -> Any:
        """The environments without wrappers."""
        return self.venv.unwrapped

    @property
    def gbrl_envs(self) -> None:
        """None: the environments inside are not to be stepped past this wrapper."""
        return None

    def _learn(self, observations: Any) -> None:
        if not self.training or self.obs_rms is None or not self.norm_obs:
            return
        if self._is_dict:
            for key, rms in self.obs_rms.items():
                rms.update(observations[key])
        else:
            self.obs_rms.update(observations)

    def _standardized(self, values: Any, rms: RunningMeanStd) -> NDArray[np.float32]:
        scaled = (values - rms.mean) / np.sqrt(rms.var + self.epsilon)
        return np.asarray(np.clip(scaled, -self.clip_obs, self.clip_obs), dtype=np.float32)

    def _original(self, values: Any, rms: RunningMeanStd) -> NDArray[Any]:
        return np.asarray(values * np.sqrt(rms.var + self.epsilon) + rms.mean)

    def _statistics_of(self, space: Any) -> Any:
        parts = space.spaces if self._is_dict else {"observation": space}
        keys = self.norm_obs_keys if self.norm_obs_keys is not None else list(parts)
        for key in keys:
            if not isinstance(parts.get(key), spaces.Box):
                raise ValueError(f"VecNormalize: expected Box observations to standardise, got {key}: {parts.get(key)}")
        rms = {key: RunningMeanStd(parts[key].shape) for key in keys}
        return rms if self._is_dict else rms["observation"]

    def _normalized_space(self, space: Any) -> spaces.Space[Any]:
        def box(part: Any) -> spaces.Box:
            return spaces.Box(-self.clip_obs, self.clip_obs, part.shape, dtype=np.float32)

        if not self._is_dict:
            return box(space)
        return spaces.Dict({key: box(part) if key in self.obs_rms else part for key, part in space.spaces.items()})


def _spoken(venv: Any) -> Any:
    """Environments in SB3's language."""
    return venv if is_sb3_vec_env(venv) else ModelVecEnv(adapt(venv))


def _packed(rms: RunningMeanStd) -> dict[str, Any]:
    return {"mean": rms.mean.tolist(), "var": np.asarray(rms.var).tolist(), "count": rms.count}


def _unpack(packed: dict[str, Any], rms: RunningMeanStd) -> None:
    mean, var = np.array(packed["mean"]), np.array(packed["var"])
    if mean.shape != rms.mean.shape:
        raise ValueError(f"VecNormalize: expected statistics of shape {rms.mean.shape}, got {mean.shape}")
    rms.mean, rms.var, rms.count = mean, var, packed["count"]
