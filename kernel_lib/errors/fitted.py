"""Fitted classifiers as plain arrays, and back: the same chances to the last bit, no pickle.

A pickle runs code when it is read. What a classifier has learned is a handful of arrays, so these
are kept, under the names that scikit-learn gives them. A forest is read from its arrays by NumPy,
as scikit-learn follows the numbers in a tree without looking whether they lead out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]

_TREE = ("children_left", "children_right", "feature", "threshold")


def to_arrays(name: str, classifier: Any) -> dict[str, np.ndarray]:
    """What a fitted classifier has learned.

    Args:
        name: the head, a name of `kernel_lib.errors.learned.HEADS`.
        classifier: a scikit-learn classifier, or a `Forest`.

    Raises:
        ValueError: a head that cannot be written as arrays.
    """
    if name == "forest":
        return Forest.of(classifier).arrays
    if name in ("logistic", "lda"):
        classifier = getattr(classifier, "model", classifier)  # the search for a penalty holds it
        return {each: np.asarray(getattr(classifier, each)) for each in _LINEAR}
    if name == "qda":
        found = {each: np.asarray(getattr(classifier, each)) for each in _QUADRATIC}
        for each in ("scalings_", "rotations_"):
            found |= {f"{each}{k}": value for k, value in enumerate(getattr(classifier, each))}
        return found
    if name == "mlp":
        return _network_arrays(classifier)
    raise ValueError(f"The head {name!r} cannot be written as arrays.")


def from_arrays(name: str, arrays: Arrays) -> Any:
    """The classifier again, with `predict_proba`.

    Raises:
        ValueError, KeyError: arrays that are missing or do not fit together.
    """
    if name == "forest":
        return Forest(arrays)
    return {"logistic": _linear, "lda": _linear, "qda": _quadratic, "mlp": _network}[name](
        name, arrays
    )


class Forest:
    """Trees that vote on two classes, as arrays over the nodes of all trees, one after another.

    Args:
        arrays: children_left and children_right (nodes,) places of the children in the same tree,
            -1 at a leaf; feature and threshold (nodes,) of a branch: values at or below it go left;
            value (nodes, 2) chances; sizes (trees,) number of nodes of each.
    """

    def __init__(self, arrays: Arrays):
        self.arrays = {name: np.asarray(arrays[name]) for name in (*_TREE, "value", "sizes")}
        self._check()
        starts = np.cumsum(self.arrays["sizes"]) - self.arrays["sizes"]
        self._roots = starts
        offsets = np.repeat(starts, self.arrays["sizes"])
        self._is_leaf = self.arrays["children_left"] < 0
        self._left = self.arrays["children_left"] + offsets
        self._right = self.arrays["children_right"] + offsets

    @classmethod
    def of(cls, forest: Any) -> Forest:
        """The trees of a fitted `RandomForestClassifier`, or of a `Forest`."""
        if isinstance(forest, Forest):
            return forest
        trees = [each.tree_ for each in forest.estimators_]
        arrays = {name: np.concatenate([getattr(tree, name) for tree in trees]) for name in _TREE}
        arrays["value"] = np.concatenate([tree.value[:, 0] for tree in trees])
        arrays["sizes"] = np.array([tree.node_count for tree in trees])
        return cls(arrays)

    def predict_proba(self, values: np.ndarray) -> np.ndarray:
        """Mean chances over the trees, (num_rows, 2). Rows are read as float32, as they were."""
        rows = np.asarray(values).astype(np.float32)
        if rows.shape[1] <= self.arrays["feature"].max():
            raise ValueError(f"The forest was fitted on more than {rows.shape[1]} columns.")
        total = np.zeros((len(rows), 2))
        for root in self._roots:
            total += self.arrays["value"][self._leaves(rows, root)]
        return total / len(self._roots)

    def _leaves(self, rows: np.ndarray, root: int) -> np.ndarray:
        places = np.full(len(rows), root)
        moving = np.flatnonzero(~self._is_leaf[places])
        while len(moving):
            at = places[moving]
            value = rows[moving, self.arrays["feature"][at]]
            goes_left = value <= self.arrays["threshold"][at]
            places[moving] = np.where(goes_left, self._left[at], self._right[at])
            moving = moving[~self._is_leaf[places[moving]]]
        return places

    def _check(self) -> None:
        """Children come after their parents and in the same tree, so every walk ends."""
        arrays = self.arrays
        count, sizes = len(arrays["feature"]), arrays["sizes"]
        whole = [arrays[name] for name in ("children_left", "children_right", "feature", "sizes")]
        shapes = [arrays[name].shape for name in _TREE]
        is_shaped = (
            all(shape == (count,) for shape in shapes)
            and arrays["value"].shape == (count, 2)
            and sizes.ndim == 1
            and all(np.issubdtype(each.dtype, np.integer) for each in whole)
        )
        if not is_shaped or not len(sizes) or sizes.min() < 1 or sizes.sum() != count:
            raise ValueError("the arrays of the forest do not fit together")
        place = np.arange(count) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        last = np.repeat(sizes, sizes)
        left, right = arrays["children_left"], arrays["children_right"]
        is_leaf = left < 0
        for child in (left, right):
            is_fine = np.where(is_leaf, child < 0, (child > place) & (child < last))
            if not is_fine.all():
                raise ValueError("a branch of the forest leads out of its tree")
        if (arrays["feature"][~is_leaf] < 0).any():
            raise ValueError("a branch of the forest reads no column")


_LINEAR = ("coef_", "intercept_")
_QUADRATIC = ("priors_", "means_")


def _linear(name: str, arrays: Arrays) -> Any:
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression

    made = LogisticRegression() if name == "logistic" else LinearDiscriminantAnalysis(solver="lsqr")
    for each in _LINEAR:
        setattr(made, each, _numbers(arrays[each]))
    if made.coef_.ndim != 2 or len(made.coef_) != 1 or made.intercept_.shape != (1,):
        raise ValueError("the arrays of the classifier do not fit together")
    return _known(made, made.coef_.shape[1])


def _quadratic(name: str, arrays: Arrays) -> Any:
    from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis

    made = QuadraticDiscriminantAnalysis()
    for each in _QUADRATIC:
        setattr(made, each, _numbers(arrays[each]))
    for each in ("scalings_", "rotations_"):
        setattr(made, each, [_numbers(arrays[f"{each}{k}"]) for k in range(2)])
    num_columns = made.means_.shape[-1]
    fits = made.means_.shape == (2, num_columns) and made.priors_.shape == (2,)
    for scaling, rotation in zip(made.scalings_, made.rotations_, strict=True):
        fits = fits and scaling.ndim == 1 and rotation.shape == (num_columns, len(scaling))
    if not fits:
        raise ValueError("the arrays of the classifier do not fit together")
    return _known(made, num_columns)


class Networks:
    """The mean chances of networks that read the same columns, each over its deviation.

    Args:
        deviation: (columns,).
        networks: fitted classifiers.
    """

    def __init__(self, deviation: np.ndarray, networks: Sequence[Any]):
        self.deviation, self.networks = deviation, list(networks)

    def predict_proba(self, values: np.ndarray) -> np.ndarray:
        """Chances, (num_rows, 2)."""
        scaled = self.scaled(values)
        return np.mean([network.predict_proba(scaled) for network in self.networks], axis=0)

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """To deviation 1; the mean is 0 already, see `Head`. Half the digits take half the time."""
        return (values / self.deviation).astype(np.float32)


def _network_arrays(classifier: Any) -> dict[str, np.ndarray]:
    if hasattr(classifier, "networks"):
        found = {"deviation": np.asarray(classifier.deviation)}
        for k, network in enumerate(classifier.networks):
            found |= {f"{k}/{name}": value for name, value in _network_arrays(network).items()}
        return found
    from sklearn.neural_network import MLPClassifier

    if not isinstance(classifier, MLPClassifier) or classifier.activation != "relu":
        raise ValueError("A head of this kind cannot be written as arrays.")
    found = {f"coefs_{k}": value for k, value in enumerate(classifier.coefs_)}
    return found | {f"intercepts_{k}": value for k, value in enumerate(classifier.intercepts_)}


def _network(name: str, arrays: Arrays) -> Any:
    if "deviation" in arrays:
        count = len({each.split("/")[0] for each in arrays if "/" in each})
        parts = [
            {key.removeprefix(f"{k}/"): v for key, v in arrays.items() if key.startswith(f"{k}/")}
            for k in range(count)
        ]
        return Networks(_numbers(arrays["deviation"]), [_network(name, each) for each in parts])
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import LabelBinarizer

    count = sum(each.startswith("coefs_") for each in arrays)
    coefs = [_numbers(arrays[f"coefs_{k}"]) for k in range(count)]
    biases = [_numbers(arrays[f"intercepts_{k}"]) for k in range(count)]
    sizes = [len(each) for each in coefs] + [1]
    fits = count and all(
        each.shape == (sizes[k], sizes[k + 1]) and bias.shape == (sizes[k + 1],)
        for k, (each, bias) in enumerate(zip(coefs, biases, strict=True))
    )
    if not fits:
        raise ValueError("the arrays of the network do not fit together")
    made = MLPClassifier(sizes[1:-1])
    made.coefs_, made.intercepts_ = coefs, biases
    made.n_layers_, made.n_outputs_, made.out_activation_ = count + 1, 1, "logistic"
    made._label_binarizer = LabelBinarizer().fit([0, 1])
    return _known(made, sizes[0])


def _known(classifier: Any, num_columns: int) -> Any:
    """What scikit-learn asks of a classifier before it believes that it was fitted."""
    classifier.classes_ = np.array([0, 1])
    classifier.n_features_in_ = num_columns
    return classifier


def _numbers(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"numbers were expected, not {values.dtype}")
    return values
