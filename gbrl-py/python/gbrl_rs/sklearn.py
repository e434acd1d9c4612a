"""A regressor in the manner of scikit-learn, which must be installed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin  # type: ignore[import-untyped,import-not-found,unused-ignore]
from sklearn.utils import check_random_state  # type: ignore[import-untyped,import-not-found,unused-ignore]
from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[import-untyped,import-not-found,unused-ignore]

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
        min_data_in_leaf: fewest rows of a leaf.
        lambda_l2: regularisation of leaf values.
        row_subsample, feature_subsample: shares that a tree sees, in (0, 1].
        random_state: seed of the subsampling.
        n_threads: 0 for one per processor; changes no result.

    Attributes:
        booster_: the trees, a :class:`~gbrl_rs.booster.Booster`.
        train_score_: the loss ½‖output − y‖² after each tree, averaged over rows.
        feature_importances_: float64 `[n_features]`, summing to 1.

    Example:
        >>> GBRLRegressor(max_depth=5).fit(x, y).predict(x)
    """

    def __init__(
        self,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        max_depth: int = 4,
        grow_policy: str = "depthwise",
        split_score: str = "l2",
        max_leaves: int = 16,
        n_bins: int = 256,
        min_data_in_leaf: int = 0,
        lambda_l2: float = 0.0,
        row_subsample: float = 1.0,
        feature_subsample: float = 1.0,
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
        self.min_data_in_leaf = min_data_in_leaf
        self.lambda_l2 = lambda_l2
        self.row_subsample = row_subsample
        self.feature_subsample = feature_subsample
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X: Any, y: Any) -> GBRLRegressor:
        """Grows `n_estimators` trees anew; NaN among `X` is a value of its own."""
        return self._grow(X, y, self.n_estimators, anew=True)

    def partial_fit(self, X: Any, y: Any, n_trees: int = 10) -> GBRLRegressor:
        """Adds `n_trees` trees to those that are there."""
        return self._grow(X, y, n_trees, anew=not hasattr(self, "booster_"))

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

    def _grow(self, X: Any, y: Any, n_trees: int, anew: bool) -> GBRLRegressor:
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
        if anew:
            self.booster_ = self._new_booster(rows.shape[1], targets.shape[1])
            self.train_score_ = np.empty(0)
        losses = self.booster_.fit(rows, targets, n_trees)
        self.train_score_ = np.concatenate([self.train_score_, losses])
        return self

    def _new_booster(self, n_features: int, n_targets: int) -> Booster:
        return Booster(
            n_targets,
            n_features,
            learning_rate=self.learning_rate,
            seed=int(check_random_state(self.random_state).randint(2**31)),
            n_threads=self.n_threads,
            max_depth=self.max_depth,
            grow_policy=self.grow_policy,
            split_score=self.split_score,
            max_leaves=self.max_leaves,
            n_bins=self.n_bins,
            min_data_in_leaf=self.min_data_in_leaf,
            lambda_l2=self.lambda_l2,
            row_subsample=self.row_subsample,
            feature_subsample=self.feature_subsample,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
