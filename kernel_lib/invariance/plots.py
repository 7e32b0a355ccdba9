"""Figures of the invariance audit."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot

from kernel_lib.invariance.frames import signal_title
from kernel_lib.invariance.result import main_signals
from kernel_lib.report.theme import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kernel_lib.invariance.result import InvarianceResult

_GREY = "#8a949e"
_MOST_COLUMNS = 9


def figure_makers(result: InvarianceResult) -> dict[str, Callable[[], Figure]]:
    """The figures, the most telling first."""
    found: dict[str, Callable[[], Figure]] = {
        "curves": partial(plot_curves, result),
        "matrices": partial(plot_matrices, result),
        "images": partial(plot_images, result),
    }
    if "classes" in result.tables:
        found["classes"] = partial(plot_classes, result)
    return found


def plot_curves(result: InvarianceResult) -> Figure:
    """Accuracy, sureness and changed classes against the value of the transformation."""
    table, given = result.tables["curve"], result.parameters
    figure, axes = pyplot.subplots(figsize=(8.6, 4.2), layout="constrained")
    if "accuracy" in table:
        _draw_accuracy(axes, result)
    axes.plot(
        table.value, table.original_class, color=COLORS[2], ls="--", label="sureness of first class"
    )
    axes.plot(table.value, table.flip_rate, color=COLORS[1], lw=2, label="changed classes")
    axes.axvline(given["grid"]["identity"], color=_GREY, lw=0.8, ls=":")
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel(f"{given['title'].lower()} {_unit(result)}".strip())
    axes.set_ylabel("share of images")
    axes.set_title(f"{given['title']}: {result.question}")
    # Below, as the cuts are named on the right, at whatever height they lie.
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    return figure


def _draw_accuracy(axes: Axes, result: InvarianceResult) -> None:
    table, given = result.tables["curve"], result.parameters
    identity = table.accuracy[given["identity_index"]]
    axes.fill_between(
        table.value, table.accuracy_low, table.accuracy_high, color=COLORS[0], alpha=0.16, lw=0
    )
    axes.plot(table.value, table.accuracy, color=COLORS[0], lw=2, label="accuracy, 95 % interval")
    for cut, words in (("invariant_below", "still invariant"), ("broken_above", "not invariant")):
        height = identity * (1 - given[cut])
        axes.axhline(height, color=COLORS[0], lw=0.8, ls=(0, (1, 3)))
        axes.annotate(
            f" {words}", (1.0, height), xycoords=("axes fraction", "data"), color="#3c4852",
            fontsize=8, va="center", annotation_clip=False,
        )  # fmt: skip


def plot_matrices(result: InvarianceResult) -> Figure:
    """Variance matrices of the main signals, and of changed classes, each on its own scale."""
    given = result.parameters
    names = [name for name in main_signals(given["taps"]) if name in given["signals"]]
    shown = [(signal_title(name, given["taps"]), result.matrix(name)) for name in names]
    shown.insert(1, ("Changed classes", result.arrays["flip_matrix"]))
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(3.5 * columns, 3.25 * rows), squeeze=False, layout="constrained"
    )
    for each in axes.flat[len(shown) :]:
        each.set_axis_off()
    for each, (title, matrix) in zip(axes.flat, shown, strict=False):
        _draw_matrix(figure, each, matrix, title, result)
    figure.suptitle(
        "How much each signal differs between any two steps (0 = the same)", x=0.01, ha="left"
    )
    return figure


def _draw_matrix(
    figure: Figure, axes: Axes, matrix: np.ndarray, title: str, result: InvarianceResult
) -> None:
    # Drawn from the lower left, so that the untouched pair sits on a rising diagonal.
    picture = axes.imshow(matrix, cmap="viridis", origin="lower", vmin=0, vmax=_top(matrix))
    h = result.parameters["identity_index"]
    labels = result.tables["curve"].label
    ticks = sorted({0, h, len(matrix) - 1})
    axes.set_xticks(ticks, [labels[step] for step in ticks])
    axes.set_yticks(ticks, [labels[step] for step in ticks])
    axes.plot(h, h, "+", color="white", ms=9, mew=1.4)
    axes.set_title(textwrap.fill(title, 22), fontsize=10)
    figure.colorbar(picture, ax=axes, shrink=0.85)


def _top(matrix: np.ndarray) -> float:
    """The colour scale reaches at least 0.15, so that a calm network also looks calm."""
    return max(0.15, float(matrix.max()))


def plot_images(result: InvarianceResult, count: int = 6) -> Figure:
    """Images that flip most, at some steps, with what the network says."""
    arrays, given = result.arrays, result.parameters
    steps = _some_steps(len(arrays["plateau"]), given["identity_index"])
    count = min(count, len(arrays["pictures"]))
    figure, axes = pyplot.subplots(
        count, len(steps), squeeze=False, layout="constrained",
        figsize=(0.4 + 1.12 * len(steps), 0.6 + 1.3 * count),
    )  # fmt: skip
    classes = arrays["probabilities"].argmax(axis=-1)  # (shown, steps)
    labels = result.tables["curve"].label
    for row in range(count):
        first = classes[row, given["identity_index"]]
        for column, step in enumerate(steps):
            cell, said = axes[row, column], classes[row, step]
            cell.imshow(arrays["pictures"][row, step])
            cell.set(xticks=[], yticks=[])
            name = given["class_names"][said]
            share = arrays["probabilities"][row, step, said]
            changed = said != first
            cell.set_xlabel(
                f"{'≠ ' if changed else ''}{name} {share:.0%}", fontsize=8, labelpad=2,
                color="#a3262a" if changed else "#3c4852",
                fontweight="bold" if changed else "normal",
            )  # fmt: skip
    for column, step in enumerate(steps):
        axes[0, column].set_title(labels[step], fontsize=9, loc="center", weight="normal")
    figure.suptitle("Images that change their class at most steps", x=0.01, ha="left")
    return figure


def _some_steps(num_steps: int, identity: int) -> list[int]:
    spread = np.linspace(0, num_steps - 1, min(num_steps, _MOST_COLUMNS)).round().astype(int)
    return sorted({*spread.tolist(), identity})


def plot_classes(result: InvarianceResult) -> Figure:
    """Accuracy of each class at the identity and at its worst step."""
    table = result.tables["classes"].head(20).iloc[::-1].reset_index(drop=True)
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.3 * len(table)), layout="constrained")
    place = np.arange(len(table))
    axes.hlines(place, table.worst_accuracy, table.identity_accuracy, color=_GREY, lw=2)
    axes.plot(table.identity_accuracy, place, "o", color=COLORS[0], ms=7, label="identity step")
    axes.plot(table.worst_accuracy, place, "s", color=COLORS[1], ms=7, label="worst step")
    axes.set_yticks(place, [textwrap.shorten(str(name), 24) for name in table["class"]])
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("accuracy")
    axes.set_title("What each class loses")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _unit(result: InvarianceResult) -> str:
    unit = result.parameters["grid"]["unit"]
    return f"({unit})" if unit else ""
