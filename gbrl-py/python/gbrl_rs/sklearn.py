"""A regressor in the manner of scikit-learn, which must be installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin  # type: ignore[import-untyped,import-not-found,unused-ignore]
from sklearn.utils import check_random_state  # type: ignore[import-untyped,import-not-found,unused-ignore]
from sklearn.utils.validation import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

from gbrl_rs._options import suggests
from gbrl_rs.booster import Booster


class GBRLRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc,unused-ignore]
    """Gradient-boosted trees with vector leaves, lowering the squared error of one or several targets.

    Args:
        n_estimators: trees that :meth:`fit` grows.
        learning_rate: share of a tree's step that is taken.
        max_depth: questions on the longest way to a leaf.
        grow_policy: "oblivious", "depthwise" or "bestfirst".
        split_score: "l2" or "cosine".
        max_leaves: leaves of a best-first tree.
        n_bins: bins per feature, 2 to 256.
        edges: "rollout" for bins from the rows of :meth:`fit`, "step" for new ones with each tree, "fixed" for those of the
            first data for ever.
        min_data_in_leaf: fewest rows of a leaf.
        lambda_l2: regularisation of leaf values.
        row_subsample, feature_subsample: shares that a tree sees, in (0, 1].
        control_variates: fit trees to what the gradients add to their running means.
        n_iter_no_change: stop early once so many trees have not lowered the loss of rows that are held out; None never does.
        validation_fraction: share of the rows that is held out then.
        tol: how much lower that loss must be to count.
        random_state: seed of the subsampling, and of which rows are held out.
        n_threads: 0 for one per processor; changes no result.

    Attributes:
        booster_: the trees, a :class:`~gbrl_rs.booster.Booster`.
        n_estimators_: trees that there are.
        train_score_: the loss ½‖output − y‖² after each tree, averaged over rows by their weights.
        validation_score_: that of the rows held out, with `n_iter_no_change`.
        feature_importances_: float64 `[n_features]`, summing to 1.

    Example:
        >>> GBRLRegressor(max_depth=5).fit(x, y).predict(x)
    """

    @suggests
    def __init__(
        self,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        max_depth: int = 4,
        grow_policy: str = "depthwise",
        split_score: str = "l2",
        max_leaves: int = 16,
        n_bins: int = 256,
        edges: str = "rollout",
        min_data_in_leaf: int = 0,
        lambda_l2: float = 0.0,
        row_subsample: float = 1.0,
        feature_subsample: float = 1.0,
        control_variates: bool = False,
        n_iter_no_change: int | None = None,
        validation_fraction: float = 0.1,
        tol: float = 1e-4,
        random_state: Any = None,
        n_threads: int = 0,
    ) -> None:
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.grow_policy = grow_policy
        self.split_score = split_score
        self.max_leaves = max_leaves
        self.n_bins = n_bins
        self.edges = edges
        self.min_data_in_leaf = min_data_in_leaf
        self.lambda_l2 = lambda_l2
        self.row_subsample = row_subsample
        self.feature_subsample = feature_subsample
        self.control_variates = control_variates
        self.n_iter_no_change = n_iter_no_change
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GBRLRegressor:
        """Grows `n_estimators` trees anew; NaN among `X` is a value of its own.

        Args:
            X: `[n, n_features]`.
            y: `[n]` or `[n, n_targets]`.
            sample_weight: of the rows, `[n]`; one of weight 0 is as good as absent.
        """
        return self._grow(X, y, sample_weight, self.n_estimators, anew=True)

    def partial_fit(self, X: Any, y: Any, n_trees: int = 10, sample_weight: Any = None) -> GBRLRegressor:
        """Adds `n_trees` trees to those that are there; it never stops early."""
        return self._grow(X, y, sample_weight, n_trees, anew=not hasattr(self, "booster_"))

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predictions, `[n]` or `[n, n_targets]` as `y` was."""
        check_is_fitted(self)
        rows = validate_data(self, X, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        outputs = self.booster_.predict(rows).astype(np.float64)
        return outputs[:, 0] if self._is_vector else outputs

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """How much the trees look at each feature."""
        check_is_fitted(self)
        return self.booster_.feature_importances()

    @property
    def n_estimators_(self) -> int:
        """Trees that there are."""
        check_is_fitted(self)
        return self.booster_.n_trees

    def _grow(self, X: Any, y: Any, sample_weight: Any, n_trees: int, anew: bool) -> GBRLRegressor:
        rows, targets = validate_data(
            self,
            X,
            y,
            reset=anew,
            dtype=np.float64,
            multi_output=True,
            y_numeric=True,
            ensure_all_finite="allow-nan",
        )
        self._is_vector = targets.ndim == 1
        targets = targets.reshape(len(rows), -1)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, rows, ensure_non_negative=True)
            counts = weights > 0
            if not counts.any():
                raise ValueError("sample_weight: expected at least one weight above zero, got none")
            rows, targets, weights = rows[counts], targets[counts], weights[counts]
        random = check_random_state(self.random_state)
        if anew:
            self.booster_ = self._new_booster(rows.shape[1], targets.shape[1], int(random.randint(2**31)))
            self.train_score_ = np.empty(0)
            self.__dict__.pop("validation_score_", None)
        if anew and self.n_iter_no_change is not None:
            losses, self.validation_score_ = self._fit_until(rows, targets, weights, random)
        else:
            losses = self.booster_.fit(rows, targets, n_trees, weights)
        self.train_score_ = np.concatenate([self.train_score_, losses])
        return self

    def _fit_until(
        self, rows: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any] | None, random: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Grows trees until rows that are held out gain nothing from them."""
        n_held_out = int(np.ceil(self.validation_fraction * len(rows)))
        if not 0 < n_held_out < len(rows):
            raise ValueError(
                f"validation_fraction: expected some of {len(rows)} rows held out and some left, got "
                f"{self.validation_fraction}"
            )
        order = random.permutation(len(rows))
        held_out, kept = order[:n_held_out], np.sort(order[n_held_out:])
        of_kept, of_held_out = (None if weights is None else weights[chosen] for chosen in (kept, held_out))
        return self.booster_.fit_until(
            rows[kept],
            targets[kept],
            (rows[held_out], targets[held_out], of_held_out),
            self.n_estimators,
            of_kept,
            self.n_iter_no_change or 1,
            self.tol,
        )

    def _new_booster(self, n_features: int, n_targets: int, seed: int) -> Booster:
        return Booster(
            n_targets,
            n_features,
            learning_rate=self.learning_rate,
            seed=seed,
            n_threads=self.n_threads,
            max_depth=self.max_depth,
            grow_policy=self.grow_policy,
            split_score=self.split_score,
            max_leaves=self.max_leaves,
            n_bins=self.n_bins,
            edges=self.edges,
            min_data_in_leaf=self.min_data_in_leaf,
            lambda_l2=self.lambda_l2,
            row_subsample=self.row_subsample,
            feature_subsample=self.feature_subsample,
            control_variates=self.control_variates,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
