"""Figures of the error audit. Every line, bar and cell is picked by name, never by position."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot

from kernel_lib.errors.metrics import risk_coverage
from kernel_lib.report.theme import COLORS, color_and_marker

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kernel_lib.errors.result import ErrorResult

_CURVES = ("msp", "conductance", "label_change_rate", "both")
LONGEST_NAMES = 8  # letters of two class names that fit one line above a small picture
_TESTED, _BASELINE, _INK = COLORS[0], "#8a949e", "#1b2530"


def figure_makers(result: ErrorResult) -> dict[str, Callable[[], Figure]]:
    """The figures that fit the result, the most telling first; none where nothing was ranked."""
    if not result.tables["scores"].auroc.notna().any():
        return {}
    found: dict[str, Callable[[], Figure]] = {
        "ranking": partial(plot_ranking, result),
        "curves": partial(plot_curves, result),
        "outcomes": partial(plot_outcomes, result),
    }
    if len(result.tables["mutants"]) > 1:
        found["mutants"] = partial(plot_mutants, result)
    if "shifts" in result.tables:
        found["shifts"] = partial(plot_shifts, result)
    if "map_ids" in result.arrays:
        found["profiles"] = partial(plot_profiles, result)
    return found


def plot_ranking(result: ErrorResult) -> Figure:
    """AUROC of every score with its interval; filled marks are under test, hollow ones not."""
    table = result.tables["scores"].iloc[::-1].reset_index(drop=True)
    plain = float(table.auroc[table.score == "msp"].iloc[0])
    figure, axes = pyplot.subplots(figsize=(8.6, 1.5 + 0.33 * len(table)), layout="constrained")
    axes.axvline(plain, color=_INK, lw=1, ls="--")
    for place, row in table.iterrows():
        color = _TESTED if row.under_test else _BASELINE
        axes.plot([row.auroc_low, row.auroc_high], [place, place], color=color, lw=2.5, alpha=0.55)
        face = color if row.under_test else "white"
        axes.plot(row.auroc, place, "o", color=color, mfc=face, mew=1.8, ms=7)
        _beside(axes, place, (f"{row.auroc:.3f}", _passes(row.forward_passes)))
    _beside(axes, len(table) - 0.15, ("AUROC", "passes"), weight="bold")
    axes.set_yticks(range(len(table)), table.title)
    for label, tested in zip(axes.get_yticklabels(), table.under_test, strict=True):
        label.set_color(_TESTED if tested else _INK)
        label.set_fontweight("bold" if tested else "normal")
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.grid(axis="x", lw=0.6)
    axes.set_xlabel("chance that a wrong prediction is more suspicious than a right one (95 %)")
    # A line of its own above the heads of the columns, whatever room the names leave.
    figure.suptitle("Filled: under test. Dashed: maximum softmax.", x=0.01, ha="left",
                    fontsize=11, weight="bold")  # fmt: skip
    return figure


def _beside(axes: Axes, place: float, texts: tuple[str, str], **style: str) -> None:
    """Write two columns to the right of the axes, flush right."""
    for points, text in zip((46, 92), texts, strict=True):
        axes.annotate(text, (1, place), (points, 0), axes.get_yaxis_transform(), "offset points",
                      ha="right", va="center", fontsize=9, annotation_clip=False,
                      **style)  # fmt: skip


def _passes(count: float) -> str:
    return f"{count:.0f}" if count >= 10 or count == round(count) else f"{count:.1f}"


def plot_curves(result: ErrorResult) -> Figure:
    """ROC curves, and error rate among kept images against the share that is kept."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10.5, 4.6), layout="constrained")
    wrong = result.arrays["test_wrong"]
    for position, name in enumerate(_followed(result)):
        color, _ = color_and_marker(position)
        scores, title = result.suspicion(name), result.parameters["titles"][name]
        _draw_roc(left, scores, wrong, color, title)
        coverage, risk = risk_coverage(scores, wrong)
        right.plot(coverage, risk, color=color, lw=1.8, label=title)
    left.plot([0, 1], [0, 1], color=_BASELINE, lw=1, ls=":")
    coverage, risk = risk_coverage(wrong.astype(float), wrong)
    right.plot(coverage, risk, color=_BASELINE, lw=1, ls=":", label="a perfect ranking")
    left.set(xlabel="share of right predictions withheld", ylabel="share of errors withheld")
    left.set_title("Errors caught against false alarms")
    left.legend(loc="lower right")
    right.set(xlabel="share of images kept", ylabel="error rate among them")
    right.set_title("What is left when the suspicious are withheld")
    right.set_ylim(0, None)
    for axes in (left, right):
        axes.grid(lw=0.6)
    return figure


def _draw_roc(axes: Axes, scores: np.ndarray, wrong: np.ndarray, color: str, title: str) -> None:
    lines = np.unique(scores)[::-1]
    caught = 1 - np.searchsorted(np.sort(scores[wrong]), lines, side="left") / wrong.sum()
    alarms = 1 - np.searchsorted(np.sort(scores[~wrong]), lines, side="left") / (~wrong).sum()
    axes.plot([0, *alarms, 1], [0, *caught, 1], color=color, lw=1.8, label=title)


def plot_outcomes(result: ErrorResult) -> Figure:
    """The four kinds of images at the threshold of equal recall, one bar a score."""
    table = result.tables["outcomes"].query("rule == 'equal_recall'").set_index("score")
    names = _followed(result)
    kinds = (
        ("right_kept", "right, kept", "#009e73", ""),
        ("wrong_kept", "wrong, kept", "#d55e00", "///"),
        ("wrong_withheld", "wrong, withheld", "#56b4e9", "..."),
        ("right_withheld", "right, withheld", "#c9d1d8", ""),
    )
    figure, axes = pyplot.subplots(figsize=(9.4, 1.7 + 0.55 * len(names)), layout="constrained")
    place = np.arange(len(names))[::-1]
    start = np.zeros(len(names))
    for column, label, color, hatch in kinds:
        width = table.loc[names, column].to_numpy(float)
        axes.barh(
            place, width, 0.62, left=start, color=color, hatch=hatch, label=label,
            edgecolor="white", lw=0.8,
        )  # fmt: skip
        for y, x, count in zip(place, start + width / 2, width, strict=True):
            if count >= 0.03 * len(result.arrays["labels"]):
                ground = {"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 1.2}
                axes.text(x, y, f"{count:.0f}", ha="center", va="center", fontsize=9, bbox=ground)
        start += width
    accuracy = table.loc[names, "accuracy_of_kept"]
    for y, name in zip(place, names, strict=True):
        axes.text(
            1.015, y, f"{100 * accuracy[name]:.1f} %", transform=axes.get_yaxis_transform(),
            va="center",
        )  # fmt: skip
    axes.text(1.015, len(names) - 0.45, "accuracy\nof kept", transform=axes.get_yaxis_transform(),
              va="bottom", fontsize=9, weight="bold")  # fmt: skip
    axes.set_yticks(place, [result.parameters["titles"][name] for name in names])
    axes.set_xlim(0, len(result.arrays["labels"]))
    axes.set_xlabel("test images")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=4)
    axes.set_title("Where a threshold from calibration puts the test images")
    return figure


def plot_mutants(result: ErrorResult) -> Figure:
    """AUROC of the label change rate against the number of mutants, beside maximum softmax."""
    table = result.tables["mutants"]
    plain = float(result.tables["scores"].set_index("score").auroc["msp"])
    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    axes.axhline(plain, color=_INK, lw=1, ls="--")
    axes.text(table.num_mutants.iloc[0], plain, " maximum softmax, one pass", va="bottom")
    axes.plot(table.num_mutants, table.auroc, "o-", color=_TESTED, lw=1.8)
    axes.set_xscale("log")
    axes.set_xticks(table.num_mutants, [f"{count:g}" for count in table.num_mutants])
    axes.minorticks_off()
    axes.grid(lw=0.6)
    axes.set(xlabel="mutants asked", ylabel="AUROC of the label change rate")
    axes.set_title("What more mutants bring")
    return figure


def plot_shifts(result: ErrorResult) -> Figure:
    """Accuracy of all and of kept images as images get worse, thresholds frozen."""
    table = result.tables["shifts"]
    names = [name for name in table["shift"].unique() if name != "none"]
    figure, axes = pyplot.subplots(
        1, len(names), figsize=(1.2 + 2.7 * len(names), 3.7), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for panel, name in zip(axes[0], names, strict=True):
        rows = table[table["shift"].isin(["none", name])].sort_values("severity")
        every = rows.drop_duplicates("severity")
        panel.plot(every.severity, every.accuracy, color=_INK, ls="--", marker=".", label="all")
        for position, score in enumerate(table.score.unique()):
            one = rows[rows.score == score]
            color, marker = color_and_marker(position)
            title = f"kept by {result.parameters['titles'][score].lower()}"
            panel.plot(one.severity, one.accuracy_of_kept, color=color, marker=marker, ms=4,
                       label=title)  # fmt: skip
        panel.set_title(name.replace("_", " "))
        panel.set_xlabel("largest change" if name in ("fgsm", "pgd") else "severity")
        panel.grid(lw=0.6)
    axes[0, 0].set_ylabel("accuracy")
    axes[0, 0].set_ylim(-0.02, 1.03)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def plot_profiles(result: ErrorResult, count: int = 6) -> Figure:
    """The most suspicious images shown, each beside the maps that stand for its predicted class."""
    arrays, names = result.arrays, result.parameters["class_names"]
    count = min(count, len(arrays["shown"]))
    figure, axes = pyplot.subplots(
        2, count, figsize=(1.9 * count, 4.0), height_ratios=(1, 1.1), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for column in range(count):
        index = int(arrays["shown"][column])
        axes[0, column].imshow(arrays["inputs"][column])
        axes[0, column].set(xticks=[], yticks=[])
        said = names[int(arrays["predicted"][index])]
        label = names[int(arrays["labels"][index])]
        mark = "✔" if said == label else f"✖ is {label}"
        gap = " " if len(said + label) <= LONGEST_NAMES else "\n"
        axes[0, column].set_title(f"says {said}{gap}{mark}", fontsize=9, loc="center")
        _draw_profile(axes[1, column], arrays, column)
    axes[1, 0].set_ylabel("conductance")
    figure.suptitle(
        "Maps that stand for the predicted class: this image (bars) and its class (grey)",
        x=0.01, ha="left", fontsize=11, weight="bold",
    )  # fmt: skip
    return figure


def _draw_profile(axes: Axes, arrays: dict, column: int) -> None:
    place = np.arange(arrays["map_ids"].shape[1])
    mean, deviation = arrays["map_means"][column], arrays["map_deviations"][column]
    axes.fill_between(place, mean - deviation, mean + deviation, step="mid", color="#dfe4e8")
    axes.step(place, mean, where="mid", color=_BASELINE, lw=1.2)
    axes.bar(place, arrays["map_values"][column], 0.6, color=_TESTED)
    axes.axhline(0, color=_BASELINE, lw=0.8)
    is_long = arrays["map_ids"].max() > 999
    axes.set_xticks(place, arrays["map_ids"][column], fontsize=7, rotation=90 if is_long else 0)
    axes.set_xlabel("map", fontsize=8)


def _followed(result: ErrorResult) -> list[str]:
    """Maximum softmax, what is under test, and the best baseline."""
    known = [name for name in _CURVES if name in result.parameters["scores"]]
    table = result.tables["scores"]
    best = table[~table.under_test].score.iloc[0]
    return known if best in known else [*known, best]
