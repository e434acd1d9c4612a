"""Callbacks of a training run, with the names, arguments and behaviour of Stable-Baselines3's.

SB3's own callbacks work too: what `learn()` calls is only the methods of :class:`BaseCallback`.

Example:
    >>> class StopWhenBored(BaseCallback):
    ...     def _on_step(self) -> bool:
    ...         return self.num_timesteps < 10_000
    >>> model.learn(100_000, callback=StopWhenBored())
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gbrl_rs._options import suggests
from gbrl_rs.logger import Logger

if TYPE_CHECKING:
    from gbrl_rs._on_policy import OnPolicyModel

Variables = dict[str, Any]


class BaseCallback:
    """Base of all callbacks: override the methods that begin with an underscore.

    Args:
        verbose: 0 says nothing, 1 says what matters, 2 says more.

    Attributes:
        model: the model that learns.
        num_timesteps: environment steps so far, over all copies and calls of learn().
        n_calls: steps of the vector environment that this callback saw.
        locals, globals: variables of learn() and of the collecting loop: "rewards", "dones", "infos", "new_obs", ...
        parent: the callback that owns this one.
        needs_steps: whether it must see every step. Where no callback does and the environments are Rust's, rollouts
            are collected without Python and `on_step` is called once per rollout.
        needs_values: whether it looks at ``locals["values"]``, which cost a prediction per step.
    """

    needs_steps = True
    needs_values = True

    def __init__(self, verbose: int = 0) -> None:
        self.model: OnPolicyModel
        self.n_calls = 0
        self.num_timesteps = 0
        self.verbose = verbose
        self.locals: Variables = {}
        self.globals: Variables = {}
        self.parent: BaseCallback | None = None

    @property
    def training_env(self) -> Any:
        """The environments that the model learns from.

        Raises:
            AssertionError: before the model has some.
        """
        env = self.model.get_env()
        assert env is not None, "`model.get_env()` returned None, you must initialize the model with an environment"
        return env

    @property
    def logger(self) -> Logger:
        """The model's logger."""
        return self.model.logger

    def init_callback(self, model: OnPolicyModel) -> None:
        """Called once per learn(), before anything else."""
        self.model = model
        self._init_callback()

    def on_training_start(self, locals_: Variables, globals_: Variables) -> None:
        """Called before the first rollout."""
        self.locals = locals_
        self.globals = globals_
        self.num_timesteps = self.model.num_timesteps
        self._on_training_start()

    def on_rollout_start(self) -> None:
        """Called before each rollout."""
        self._on_rollout_start()

    def on_step(self) -> bool:
        """Called after each step of the vector environment; False ends learning."""
        self.n_calls += 1
        self.num_timesteps = self.model.num_timesteps
        return self._on_step()

    def on_rollout_end(self) -> None:
        """Called after each rollout, before the update."""
        self._on_rollout_end()

    def on_training_end(self) -> None:
        """Called when learn() is about to return."""
        self._on_training_end()

    def update_locals(self, locals_: Variables) -> None:
        """Shows newer local variables."""
        self.locals.update(locals_)
        self.update_child_locals(locals_)

    def update_child_locals(self, locals_: Variables) -> None:
        """Shows them to the callbacks that this one owns."""

    def _init_callback(self) -> None:
        pass

    def _on_training_start(self) -> None:
        pass

    def _on_rollout_start(self) -> None:
        pass

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        pass

    def _on_training_end(self) -> None:
        pass


class EventCallback(BaseCallback):
    """Base of callbacks that call another one when something happens.

    Args:
        callback: the other one.
        verbose: as in :class:`BaseCallback`.
    """

    def __init__(self, callback: BaseCallback | None = None, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback
        if callback is not None:
            callback.parent = self

    def init_callback(self, model: OnPolicyModel) -> None:
        """Hands the model on."""
        super().init_callback(model)
        if self.callback is not None:
            self.callback.init_callback(model)

    def _on_training_start(self) -> None:
        if self.callback is not None:
            self.callback.on_training_start(self.locals, self.globals)

    def _on_event(self) -> bool:
        return True if self.callback is None else bool(self.callback.on_step())

    def update_child_locals(self, locals_: Variables) -> None:
        """Hands the variables on."""
        if self.callback is not None:
            self.callback.update_locals(locals_)


class CallbackList(BaseCallback):
    """Several callbacks, called in order. All are called even when one of them stops the run.

    Args:
        callbacks: the callbacks.
    """

    def __init__(self, callbacks: Sequence[BaseCallback]) -> None:
        super().__init__()
        self.callbacks = list(callbacks)
        self.needs_steps = any(getattr(callback, "needs_steps", True) for callback in self.callbacks)
        self.needs_values = any(getattr(callback, "needs_values", True) for callback in self.callbacks)

    def _init_callback(self) -> None:
        for callback in self.callbacks:
            callback.init_callback(self.model)
            # SB3 gives a list's parent to its members, so that they find each other.
            callback.parent = self.parent

    def _on_training_start(self) -> None:
        for callback in self.callbacks:
            callback.on_training_start(self.locals, self.globals)

    def _on_rollout_start(self) -> None:
        for callback in self.callbacks:
            callback.on_rollout_start()

    def _on_step(self) -> bool:
        answers = [callback.on_step() for callback in self.callbacks]
        return all(answers)

    def _on_rollout_end(self) -> None:
        for callback in self.callbacks:
            callback.on_rollout_end()

    def _on_training_end(self) -> None:
        for callback in self.callbacks:
            callback.on_training_end()

    def update_child_locals(self, locals_: Variables) -> None:
        """Hands the variables on."""
        for callback in self.callbacks:
            callback.update_locals(locals_)


class ConvertCallback(BaseCallback):
    """A function as a callback.

    Args:
        callback: called with the local and the global variables after each step; False ends learning.
        verbose: as in :class:`BaseCallback`.
    """

    def __init__(self, callback: Callable[[Variables, Variables], Any] | None, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.callback = callback

    def _on_step(self) -> bool:
        if self.callback is None:
            return True
        answer = self.callback(self.locals, self.globals)
        # A function that returns nothing wants nothing.
        return True if answer is None else bool(answer)


class CheckpointCallback(BaseCallback):
    """Saves the model again and again, as ``save_path/name_prefix_STEPS_steps``.

    Args:
        save_freq: calls between saves: steps of the vector environment, not of each copy.
        save_path: the folder, made if needed.
        name_prefix: beginning of the file names.
        save_replay_buffer: accepted and without meaning: on-policy models have none.
        save_vecnormalize: also save the statistics of SB3's VecNormalize, where there is one.
        verbose: 2 says what was saved.
    """

    needs_values = False

    @suggests
    def __init__(
        self,
        save_freq: int,
        save_path: str,
        name_prefix: str = "rl_model",
        save_replay_buffer: bool = False,
        save_vecnormalize: bool = False,
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose)
        self.save_freq = save_freq
        self.save_path = save_path
        self.name_prefix = name_prefix
        self.save_replay_buffer = save_replay_buffer
        self.save_vecnormalize = save_vecnormalize

    def _init_callback(self) -> None:
        os.makedirs(self.save_path, exist_ok=True)

    def _on_step(self) -> bool:
        if self.n_calls % self.save_freq == 0:
            stem = os.path.join(self.save_path, self.name_prefix)
            path = self.model.save(f"{stem}_{self.num_timesteps}_steps")
            self._say(f"Saving model checkpoint to {path}")
            normalizer = self.model.get_vec_normalize_env()
            if self.save_vecnormalize and normalizer is not None:
                path = f"{stem}_vecnormalize_{self.num_timesteps}_steps.pkl"
                normalizer.save(path)
                self._say(f"Saving model VecNormalize to {path}")
        return True

    def _say(self, words: str) -> None:
        if self.verbose >= 2:
            print(words)


class EvalCallback(EventCallback):
    """Evaluates the model again and again, and keeps the best one.

    Records eval/mean_reward, eval/mean_ep_length and, where episodes say so, eval/success_rate. Results are also kept
    in ``log_path/evaluations.npz``: timesteps, results, ep_lengths (and successes).

    Args:
        eval_env: anything that evaluate_policy takes.
        callback_on_new_best: called when the mean return is better than ever; its False ends learning.
        callback_after_eval: called after each evaluation; its False ends learning.
        n_eval_episodes: episodes of each evaluation.
        eval_freq: calls between evaluations: steps of the vector environment, not of each copy.
        log_path: folder of evaluations.npz.
        best_model_save_path: folder in which best_model is kept.
        deterministic: take the likeliest actions.
        render: show the environment.
        verbose: 1 prints each result.
        warn: warn about environments without a monitor, as evaluate_policy.

    Attributes:
        best_mean_reward, last_mean_reward: −inf before the first evaluation.
    """

    needs_values = False

    @suggests
    def __init__(
        self,
        eval_env: Any,
        callback_on_new_best: BaseCallback | None = None,
        callback_after_eval: BaseCallback | None = None,
        n_eval_episodes: int = 5,
        eval_freq: int = 10000,
        log_path: str | None = None,
        best_model_save_path: str | None = None,
        deterministic: bool = True,
        render: bool = False,
        verbose: int = 1,
        warn: bool = True,
    ) -> None:
        super().__init__(callback_after_eval, verbose)
        self.callback_on_new_best = callback_on_new_best
        if callback_on_new_best is not None:
            callback_on_new_best.parent = self
        self.eval_env = eval_env
        self.n_eval_episodes = n_eval_episodes
        self.eval_freq = eval_freq
        self.best_mean_reward = -np.inf
        self.last_mean_reward = -np.inf
        self.deterministic = deterministic
        self.render = render
        self.warn = warn
        self.log_path = None if log_path is None else os.path.join(log_path, "evaluations")
        self.best_model_save_path = best_model_save_path
        self.evaluations_timesteps: list[int] = []
        self.evaluations_results: list[list[float]] = []
        self.evaluations_length: list[list[int]] = []
        self.evaluations_successes: list[list[bool]] = []
        self._successes: list[bool] = []

    def _init_callback(self) -> None:
        for folder in (self.best_model_save_path, self.log_path and os.path.dirname(self.log_path)):
            if folder:
                os.makedirs(folder, exist_ok=True)
        if self.callback_on_new_best is not None:
            self.callback_on_new_best.init_callback(self.model)

    def _on_step(self) -> bool:
        if self.eval_freq <= 0 or self.n_calls % self.eval_freq != 0:
            return True
        self._synchronize_normalizers()
        rewards, lengths = self._evaluate()
        self._keep(rewards, lengths)
        mean_reward, std_reward = float(np.mean(rewards)), float(np.std(rewards))
        mean_length, std_length = float(np.mean(lengths)), float(np.std(lengths))
        self.last_mean_reward = mean_reward
        self._say(f"Eval num_timesteps={self.num_timesteps}, episode_reward={mean_reward:.2f} +/- {std_reward:.2f}")
        self._say(f"Episode length: {mean_length:.2f} +/- {std_length:.2f}")
        self.logger.record("eval/mean_reward", mean_reward)
        self.logger.record("eval/mean_ep_length", mean_length)
        if self._successes:
            rate = float(np.mean(self._successes))
            self._say(f"Success rate: {100 * rate:.2f}%")
            self.logger.record("eval/success_rate", rate)
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(self.num_timesteps)
        go_on = True
        if mean_reward > self.best_mean_reward:
            self._say("New best mean reward!")
            if self.best_model_save_path is not None:
                self.model.save(os.path.join(self.best_model_save_path, "best_model"))
            self.best_mean_reward = mean_reward
            if self.callback_on_new_best is not None:
                go_on = bool(self.callback_on_new_best.on_step())
        return go_on and self._on_event()

    def update_child_locals(self, locals_: Variables) -> None:
        """Hands the variables on."""
        super().update_child_locals(locals_)
        if self.callback_on_new_best is not None:
            self.callback_on_new_best.update_locals(locals_)

    def _evaluate(self) -> tuple[list[float], list[int]]:
        from gbrl_rs.evaluation import evaluate_policy

        self._successes = []
        result: Any = evaluate_policy(
            self.model,
            self.eval_env,
            n_eval_episodes=self.n_eval_episodes,
            deterministic=self.deterministic,
            render=self.render,
            callback=self._note_success,
            return_episode_rewards=True,
            warn=self.warn,
        )
        rewards, lengths = result
        return rewards, lengths

    def _note_success(self, locals_: Mapping[str, Any], globals_: Mapping[str, Any]) -> None:
        success = locals_["info"].get("is_success") if locals_["done"] else None
        if success is not None:
            self._successes.append(success)

    def _keep(self, rewards: list[float], lengths: list[int]) -> None:
        if self.log_path is None:
            return
        self.evaluations_timesteps.append(self.num_timesteps)
        self.evaluations_results.append(rewards)
        self.evaluations_length.append(lengths)
        table: dict[str, Any] = {
            "timesteps": self.evaluations_timesteps,
            "results": self.evaluations_results,
            "ep_lengths": self.evaluations_length,
        }
        if self._successes:
            self.evaluations_successes.append(self._successes)
            table["successes"] = self.evaluations_successes
        np.savez(self.log_path, **table)

    def _synchronize_normalizers(self) -> None:
        """The evaluation is to see what the policy learnt from: SB3's VecNormalize statistics of the training."""
        training = self.model.get_vec_normalize_env()
        evaluation = vec_normalize_of(self.eval_env)
        if training is None:
            return
        if evaluation is None:
            raise AssertionError(
                "Training and eval env are not wrapped the same way: expected a VecNormalize around eval_env, as around "
                f"the training environments, got {type(self.eval_env).__name__}"
            )
        for name in ("obs_rms", "ret_rms"):
            if hasattr(training, name):
                setattr(evaluation, name, copy.deepcopy(getattr(training, name)))

    def _say(self, words: str) -> None:
        if self.verbose >= 1:
            print(words)


class StopTrainingOnRewardThreshold(BaseCallback):
    """Stops once the mean return of an evaluation reaches a threshold: `callback_on_new_best` of an EvalCallback.

    Args:
        reward_threshold: the return that is enough.
        verbose: 1 says why it stopped.
    """

    needs_values = False

    @suggests
    def __init__(self, reward_threshold: float, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.reward_threshold = reward_threshold

    def _init_callback(self) -> None:
        _require_eval_callback(self)

    def _on_step(self) -> bool:
        best = _best(self.parent)
        go_on = best < self.reward_threshold
        if self.verbose >= 1 and not go_on:
            print(
                f"Stopping training because the mean reward {best:.2f} is above the threshold {self.reward_threshold}"
            )
        return go_on


class StopTrainingOnNoModelImprovement(BaseCallback):
    """Stops after some evaluations without a new best: `callback_after_eval` of an EvalCallback.

    Args:
        max_no_improvement_evals: how many in a row are allowed.
        min_evals: evaluations before counting starts.
        verbose: 1 says why it stopped.
    """

    needs_values = False

    @suggests
    def __init__(self, max_no_improvement_evals: int, min_evals: int = 0, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.max_no_improvement_evals = max_no_improvement_evals
        self.min_evals = min_evals
        self.last_best_mean_reward = -np.inf
        self.no_improvement_evals = 0

    def _init_callback(self) -> None:
        _require_eval_callback(self)

    def _on_step(self) -> bool:
        best = _best(self.parent)
        go_on = True
        if self.n_calls > self.min_evals:
            if best > self.last_best_mean_reward:
                self.no_improvement_evals = 0
            else:
                self.no_improvement_evals += 1
                go_on = self.no_improvement_evals <= self.max_no_improvement_evals
        self.last_best_mean_reward = best
        if self.verbose >= 1 and not go_on:
            print(
                "Stopping training because there was no new best model in the last "
                f"{self.no_improvement_evals} evaluations"
            )
        return go_on


class StopTrainingOnMaxEpisodes(BaseCallback):
    """Stops after some episodes; with n copies of the environment, after n times as many.

    Args:
        max_episodes: episodes per copy.
        verbose: 1 says why it stopped.
    """

    needs_values = False

    @suggests
    def __init__(self, max_episodes: int, verbose: int = 0) -> None:
        super().__init__(verbose)
        self.max_episodes = max_episodes
        self.n_episodes = 0

    def _init_callback(self) -> None:
        self._total = self.max_episodes * self.model.n_envs

    def _on_step(self) -> bool:
        self.n_episodes += int(np.sum(self.locals["dones"]))
        go_on = self.n_episodes < self._total
        if self.verbose >= 1 and not go_on:
            mean = self.n_episodes / self.model.n_envs
            print(
                f"Stopping training with a total of {self.num_timesteps} steps because the maximum number of episodes "
                f"was reached: {self.n_episodes} in all, {mean:.2f} per environment"
            )
        return go_on


class EveryNTimesteps(EventCallback):
    """Calls another callback whenever at least `n_steps` environment steps, over all copies, have passed.

    Args:
        n_steps: environment steps between calls.
        callback: what is called.
    """

    @suggests
    def __init__(self, n_steps: int, callback: BaseCallback) -> None:
        super().__init__(callback)
        self.n_steps = n_steps
        self.last_time_trigger = 0

    def _on_step(self) -> bool:
        if self.num_timesteps - self.last_time_trigger < self.n_steps:
            return True
        self.last_time_trigger = self.num_timesteps
        return self._on_event()


class ProgressBarCallback(BaseCallback):
    """A progress bar, by the packages tqdm and rich.

    Raises:
        ImportError: when they are not installed (``pip install tqdm rich``).
    """

    needs_steps = False
    needs_values = False

    def __init__(self) -> None:
        super().__init__()
        try:
            import rich  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
            from tqdm import TqdmExperimentalWarning  # type: ignore[import-untyped,import-not-found,unused-ignore]
            from tqdm.rich import tqdm  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as error:
            raise ImportError("expected the packages tqdm and rich: pip install tqdm rich") from error
        self._tqdm = tqdm
        self._warning = TqdmExperimentalWarning
        self._shown = 0

    def _on_training_start(self) -> None:
        self._shown = self.model.num_timesteps
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self._warning)
            self.pbar = self._tqdm(total=self.locals["total_timesteps"] - self._shown)

    def _on_step(self) -> bool:
        self.pbar.update(self.num_timesteps - self._shown)
        self._shown = self.num_timesteps
        return True

    def _on_training_end(self) -> None:
        self.pbar.refresh()
        self.pbar.close()


def as_callback(callback: Any, progress_bar: bool = False) -> BaseCallback:
    """What `learn(callback=...)` was given, as one callback: None, a callback, a list of them, or a function.

    Raises:
        TypeError: for anything else.
    """
    if isinstance(callback, (list, tuple)):
        callback = CallbackList(callback)
    elif callback is None:
        callback = _Nothing()
    elif not hasattr(callback, "on_step"):
        if not callable(callback):
            raise TypeError(f"callback: expected a callback, a list of them or a function, got {callback!r}")
        callback = ConvertCallback(callback)
    chosen: BaseCallback = CallbackList([callback, ProgressBarCallback()]) if progress_bar else callback
    return chosen


def vec_normalize_of(env: Any) -> Any:
    """SB3's VecNormalize among the wrappers of an environment, or None."""
    from gbrl_rs._envs import layers

    kinds = ((layer, type(layer)) for layer in layers(env, "venv"))
    found = (
        layer for layer, kind in kinds if hasattr(kind, "normalize_obs") and hasattr(kind, "normalize_reward")
    )
    return next(found, None)


class _Nothing(BaseCallback):
    needs_steps = False
    needs_values = False


def _best(evaluation: Any) -> float:
    return float(evaluation.best_mean_reward)


def _require_eval_callback(callback: BaseCallback) -> None:
    assert hasattr(callback.parent, "best_mean_reward"), (
        f"``{type(callback).__name__}`` callback must be used with an ``EvalCallback``, got {callback.parent}"
    )
