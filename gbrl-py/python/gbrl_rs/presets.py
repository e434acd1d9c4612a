"""Settings that fit an environment, as the arguments of an algorithm."""

from __future__ import annotations

from typing import Any

from gbrl_rs import _gbrl, _options


class Preset(dict[str, Any]):
    """Arguments of a constructor, by name.

    Attributes:
        n_envs: copies of the environment that they are made for.
        total_timesteps: steps after which they should have learnt.
    """

    def __init__(self, settings: dict[str, str], algo: str = "ppo") -> None:
        super().__init__(_options.keywords(settings))
        every = {**_options.defaults(algo), **settings}
        self.n_envs, self.total_timesteps = int(every["n_envs"]), int(every["total_timesteps"])


def preset(env: str, name: str = "default", algo: str = "ppo") -> Preset:
    """The preset of an environment, see envs/presets.

    Args:
        env: its id.
        name: "default"; "paper" where there is one; or "generic", the same for all and the default of those that have none
            of their own.
        algo: "ppo", "a2c" or "awr".

    Raises:
        ValueError: for a preset that there is not, naming those that there are.

    Example:
        >>> chosen = preset("CartPole-v1", "paper")
        >>> model = PPO("MlpPolicy", make_vec_env("CartPole-v1", chosen.n_envs), **chosen).learn(chosen.total_timesteps)
    """
    return Preset(_gbrl.preset(env, name, algo), algo)
