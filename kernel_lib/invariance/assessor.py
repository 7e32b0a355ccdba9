"""An assessor: a calibrated judge of invariance that needs no labels, kept in a readable file.

It is a logistic regression on standardised features, with its output calibrated on networks it
was not fitted to. The file is JSON: numbers and names, nothing that runs. It is read with care:
features under other names, another grid or another resampling are refused, and features outside
the range seen in training are taken as the nearest value in it and named in a warning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.invariance.features import feature_names, feature_title, features
from kernel_lib.invariance.signals import Signals
from kernel_lib.tasks import atomic_path, digest
from kernel_lib.tasks.untrusted import json_content, untrusted

SCHEMA = 1
SURE = 0.65  # a probability between 1 - SURE and SURE is called borderline
_BUNDLES = Path(__file__).parent / "bundles"
_RIDGES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)


@dataclass(frozen=True)
class Assessment:
    """What an assessor says about one network.

    Attributes:
        probability: that the network is invariant.
        verdict: "invariant", "borderline" or "not invariant".
        reasons: the features that moved the probability most, in words.
        warnings: what makes it less trustworthy here.
        outside: titles of the measurements that lie outside the training range, the furthest first;
            with any, the assessor cannot judge the network.
        num_features: how many measurements there are.
    """

    probability: float
    verdict: str
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    num_features: int = 0


@dataclass(frozen=True)
class Assessor:
    """A logistic regression on standardised, range-limited features.

    Attributes:
        names: (F,) features it takes, in order.
        centre, scale, low, high: (F,) mean, deviation and range of each in training.
        weights: (F,) of the standardised features; `intercept` beside them.
        slope, offset: of the calibration, probability = 1 / (1 + exp(-(slope * score + offset))).
        setting: transformation, grid, resampling and mode it was trained on.
        summary: how it was trained and how well it did, for people.
    """

    names: tuple[str, ...]
    centre: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    weights: np.ndarray
    intercept: float
    slope: float
    offset: float
    setting: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)

    # --- making -----------------------------------------------------------------------------------

    @classmethod
    def fit(
        cls,
        table: np.ndarray,
        is_invariant: np.ndarray,
        names: Sequence[str],
        *,
        setting: Mapping[str, Any] | None = None,
        summary: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> Self:
        """Fit and calibrate.

        Args:
            table: (num_networks, num_features).
            is_invariant: (num_networks,) bool.
            names: of the features.
            setting: see the attribute.
            summary: see the attribute.
            seed: seed of the folds.

        Raises:
            ValueError: fewer than three networks of a kind.
        """
        table, is_invariant = np.asarray(table, float), np.asarray(is_invariant, bool)
        rarer = min(is_invariant.sum(), (~is_invariant).sum())
        if rarer < 3:
            raise ValueError(
                "An assessor needs at least 3 networks that are invariant and 3 that are not. "
                f"Received: {is_invariant.sum()} and {(~is_invariant).sum()}."
            )
        centre, scale = table.mean(axis=0), table.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        scores, model = _fitted((table - centre) / scale, is_invariant, int(min(5, rarer)), seed)
        slope, offset = _calibrated(scores, is_invariant)
        return cls(
            tuple(names),
            centre,
            scale,
            table.min(axis=0),
            table.max(axis=0),
            model.coef_[0],
            float(model.intercept_[0]),
            slope,
            offset,
            dict(setting or {}),
            dict(summary or {}),
        )

    # --- judging ----------------------------------------------------------------------------------

    def probability(self, table: np.ndarray) -> np.ndarray:
        """Probability of being invariant (num_networks,) from features (num_networks, F)."""
        score = self._standardized(table) @ self.weights + self.intercept
        return 1 / (1 + np.exp(-np.clip(self.slope * score + self.offset, -50, 50)))

    def assess(self, signals: Signals) -> Assessment:
        """Judge the network of a sweep.

        Raises:
            ValueError: the sweep has another transformation, grid, resampling or other features.
        """
        self.check_setting(setting_of(signals))
        names = feature_names(signals.grid.is_symmetric)
        if names != self.names:
            raise ValueError(_foreign("features", names, self.names))
        found = features(signals, mode=self.setting["mode"])
        probability = float(self.probability(found[None])[0])
        return Assessment(
            probability,
            verdict_of(probability),
            self.reasons(found),
            self.warnings(found),
            self.outside(found),
            len(names),
        )

    def check_setting(self, setting: Mapping[str, Any]) -> None:
        """Refuse a sweep that was made in another way than those of the training."""
        for name in ("transform", "values", "resampling"):
            known: Any = self.setting.get(name)
            received: Any = setting[name]
            same = np.allclose(known, received) if _same_length(known, received) else False
            if not (same or known == received):
                raise ValueError(_foreign(name, received, known))

    def reasons(self, found: np.ndarray, count: int = 4) -> tuple[str, ...]:
        """The features that speak loudest, in words."""
        pulls = self._standardized(found[None])[0] * self.weights * np.sign(self.slope)
        loudest = np.argsort(-np.abs(pulls), kind="stable")[:count]
        return tuple(self._reason(i, found[i], pulls[i]) for i in loudest if pulls[i])

    def _reason(self, position: int, value: float, pull: float) -> str:
        side = "above" if value > self.centre[position] else "below"
        direction = "for" if pull > 0 else "against"
        return (
            f"The {feature_title(self.names[position])}, {value:.3g}, lies {side} the training "
            f"mean of {self.centre[position]:.3g}: speaks {direction} invariance."
        )

    def warnings(self, found: np.ndarray) -> tuple[str, ...]:
        """One line that names the features outside the training range; none if all lie inside."""
        outside = self.outside(found)
        if not outside:
            return ()
        return (
            f"{len(outside)} of {len(self.names)} measurements lie outside the range of the "
            f"networks this assessor was trained on ({named(outside)}); they are taken as the "
            "nearest value in it. Trust the probability less.",
        )

    def outside(self, found: np.ndarray) -> tuple[str, ...]:
        """Titles of the features outside the training range, the furthest (in ranges) first."""
        margin = 1e-9 * np.maximum(np.abs(self.low), np.abs(self.high))
        beyond = np.maximum(self.low - margin - found, found - self.high - margin)
        width = np.where(self.high > self.low, self.high - self.low, self.scale)
        order = np.argsort(-beyond / width, kind="stable")
        return tuple(feature_title(self.names[i]) for i in order if beyond[i] > 0)

    def _standardized(self, table: np.ndarray) -> np.ndarray:
        table = np.asarray(table, float)
        if table.ndim != 2 or table.shape[1] != len(self.names):
            raise ValueError(
                f"This assessor takes features of shape (num_networks, {len(self.names)}). "
                f"Received: {table.shape}."
            )
        if not np.isfinite(table).all():
            raise ValueError("The features hold NaN or infinite values: they cannot be judged.")
        return (np.clip(table, self.low, self.high) - self.centre) / self.scale

    # --- files ------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the assessor as JSON."""
        content = {name: _plain(value) for name, value in asdict(self).items()}
        content = {"schema": SCHEMA, "kind": "invariance assessor", **content}
        content["digest"] = digest(content)
        with atomic_path(path) as temporary:
            text = json.dumps(content, indent=1, allow_nan=False)
            Path(temporary).write_text(text + "\n", encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an assessor: a file, or the name of one that comes with the library (`bundled`).

        Raises:
            ValueError: not an assessor, another schema, or a changed or damaged file.
        """
        named = _BUNDLES / f"{path}.json"
        path = named if str(path) in bundled() else Path(path)
        with untrusted(f"{path} is no assessor"):
            content = json_content(path)
        if not isinstance(content, dict) or content.get("kind") != "invariance assessor":
            raise ValueError(f"{path} is no assessor of kernel_lib.")
        if content.get("schema") != SCHEMA:
            raise ValueError(
                f"{path} has schema {content.get('schema')!r}; this version reads schema {SCHEMA}."
            )
        claimed = content.pop("digest", None)
        if claimed != digest(content):
            raise ValueError(f"{path} was changed or damaged: its digest does not fit its content.")
        del content["schema"], content["kind"]
        arrays = {"centre", "scale", "low", "high", "weights"}
        with untrusted(f"{path} is no whole assessor"):
            read = {k: np.array(v, float) if k in arrays else v for k, v in content.items()}
            return cls(**read | {"names": tuple(read["names"])})


def named(titles: Sequence[str], most: int = 3) -> str:
    """The first titles, and how many more there are."""
    more = f"; and {len(titles) - most} more" if len(titles) > most else ""
    return "; ".join(titles[:most]) + more


def bundled() -> tuple[str, ...]:
    """Names of the assessors that come with the library, one for a transformation."""
    return tuple(sorted(path.stem for path in _BUNDLES.glob("*.json")))


def data_sheet(name: str) -> str:
    """How an assessor that comes with the library was made, as Markdown."""
    check_choice("name", name, bundled())
    return (_BUNDLES / f"{name}.md").read_text(encoding="utf-8")


def setting_of(signals: Signals) -> dict[str, Any]:
    """What an assessor must share with a sweep to judge it."""
    made = signals.settings or {}
    return {
        "transform": made.get("transform"),
        "values": list(signals.grid.values),
        "resampling": made.get("resampling"),
    }


def verdict_of(probability: float) -> str:
    """A probability in words."""
    if probability >= SURE:
        return "invariant"
    return "not invariant" if probability <= 1 - SURE else "borderline"


def _fitted(table: np.ndarray, labels: np.ndarray, num_folds: int, seed: int) -> tuple:
    """Scores of networks held out of each fit, and the model on all; the ridge is chosen inside."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
    tried = []
    for ridge in _RIDGES:
        model = LogisticRegression(C=ridge, class_weight="balanced", max_iter=2000)
        scores = cross_val_predict(model, table, labels, cv=folds, method="decision_function")
        loss = np.logaddexp(0, np.where(labels, -scores, scores)).mean()
        tried.append((loss, ridge, scores, model))
    _, _, scores, model = min(tried, key=lambda one: one[:2])
    return scores, model.fit(table, labels)


def _calibrated(scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Platt's sigmoid, with his targets that keep a few sure cases from making it a step."""
    from scipy.optimize import minimize

    num_right, num_wrong = labels.sum(), (~labels).sum()
    target = np.where(labels, (num_right + 1) / (num_right + 2), 1 / (num_wrong + 2))

    def loss(line: np.ndarray) -> float:
        logit = line[0] * scores + line[1]
        return float((np.logaddexp(0, logit) - target * logit).sum())

    best = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"maxiter": 2000})
    return float(best.x[0]), float(best.x[1])


def _same_length(a: Any, b: Any) -> bool:
    return isinstance(a, list) and isinstance(b, list) and len(a) == len(b)


def _foreign(what: str, received: Any, known: Any) -> str:
    return (
        f"This assessor was trained on another kind of sweep: its {what} is {_short(known)}. "
        f"Received: {_short(received)}. Train one for this sweep, or repeat the sweep."
    )


def _short(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) > 4:
        return f"{len(value)} values from {value[0]} to {value[-1]}"
    return repr(value)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [float(number) for number in value]
    return list(value) if isinstance(value, tuple) else value
