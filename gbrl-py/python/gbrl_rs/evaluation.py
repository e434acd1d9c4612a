"""How good a policy is: returns of whole episodes."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from gbrl_rs._envs import Envs, Sb3Envs, adapt
from gbrl_rs._options import suggests


@suggests
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
    often. Where the environment reports its episodes itself (Monitor, RecordEpisodeStatistics) those count, and an end
    that it does not report (of a life, in Atari's wrappers) is none.

    Args:
        model: anything with ``predict(observation, state, episode_start, deterministic)``, SB3's models included.
        env: an id, a gymnasium.Env, a VectorEnv or an SB3 VecEnv; it is reset first.
        n_eval_episodes: how many episodes.
        deterministic: take the likeliest actions.
        render: show the first copy after each step.
        callback: called with the local and global variables after each step of each copy; SB3's names are among the
            local ones: "i", "info", "done", "reward", "env", "episode_rewards", "current_rewards", ...
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
    if warn and isinstance(envs, Sb3Envs) and not envs.reports:
        warnings.warn(
            "Evaluation environment is not wrapped with a ``Monitor`` wrapper. This may result in reporting modified "
            "episode lengths and rewards, if other wrappers happen to modify these.",
            UserWarning,
            stacklevel=3,
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
        step, previous = envs.step(actions), observations
        observations, rewards = step.observations, step.rewards
        episode_starts = step.terminated | step.truncated
        infos = step.infos() if callback is not None or episode_starts.any() else []
        sums += rewards
        steps += 1 if step.ignored is None else ~step.ignored
        variables: dict[str, Any] = {}
        if callback is not None:
            # What SB3's callbacks find.
            variables = {
                "model": model,
                "env": envs.given,
                "n_envs": n,
                "n_eval_episodes": n_episodes,
                "deterministic": deterministic,
                "render": render,
                "callback": callback,
                "episode_rewards": returns,
                "episode_lengths": lengths,
                "episode_counts": np.array(counts),
                "episode_count_targets": np.array(targets),
                "current_rewards": sums,
                "current_lengths": steps,
                "actions": actions,
                "states": state,
                "observations": previous,
                "new_observations": observations,
                "rewards": rewards,
                "dones": episode_starts,
                "episode_starts": episode_starts,
                "infos": infos,
            }
        for i in range(n) if callback is not None else np.flatnonzero(episode_starts).tolist():
            done, info, reward = bool(episode_starts[i]), infos[i], float(rewards[i])
            if counts[i] < targets[i]:
                if callback is not None:
                    of_copy = {"i": i, "done": done, "info": info, "reward": reward, "n_episodes": len(returns)}
                    callback({**variables, **of_copy}, globals())
                reported = info.get("episode")
                if done and reported is not None:
                    counts[i] += 1
                    returns.append(float(np.asarray(reported["r"]).item()) if envs.reports else float(sums[i]))
                    lengths.append(int(np.asarray(reported["l"]).item()) if envs.reports else int(steps[i]))
            if done:
                sums[i], steps[i] = 0.0, 0
        if render:
            envs.render("human")
    return returns, lengths
