"""How good a policy is: returns of whole episodes."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gbrl_rs._envs import Envs, Sb3Envs, adapt
from gbrl_rs._model_env import ModelVecEnv


def evaluate_policy(
    model: Any,
    env: Any,
    n_eval_episodes: int = 10,
    deterministic: bool = True,
    render: bool = False,
    callback: Callable[[dict[str, Any], dict[str, Any]], None] | None = None,
    reward_threshold: float | None = None,
    return_episode_rewards: bool = False,
    warn: bool = True,
    use_masking: bool = True,
) -> tuple[float, float] | tuple[list[float], list[int]]:
    """Plays episodes with a model and gives the mean and the standard deviation of their returns.

    Episodes are shared out evenly between the copies of a vector environment, so that quick ones do not count more
    often. Where the environment reports its episodes itself (Monitor, RecordEpisodeStatistics) those returns count.

    Args:
        model: anything with ``predict(observation, state, episode_start, deterministic)``, SB3's models included.
        env: an id, a gymnasium.Env, a VectorEnv or an SB3 VecEnv; it is reset first.
        n_eval_episodes: how many episodes.
        deterministic: take the likeliest actions.
        render: show the first copy after each step.
        callback: called with the local and global variables after each step of each copy; "i", "info", "done",
            "reward" and "n_episodes" are among the local ones.
        reward_threshold: the least mean return that is accepted.
        return_episode_rewards: give the return and the length of each episode instead.
        warn: warn where an environment has no monitor and wrappers might have changed its rewards.
        use_masking: hand the environment's action masks to the model, where there are some and it takes them.

    Returns:
        Mean and standard deviation; or the lists of returns and lengths.

    Raises:
        AssertionError: when the mean is below `reward_threshold`.
        ValueError: for no episodes.

    Example:
        >>> mean, std = evaluate_policy(model, "CartPole-v1", n_eval_episodes=20)
    """
    if n_eval_episodes < 1:
        raise ValueError(f"n_eval_episodes: expected at least 1, got {n_eval_episodes}")
    envs = adapt(env)
    if warn and isinstance(envs, Sb3Envs) and not _is_monitored(envs.env):
        warnings.warn(
            "Evaluation environment is not wrapped with a ``Monitor`` wrapper. This may result in reporting modified "
            "episode lengths and rewards, if other wrappers happen to modify these.",
            UserWarning,
            stacklevel=2,
        )
    returns, lengths = _play(model, envs, n_eval_episodes, deterministic, render, callback, use_masking)
    mean, std = float(np.mean(returns)), float(np.std(returns))
    if reward_threshold is not None:
        assert mean >= reward_threshold, f"Mean reward below threshold: {mean:.2f} < {reward_threshold:.2f}"
    return (returns, lengths) if return_episode_rewards else (mean, std)


def _play(
    model: Any,
    envs: Envs,
    n_episodes: int,
    deterministic: bool,
    render: bool,
    callback: Callable[[dict[str, Any], dict[str, Any]], None] | None,
    use_masking: bool,
) -> tuple[list[float], list[int]]:
    n = envs.n_envs
    targets = [(n_episodes + i) // n for i in range(n)]
    counts = [0] * n
    sums, steps = np.zeros(n), np.zeros(n, dtype=np.int64)
    returns: list[float] = []
    lengths: list[int] = []
    observations, state = envs.reset(None), None
    episode_starts = np.ones(n, dtype=np.bool_)
    takes_masks = use_masking and envs.has_masks and "action_masks" in inspect.signature(model.predict).parameters
    while any(count < target for count, target in zip(counts, targets, strict=True)):
        masks = {"action_masks": envs.masks()} if takes_masks else {}
        actions, state = model.predict(
            observations, state=state, episode_start=episode_starts, deterministic=deterministic, **masks
        )
        step = envs.step(actions)
        observations, rewards, infos = step.observations, step.rewards, step.infos()
        episode_starts = step.terminated | step.truncated
        sums += rewards
        steps += 1
        for i in range(n):
            done, info, reward = bool(episode_starts[i]), infos[i], float(rewards[i])
            if counts[i] < targets[i]:
                if callback is not None:
                    variables = {"n_episodes": len(returns), "actions": actions, "observations": observations}
                    callback({**variables, "i": i, "done": done, "info": info, "reward": reward, "model": model}, {})
                if done and not info.get("ignored"):
                    counts[i] += 1
                    reported = info.get("episode")
                    returns.append(float(sums[i]) if reported is None else float(np.asarray(reported["r"]).item()))
                    lengths.append(int(steps[i]) if reported is None else int(np.asarray(reported["l"]).item()))
            if done:
                sums[i], steps[i] = 0.0, 0
        if render:
            envs.render("human")
    return returns, lengths


def _is_monitored(env: Any) -> bool:
    """Whether what an episode got is known, whatever wrappers do: by a Monitor or SB3's VecMonitor, found by name."""
    if isinstance(env, ModelVecEnv):
        return True  # nothing is wrapped around it
    wrapper = env
    while wrapper is not None:
        if type(wrapper).__name__ == "VecMonitor":
            return True
        wrapper = getattr(wrapper, "__dict__", {}).get("venv")
    # Only monitors have this method.
    return bool(env.has_attr("get_episode_rewards"))
