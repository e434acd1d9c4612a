"""What all algorithms share: Stable-Baselines3's learn(), predict() and everything around them.

An algorithm adds its constructor and says what its settings are; see :mod:`gbrl_rs._algorithm`.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from gbrl_rs import _gbrl, _options
from gbrl_rs._envs import Envs, RustEnvs, Step, adapt, broken, is_sb3_vec_env
from gbrl_rs._episodes import EpisodeStatistics
from gbrl_rs._export import ModelExport
from gbrl_rs._files import ModelFile, Standing
from gbrl_rs._model_env import ModelVecEnv, introduce_to_sb3
from gbrl_rs._rollout import RolloutView
from gbrl_rs._spaces import FlatSpace, as_columns
from gbrl_rs.callbacks import BaseCallback, as_callback, vec_normalize_of
from gbrl_rs.logger import Logger, configure_run
from gbrl_rs.policies import TreePolicy

Self = TypeVar("Self", bound="OnPolicyModel")


class OnPolicyModel(ModelFile, ModelExport):
    """A policy of trees that learns from environments. The base of :class:`gbrl_rs.PPO` and the others.

    Attributes:
        num_timesteps: environment steps so far, over all copies.
        n_envs: copies of the environment.
        observation_space, action_space: Gymnasium's spaces of one copy.
        policy: the policy as it is now, see :class:`~gbrl_rs.policies.TreePolicy`.
        rollout_buffer: the last rollout, see :class:`~gbrl_rs._rollout.RolloutView`.
        ep_info_buffer, ep_success_buffer: the last episodes' returns and lengths, and successes.
        env: the environments in use, None without.
    """

    ALGORITHM: ClassVar[str]
    """The algorithm's name in the extension."""

    # For scripts that look: what SB3's models have and these have not.
    action_noise: None = None
    rollout_buffer_class: None = None
    sde_sample_freq: int = -1

    # Attributes of the constructor's arguments; each algorithm has more.
    n_steps: int
    learning_rate: Any
    stats_window_size: int
    device: str
    tensorboard_log: str | None
    verbose: int
    seed: int | None
    policy_class: type[TreePolicy]

    _agent: _gbrl.Agent
    _next_seed: int | None
    """Seed of the next reset of the environments."""

    _seen: bool
    """Whether normalisation has counted the observations that the environments show now."""

    _is_learnt: bool
    """Whether the last rollout was learnt from to its end."""

    _caller: int | None = None
    """The thread in which a callback looks at the model as it is now."""

    # -- set up ----------------------------------------------------------------------------------------------------

    def _start(self, env: Any) -> None:
        """Makes the agent for an environment; the constructor's arguments are attributes by now."""
        envs = adapt(env)
        self._take_spaces(envs.observation_space, envs.action_space)
        self.n_envs = envs.n_envs
        self._root_seed = secrets.randbits(32) if self.seed is None else int(self.seed)
        self._check_arguments()
        self._reset_counters()
        settings = self._settings(1.0)
        self._env_id = envs.env_id
        self._agent = self._new_agent(self._env_id, envs.n_envs, envs.has_masks, settings)
        if isinstance(envs, RustEnvs):
            self._agent.describe(envs.env.core)
        self._pushed = settings
        self._connect_agent()
        self._next_seed = self.seed
        self._take_envs(envs)

    def _new_agent(self, env_id: str, n_envs: int, has_masks: bool, settings: dict[str, str]) -> _gbrl.Agent:
        observation, action = self._flat_observations.json, self._flat_actions.json
        all_settings = {**settings, "seed": str(self._root_seed), "device": self.device}
        return _gbrl.Agent(self.ALGORITHM, env_id, observation, action, n_envs, has_masks, all_settings)

    def _take_spaces(self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]) -> None:
        if not isinstance(action_space, (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)):
            raise AssertionError(
                "The algorithm only supports (Box, Discrete, MultiDiscrete, MultiBinary) as action spaces but "
                f"{action_space} was provided"
            )
        self.observation_space = observation_space
        self.action_space = action_space
        self._flat_observations = FlatSpace(observation_space)
        self._flat_actions = FlatSpace(action_space)

    def _connect_agent(self) -> None:
        """Points everything that looks at the agent to the one that is there now."""
        self._flat_observations.encode = self._agent.encode
        self.policy = self.policy_class(self._agent, self._flat_observations, self._flat_actions)
        self.rollout_buffer = RolloutView(
            self._agent, self._flat_observations, self.n_steps, self.n_envs, self.action_space.dtype
        )

    def _take_envs(self, envs: Envs | None) -> None:
        self._envs: Envs | None = envs
        # What speaks SB3's language is shown as it was given, everything else in that language.
        self.env: Any = None
        if envs is not None:
            self.env = envs.given if is_sb3_vec_env(envs.given) else ModelVecEnv(envs)
        self._last_obs: Any = None
        self._last_episode_starts: NDArray[np.bool_] | None = None
        self._stage_begun = False
        self._seen = False

    def _reset_counters(self) -> None:
        self._steady = threading.RLock()
        self._before: Standing | None = None
        self._is_learnt = True
        self.num_timesteps = 0
        self._total_timesteps = 0
        self._num_timesteps_at_start = 0
        self._n_updates = 0
        self._current_progress_remaining = 1.0
        self.start_time = 0.0
        self._custom_logger: Logger | None = None
        self._logger: Logger | None = None
        self._statistics = EpisodeStatistics(self.stats_window_size)

    def _check_arguments(self) -> None:
        """SB3's checks of arguments that fit together or do not."""
        raise NotImplementedError

    def _settings(self, progress_remaining: float) -> dict[str, str]:
        """All settings as the attributes say now, by name, as text."""
        raise NotImplementedError

    def _learning_rate(self, progress_remaining: float) -> float:
        """SB3's learning rate at a remaining progress."""
        raise NotImplementedError

    def _uses_learning_rate(self) -> bool:
        """Whether it decides anything."""
        raise NotImplementedError

    def _updates_per_rollout(self) -> int:
        """What `train()` adds to the count of updates, as SB3 counts them."""
        return 1

    # -- learning --------------------------------------------------------------------------------------------------

    @_options.suggests
    def learn(
        self: Self,
        total_timesteps: int,
        callback: Any = None,
        log_interval: int | None = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Learns until `total_timesteps` environment steps, over all copies, have been made.

        Whole rollouts are made, so there may be up to ``n_steps * n_envs - 1`` steps more. Ctrl-C raises
        KeyboardInterrupt and leaves a model that can be used, saved and taught on.

        Args:
            total_timesteps: how many steps.
            callback: a callback, a list of them, or a function of the local and global variables.
            log_interval: rollouts between two writings of the log; None writes nothing.
            tb_log_name: name of the run's folder in `tensorboard_log`; the algorithm's by default.
            reset_num_timesteps: count from 0 and start new episodes; False goes on where the last call ended, and
                `total_timesteps` are added to the steps so far.
            progress_bar: show one (extra ``progress``).

        Returns:
            The model itself.

        Raises:
            ValueError: without environments, see :meth:`set_env`.
            gbrl_rs.EnvironmentContractError: for rewards that are not finite and the like.
        """
        # Callbacks see these names: `total_timesteps` is now the whole count at which learning ends.
        total_timesteps, callback = self._setup_learn(
            _options.whole("total_timesteps", total_timesteps),
            callback,
            reset_num_timesteps,
            tb_log_name or type(self).__name__,
            progress_bar,
        )
        callback.on_training_start(locals(), globals())
        iteration = 0
        try:
            while self.num_timesteps < total_timesteps:
                self._stand()
                if not self.collect_rollouts(self.env, callback, self.rollout_buffer, self.n_steps):
                    break
                iteration += 1
                self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
                if log_interval is not None and iteration % log_interval == 0:
                    self.dump_logs(iteration)
                self.train()
        finally:
            with self._steady:
                self._before = None
        callback.on_training_end()
        return self

    def collect_rollouts(
        self, env: Any, callback: BaseCallback, rollout_buffer: Any = None, n_rollout_steps: int | None = None
    ) -> bool:
        """Fills a rollout with the current policy. All arguments but the callback are for SB3's sake: the model's own
        environments are stepped, `n_steps` times.

        Returns:
            False if the callback stopped it.
        """
        envs = self._require_envs()
        assert self._last_obs is not None, "No previous observation was provided"
        starts = self._last_episode_starts
        self.rollout_buffer.begin(np.zeros(self.n_envs, dtype=np.bool_) if starts is None else starts)
        self._call(callback.on_rollout_start)
        self._is_learnt = False
        if isinstance(envs, RustEnvs) and not getattr(callback, "needs_steps", True):
            self._collect_in_rust(envs)
            go_on = bool(self._call(callback.on_step))
        else:
            go_on = self._collect(envs, callback)
        if not go_on:
            return False
        self.rollout_buffer.end()
        callback.update_locals({"self": self, "env": self.env, "rollout_buffer": self.rollout_buffer})
        self._call(callback.on_rollout_end)
        return True

    def train(self) -> None:
        """Learns from the last rollout: every minibatch adds a tree."""
        self._push_settings()
        self._n_updates += self._updates_per_rollout()
        metrics = self._agent.update(min(1.0 - self._current_progress_remaining, 1.0))
        for key, value in metrics:
            self.logger.record(key, int(value) if key in ("train/n_trees", "train/compactions") else value)
        if self._uses_learning_rate():
            self.logger.record("train/learning_rate", self.lr_schedule(self._current_progress_remaining))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        self._is_learnt = True

    def dump_logs(self, iteration: int = 0) -> None:
        """Writes what was recorded since the last time, with SB3's rollout/ and time/ keys."""
        elapsed = max((time.time_ns() - self.start_time) / 1e9, sys.float_info.epsilon)
        steps = self.num_timesteps - self._num_timesteps_at_start
        if iteration > 0:
            self.logger.record("time/iterations", iteration, exclude="tensorboard")
        if self.ep_info_buffer:
            for name, key in (("rollout/ep_rew_mean", "r"), ("rollout/ep_len_mean", "l")):
                self.logger.record(name, float(np.mean([episode[key] for episode in self.ep_info_buffer])))
        self.logger.record("time/fps", int(steps / elapsed))
        self.logger.record("time/time_elapsed", int(elapsed), exclude="tensorboard")
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        if self.ep_success_buffer:
            self.logger.record("rollout/success_rate", float(np.mean(self.ep_success_buffer)))
        self.logger.dump(step=self.num_timesteps)

    def _setup_learn(
        self,
        total_timesteps: int,
        callback: Any,
        reset_num_timesteps: bool,
        tb_log_name: str,
        progress_bar: bool,
    ) -> tuple[int, BaseCallback]:
        envs = self._require_envs()
        callback = as_callback(callback, progress_bar)
        self.start_time = time.time_ns()
        if reset_num_timesteps:
            self.num_timesteps = 0
            self._statistics = EpisodeStatistics(self.stats_window_size)
        else:
            total_timesteps += self.num_timesteps
        self._total_timesteps = total_timesteps
        self._num_timesteps_at_start = self.num_timesteps
        self._agent.set_progress(self.num_timesteps / max(total_timesteps, 1))
        if reset_num_timesteps or self._last_obs is None:
            self._reset_envs(envs)
        if self._custom_logger is None:
            self._logger = configure_run(self.verbose, self.tensorboard_log, tb_log_name, reset_num_timesteps)
        callback.init_callback(self)
        return total_timesteps, callback

    def _reset_envs(self, envs: Envs) -> None:
        self._last_obs = envs.reset(self._next_seed)
        self._last_episode_starts = np.ones(self.n_envs, dtype=np.bool_)
        self._next_seed = None
        self._stage_begun = False
        self._seen = False

    def _stand(self) -> None:
        """A rollout begins: until it is learnt from, what threads and handlers of signals save is how the model stands now. A
        foreign environment's state nobody knows, so there it is saved as it is."""
        moment = self._agent.moment(self._envs.env.core) if isinstance(self._envs, RustEnvs) else None
        with self._steady:
            self._before = None if moment is None else self._standing(moment)

    def _call(self, callback: Callable[[], Any]) -> Any:
        """Calls one that may save the model, as it is at that point."""
        self._caller = threading.get_ident()
        try:
            return callback()
        finally:
            self._caller = None

    def _collect(self, envs: Envs, callback: BaseCallback) -> bool:
        agent, n = self._agent, self.n_envs
        if not self._stage_begun:
            agent.begin(self._observed(envs, self._last_obs), learn=not self._seen)
            self._seen = True
        # Until the rollout is whole: whatever stops it in the middle, the next one begins anew.
        self._stage_begun = False
        shows_steps = getattr(callback, "needs_steps", True)
        n_steps, full = 0, False
        while not full:
            masks = envs.masks() if envs.has_masks else None
            raw, sent, log_probs = agent.decide(masks)
            actions = self._flat_actions.values(sent)
            step = envs.step(actions)
            finals = None if step.finals is None else self._observed(envs, step.finals)
            rows = self._observed(envs, step.observations)
            self.num_timesteps += n
            self._statistics.add(step)
            # As in SB3 before the step is remembered: rewards may be changed where they stand, and `_last_obs` is still what
            # was acted on.
            go_on = not shows_steps or self._show(callback, step, (raw, actions, log_probs), n_steps)
            n_steps += 1
            self._last_obs = step.observations
            self._last_episode_starts = step.terminated | step.truncated
            if step.ignored is not None:
                self._last_episode_starts |= step.ignored
            if not go_on:
                return False
            full = agent.outcome(step.rewards, step.terminated, step.truncated, finals, rows, step.ignored)
        self._stage_begun = True
        agent.finish()
        if not shows_steps:
            return bool(self._call(callback.on_step))
        return True

    def _observed(self, envs: Envs, batch: Any) -> NDArray[np.float32]:
        """A batch of observations as rows.

        Raises:
            gbrl_rs.EnvironmentContractError: for what is none.
        """
        try:
            return self._flat_observations.rows(batch, self.n_envs, learn=True)
        except (TypeError, ValueError) as error:
            expected = f"{self.n_envs} of {self.observation_space}"
            raise broken(envs.env_id, "observations", expected, error) from error

    def _show(
        self, callback: BaseCallback, step: Step, decision: tuple[NDArray[Any], Any, NDArray[Any]], n_steps: int
    ) -> bool:
        raw, actions, log_probs = decision
        is_box = isinstance(self.action_space, spaces.Box)
        shown = {
            "self": self,
            "env": self.env,
            "callback": callback,
            "rollout_buffer": self.rollout_buffer,
            "n_rollout_steps": self.n_steps,
            "n_steps": n_steps,
            "obs_tensor": self._last_obs,
            "actions": raw.reshape(self.n_envs, *(self.action_space.shape or ())) if is_box else actions,
            "clipped_actions": actions,
            "log_probs": log_probs,
            "new_obs": step.observations,
            "rewards": step.rewards,
            "dones": step.terminated | step.truncated,
            "infos": step.infos(),
        }
        if getattr(callback, "needs_values", True):
            shown["values"] = self.policy.predict_values(self._last_obs)
        callback.update_locals(shown)
        return bool(self._call(callback.on_step))

    def _collect_in_rust(self, envs: RustEnvs) -> None:
        agent, core = self._agent, envs.env.core
        if not self._stage_begun:
            agent.begin(core.observations(), learn=not self._seen)
            self._seen = True
        self._stage_begun = False
        self._last_episode_starts = None
        try:
            for _, total, length, _ in agent.collect(core):
                self._statistics.add_episode(total, length)
        finally:
            self._last_obs = self._flat_observations.values(core.observations())
        self._stage_begun = True
        self.num_timesteps += self.n_steps * self.n_envs
        agent.finish()

    def _push_settings(self) -> None:
        """Tells the agent what schedules say now, and what a callback may have changed."""
        now = self._settings(self._current_progress_remaining)
        for name, text in now.items():
            if text != self._pushed.get(name):
                self._agent.set(name, text)
        self._pushed = now

    def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
        self._current_progress_remaining = 1.0 - float(num_timesteps) / float(total_timesteps)

    # -- the policy ------------------------------------------------------------------------------------------------

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        """Actions for an observation or a batch of them.

        Args:
            observation: one value of the observation space, or a batch as vector environments give it.
            state, episode_start: for SB3's sake: trees remember nothing; `state` is handed back.
            deterministic: the likeliest action instead of a drawn one.
            action_masks: which choices are allowed, bool `[choices]` or `[n, choices]`, laid out as sb3-contrib does.

        Returns:
            The action (or the batch `[n, ...]`) as the environment takes it, and `state`.

        Raises:
            ValueError: for an observation of another shape, in SB3's words.
        """
        return self.policy.predict(observation, state, episode_start, deterministic, action_masks)

    def get_parameters(self) -> dict[str, bytes]:
        """The policy, trees and all, as the bytes of a model file, under the key "policy"."""
        return {"policy": self._agent.policy_bytes()}

    def set_parameters(self, load_path_or_dict: Any, exact_match: bool = True, device: str = "auto") -> None:
        """Takes over a policy that :meth:`get_parameters` gave, or that of a saved model.

        Args:
            load_path_or_dict: what :meth:`get_parameters` gave, or a path as in :meth:`load`.
            exact_match: whether the key "policy" must be there.
            device: for SB3's sake.

        Raises:
            ValueError: for unknown or missing keys, and for a policy of other spaces.
        """
        given = load_path_or_dict
        if not isinstance(given, dict):
            given = type(self).load(given).get_parameters()
        for key in given:
            if key != "policy":
                raise ValueError(f"Key {key} is an invalid object name; expected 'policy'.")
        if "policy" in given:
            self._agent.set_policy_bytes(given["policy"])
            self._stage_begun = False
        elif exact_match:
            raise ValueError("Names of parameters do not match agents' parameters: expected ['policy'], got []")

    # -- environments, logger, seeds --------------------------------------------------------------------------------

    def set_env(self, env: Any, force_reset: bool = True) -> None:
        """Learns from other environments from now on.

        Args:
            env: as in the constructor; same spaces, same number of copies.
            force_reset: whether the next learn() starts new episodes even if it goes on.

        Raises:
            ValueError: for other spaces, in SB3's words.
            AssertionError: for another number of copies, in SB3's words.
        """
        envs = adapt(env)
        if self._is_policy_alone:
            self._go_on_with(envs, {}, force_reset)
            return
        self._check_spaces(envs)
        assert envs.n_envs == self.n_envs, (
            "The number of environments to be set is different from the number of environments in the model: "
            f"({envs.n_envs} != {self.n_envs}), whereas `set_env` requires them to be the same. To load a model with "
            f"a different number of environments, you must use `{type(self).__name__}.load(path, env)` instead"
        )
        last = None if force_reset else self._last_obs
        self._take_envs(envs)
        self._last_obs = last
        self._seen = last is not None

    def get_env(self) -> Any:
        """The environments in use, in SB3's language: a VecEnv as it was given, everything else inside a
        :class:`~gbrl_rs._model_env.ModelVecEnv`; None without environments."""
        introduce_to_sb3()
        return self.env

    def get_vec_normalize_env(self) -> Any:
        """SB3's VecNormalize around the environments, or None."""
        return vec_normalize_of(self.env)

    @property
    def logger(self) -> Logger:
        """What numbers are recorded to; a silent one before learn() or :meth:`set_logger`."""
        if self._logger is None:
            self._logger = Logger(None, [])
        return self._logger

    def set_logger(self, logger: Any) -> None:
        """Records to this logger instead of the one that learn() makes; SB3's may be given too."""
        self._logger = self._custom_logger = logger

    def set_random_seed(self, seed: int | None = None) -> None:
        """Starts all random numbers again from a seed: actions, minibatches, predictions, the next reset."""
        if seed is None:
            return
        self._agent.seed(int(seed))
        self.action_space.seed(int(seed))
        self._next_seed = int(seed)

    @property
    def lr_schedule(self) -> Callable[[float], float]:
        """SB3's learning rate at a remaining progress; setting it sets `learning_rate`."""
        return self._learning_rate

    @lr_schedule.setter
    def lr_schedule(self, schedule: Callable[[float], float]) -> None:
        self.learning_rate = schedule

    @property
    def _vec_normalize_env(self) -> Any:
        return self.get_vec_normalize_env()

    @property
    def ep_info_buffer(self) -> deque[dict[str, float]]:
        """The last `stats_window_size` episodes: ``{"r": return, "l": length, "t": seconds}``."""
        return self._statistics.episodes

    @property
    def ep_success_buffer(self) -> deque[float]:
        """The last values of ``info["is_success"]``."""
        return self._statistics.successes

    @property
    def _episode_num(self) -> int:
        return self._statistics.n_episodes

    def _require_envs(self) -> Envs:
        if self._envs is None:
            raise ValueError("expected environments to learn from, got none: call set_env(env) or load(path, env=env)")
        return self._envs

    def _check_spaces(self, envs: Envs) -> None:
        if envs.observation_space != self.observation_space:
            raise ValueError(f"Observation spaces do not match: {self.observation_space} != {envs.observation_space}")
        if envs.action_space != self.action_space:
            raise ValueError(f"Action spaces do not match: {self.action_space} != {envs.action_space}")
        if envs.has_masks != self._agent.has_masks and not self._is_policy_alone:
            words = {True: "environments with action masks", False: "environments without action masks"}
            raise ValueError(
                f"Action masks do not match: expected {words[self._agent.has_masks]}, as the model learnt from, "
                f"got {words[envs.has_masks]}"
            )

    def _take_spaces_like_its_own(self, envs: Envs) -> None:
        """Of a policy alone only what its columns say of the spaces is known, not the dtypes."""
        spaces_of_envs = envs.observation_space, envs.action_space
        own = self.observation_space, self.action_space
        if [as_columns(space) for space in spaces_of_envs] == [as_columns(space) for space in own]:
            self._take_spaces(*spaces_of_envs)
            self._connect_agent()

    # -- looking at the trees ----------------------------------------------------------------------------------------

    @property
    def n_trees(self) -> int:
        """Trees so far."""
        return self._agent.n_trees

    @property
    def feature_names(self) -> list[str]:
        """Names of an observation's columns."""
        return self._agent.feature_names

    def feature_importances(self, kind: str = "gain") -> NDArray[np.float64]:
        """How much the trees look at each column, float64 `[n_features]`, summing to 1: by "gain" or "count"."""
        return np.asarray(self._agent.importance(kind))

    def dump_tree(self, tree_idx: int, format: str = "text") -> str:
        """A tree as "text", "dot" (Graphviz) or "json"."""
        return self._agent.tree(tree_idx, format)

    def save_policy(self, path: Any) -> None:
        """Writes model.gbrl, the policy alone, which the program ``gbrl eval`` and ``gbrl show`` read."""
        self._agent.save_model(path, self.num_timesteps)

    @property
    def output_names(self) -> list[str]:
        """Names of the trees' outputs: of the policy's, and the value."""
        return self._agent.output_names

    def __repr__(self) -> str:
        copies = f"{self.n_envs} environment{'s' if self.n_envs > 1 else ''}"
        counts = f"{self.num_timesteps:,} steps, {self.n_trees:,} trees"
        return f"{type(self).__name__}({self._env_id}, {copies}, {counts}, device={self.device})"

    def _repr_html_(self) -> str:
        from gbrl_rs.plot import model_html

        return model_html(self)
