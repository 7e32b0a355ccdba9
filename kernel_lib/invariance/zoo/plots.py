"""Figures of a zoo and its assessors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot

from kernel_lib.invariance.truth import VERDICTS
from kernel_lib.report.theme import COLORS, MARKERS, theme

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from kernel_lib.invariance.zoo.build import Zoo

_VERDICT_COLORS = dict(zip(VERDICTS, (COLORS[2], COLORS[5], COLORS[1], COLORS[9]), strict=True))
_GREY = "#8a949e"


def zoo_figures(zoo: Zoo) -> dict[str, Figure]:
    """The networks, by the augmentation they saw."""
    column = zoo.names.index("confidence/mean")
    return {"zoo": plot_zoo(zoo.models, zoo.features[:, column])}


def plot_zoo(models: pd.DataFrame, confidence: np.ndarray) -> Figure:
    """Movement of the confidence and loss of accuracy against the range of augmentation."""
    with theme():
        figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
        pairs = (
            (confidence, "mean of the confidence matrix"),
            (models["drop"], "loss of accuracy at the worst step"),
        )
        for each, (values, label) in zip(axes, pairs, strict=True):
            for verdict, marker in zip(VERDICTS, MARKERS, strict=False):
                chosen = (models.verdict == verdict).to_numpy()
                if chosen.any():
                    each.scatter(
                        _apart(models.max_augment[chosen]), np.asarray(values)[chosen], s=42,
                        marker=marker, color=_VERDICT_COLORS[verdict], label=verdict, alpha=0.85,
                        linewidths=0,
                    )  # fmt: skip
            each.set_xlabel("range of the augmentation in training")
            each.set_ylabel(label)
        axes[0].set_title("Do networks that saw more variation move less?")
        axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="Truth")
        return figure


def _apart(places: pd.Series) -> np.ndarray:
    """Move equal places a little apart, in turn, so that dots do not hide one another."""
    width = 0.012 * max(float(places.max()), 1e-9)
    turn = places.groupby(places).cumcount().to_numpy()
    return places.to_numpy() + width * ((turn % 5) - 2)


def plot_scores(scores: pd.DataFrame) -> Figure:
    """Accuracy of each assessor with its interval, and the better of the two yardsticks."""
    with theme():
        table = scores.iloc[::-1].reset_index(drop=True)
        figure, axes = pyplot.subplots(figsize=(8.4, 1.2 + 0.36 * len(table)), layout="constrained")
        simple = table.algorithm.isin(["majority", "one_feature"])
        best = float(table.accuracy[simple].max())
        axes.axvline(best, color=_GREY, lw=1, ls="--")
        for place, row in enumerate(table.itertuples()):
            color = _GREY if simple[place] else COLORS[0]
            axes.plot([row.low, row.high], [place, place], color=color, lw=3, alpha=0.5)
            axes.plot(row.accuracy, place, "s" if simple[place] else "o", color=color, ms=7)
            axes.annotate(
                f"{row.accuracy:.0%}", (1.0, place), xycoords=("axes fraction", "data"),
                xytext=(8, 0), textcoords="offset points", va="center", fontsize=9,
            )  # fmt: skip
        names = table.algorithm.str.replace("_", " ")
        axes.set_yticks(range(len(table)), names)
        axes.set_xlabel("accuracy on networks not seen, 95 % interval; dashed: best yardstick")
        axes.set_title("How well each assessor judges")
        return figure


def plot_importance(table: pd.DataFrame) -> Figure:
    """Accuracy lost when a group of features is shuffled."""
    with theme():
        rows = table.iloc[::-1].reset_index(drop=True)
        figure, axes = pyplot.subplots(figsize=(8.4, 1.2 + 0.36 * len(rows)), layout="constrained")
        for place, row in enumerate(rows.itertuples()):
            axes.plot([row.low, row.high], [place, place], color=COLORS[0], lw=3, alpha=0.4)
            axes.plot(row.loss, place, "o", color=COLORS[0], ms=7)
        axes.axvline(0, color=_GREY, lw=1)
        axes.set_yticks(range(len(rows)), rows.group)
        axes.set_xlabel("accuracy lost when shuffled (mean, and range of folds and shuffles)")
        axes.set_title("What the assessor looks at")
        return figure
