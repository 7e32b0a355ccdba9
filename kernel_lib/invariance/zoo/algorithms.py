"""Ways to learn a verdict from features: the four of the original code, and three more.

| name | what it is |
|---|---|
| decision_tree, random_forest, adaboost | scikit-learn's, with its defaults |
| linear_regression | least squares on rows scaled to unit length, 0.5 and above is invariant |
| logistic | on standardised features, strength of the ridge tuned inside |
| gradient_boosting | boosted trees, depth tuned inside |
| rbf_svm | on standardised features, C tuned inside |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernel_lib._checks import check_choice

SEED_ALGORITHMS = ("decision_tree", "random_forest", "adaboost", "linear_regression")
ALGORITHMS = (*SEED_ALGORITHMS, "logistic", "gradient_boosting", "rbf_svm")


def make(name: str, seed: int = 0, folds: int = 3) -> Any:
    """A fresh scikit-learn estimator with `predict_proba`.

    Args:
        name: one of `ALGORITHMS`.
        seed: its random seed.
        folds: of the tuning inside, where there is one.
    """
    check_choice("name", name, ALGORITHMS)
    makers: dict[str, Callable[[int, int], Any]] = {
        "decision_tree": _tree,
        "random_forest": _forest,
        "adaboost": _adaboost,
        "linear_regression": _linear,
        "logistic": _logistic,
        "gradient_boosting": _boosting,
        "rbf_svm": _svm,
    }
    return makers[name](seed, folds)


def probabilities(model: Any, table: np.ndarray) -> np.ndarray:
    """Probability of being invariant (num_networks,)."""
    found = model.predict_proba(table)
    known = list(model.classes_)
    return found[:, known.index(True)] if True in known else np.zeros(len(table))


def _tree(seed: int, folds: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=seed)


def _forest(seed: int, folds: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(100, random_state=seed)


def _adaboost(seed: int, folds: int) -> Any:
    from sklearn.ensemble import AdaBoostClassifier

    return AdaBoostClassifier(n_estimators=50, random_state=seed)


def _linear(seed: int, folds: int) -> Any:
    return RowScaledRegression()


def _logistic(seed: int, folds: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000)
    )
    return _tuned(model, {"logisticregression__C": [0.001, 0.01, 0.1, 1.0]}, seed, folds)


def _boosting(seed: int, folds: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    model = GradientBoostingClassifier(n_estimators=60, min_samples_leaf=3, random_state=seed)
    return _tuned(model, {"max_depth": [1, 3]}, seed, folds)


def _svm(seed: int, folds: int) -> Any:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    model = make_pipeline(StandardScaler(), SVC(class_weight="balanced"))
    tuned = _tuned(model, {"svc__C": [0.3, 1.0, 10.0]}, seed, folds)
    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return CalibratedClassifierCV(tuned, cv=split, method="sigmoid")


def _tuned(model: Any, choices: dict[str, list[Any]], seed: int, folds: int) -> Any:
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    scoring = "neg_log_loss" if hasattr(model, "predict_proba") else None
    return GridSearchCV(model, choices, cv=split, scoring=scoring)


class RowScaledRegression:
    """Least squares on rows of unit length, as the original code has it."""

    classes_ = (False, True)

    def fit(self, table: np.ndarray, labels: np.ndarray) -> RowScaledRegression:
        """Fit to features (num_networks, F) and labels (num_networks,)."""
        from sklearn.linear_model import LinearRegression

        self._model = LinearRegression().fit(self._scaled(table), np.asarray(labels, float))
        return self

    def predict_proba(self, table: np.ndarray) -> np.ndarray:
        """The regression's value, kept between 0 and 1, for both classes (num_networks, 2)."""
        value = np.clip(self._model.predict(self._scaled(table)), 0, 1)
        return np.stack([1 - value, value], axis=1)

    def predict(self, table: np.ndarray) -> np.ndarray:
        """Whether the value reaches 0.5."""
        return self.predict_proba(table)[:, 1] >= 0.5

    def _scaled(self, table: np.ndarray) -> np.ndarray:
        length = np.linalg.norm(table, axis=1, keepdims=True)
        return table / np.where(length > 0, length, 1)
