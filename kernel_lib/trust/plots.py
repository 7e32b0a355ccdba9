"""Figures of the trust audit."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot

from kernel_lib.report.theme import color_and_marker, theme
from kernel_lib.trust.probing import PROBES
from kernel_lib.trust.verdict import SIGNIFICANCE

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kernel_lib.trust.result import TrustResult

DIFFERENCE_COLORS = "RdBu_r"
_MOST_BARS = 24


def figure_makers(result: TrustResult) -> dict[str, Callable[[], Figure]]:
    """The figures that fit what was measured, the most telling first."""
    found: dict[str, Callable[[], Figure]] = {"matrix": partial(plot_matrix, result)}
    if len(result.parameters["taps"]) > 1:
        found["depth"] = partial(plot_depth, result)
    found["controls"] = partial(plot_controls, result)
    if len(result.parameters["probes"]) > 1:
        found["probes"] = partial(plot_probes, result)
    if "codes" in result.tables:
        found["codes"] = partial(plot_codes, result)
    if "suppression" in result.tables:
        found["suppression"] = partial(plot_trade_off, result.tables["suppression"])
    return found


def plot_matrix(result: TrustResult, tap: str | None = None, probe: str | None = None) -> Figure:
    """The matrix, its ideal, and their difference; a star marks a significant leak."""
    given = result.parameters
    tap, probe = tap or given["tap"], probe or given["probes"][0]
    matrix, ideal = result.matrix(tap, probe), result.ideal
    height = 2.3 + 0.52 * len(matrix.rows)
    figure, axes = pyplot.subplots(
        1, 3, figsize=(4.2 + 1.9 * len(matrix.columns), height), sharey=True, layout="constrained"
    )
    titles = (f"Read off {tap!r} by {PROBES[probe].title.lower()}", "Ideal", "Difference")
    values = (matrix.values, ideal.values, matrix.values - ideal.values)
    for each, title, value in zip(axes, titles, values, strict=True):
        is_difference = title == "Difference"
        picture = each.imshow(
            value, cmap=DIFFERENCE_COLORS if is_difference else "cividis",
            vmin=-1 if is_difference else 0, vmax=1, aspect="auto",
        )  # fmt: skip
        _annotate(each, value, is_difference)
        each.set_title(title)
        each.set_xticks(
            range(len(matrix.columns)),
            matrix.columns,
            rotation=35,
            ha="right",
            rotation_mode="anchor",
        )
        each.tick_params(length=0)
        each.spines[:].set_visible(False)
        if title != "Ideal":
            bar = figure.colorbar(picture, ax=each, shrink=0.85, pad=0.02)
            bar.outline.set_visible(False)
    _mark(axes[2], result, tap, probe)
    axes[0].set_yticks(range(len(matrix.rows)), matrix.rows)
    axes[0].set_ylabel("network trained for")
    axes[1].set_xlabel("task that is read")
    return figure


def _annotate(axes: Axes, values: np.ndarray, is_difference: bool) -> None:
    for (row, column), value in np.ndenumerate(values):
        dark = abs(value) > 0.6 if is_difference else value < 0.55
        text = f"{value:+.2f}" if is_difference else f"{value:.2f}"
        axes.text(column, row, text, ha="center", va="center", color="white" if dark else "black")


def _mark(axes: Axes, result: TrustResult, tap: str, probe: str) -> None:
    """A star in the corner of each cell whose leak is significant."""
    cells = result.tables["cells"]
    here = cells[(cells.tap == tap) & (cells.probe == probe) & (cells.p_holm <= SIGNIFICANCE)]
    rows, columns = result.parameters["primaries"], result.parameters["tasks"]
    for cell in here[here.share > 0].itertuples():
        place = columns.index(cell.target) + 0.36, rows.index(cell.primary) - 0.24
        dark = abs(cell.accuracy - cell.ideal) > 0.6
        axes.text(*place, "★", ha="center", va="center", fontsize=7, color="w" if dark else "k")
    if here.p_holm.notna().any():
        axes.set_xlabel("★ a significant leak", color="#3c4852")


def plot_depth(result: TrustResult) -> Figure:
    """Preservation and leakage against depth, with intervals and the band of untrained networks."""
    table = result.tables["scores"].query("mode == 'normalised' and primary == 'all'")
    probes = result.parameters["probes"]
    figure, axes = pyplot.subplots(
        1, len(probes), figsize=(1.5 + 4.6 * len(probes), 4.1), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    taps = result.parameters["taps"]
    for each, probe in zip(axes[0], probes, strict=True):
        rows = table[table.probe == probe].set_index("tap").loc[taps]
        _draw_depth(each, rows)
        each.set_xticks(range(len(taps)), taps, rotation=35, ha="right", rotation_mode="anchor")
        each.axvline(taps.index(result.parameters["tap"]), color="#8a949e", lw=0.8, ls=":")
        each.set_title(PROBES[probe].title)
        each.set_ylim(-0.04, 1.04)
        each.set_xlim(-0.3, len(taps) - 0.7)
    axes[0, 0].set_ylabel("share of the way to certainty")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    figure.supxlabel("layer, from input to output", fontsize=10)
    return figure


def _draw_depth(axes: Axes, rows: pd.DataFrame) -> None:
    place = np.arange(len(rows))
    if rows.untrained_leakage.notna().any():
        low, high = rows.untrained_leakage_low, rows.untrained_leakage_high
        axes.fill_between(place, low, high, color="#8a949e", alpha=0.35, lw=0)
        axes.plot(
            place, rows.untrained_leakage, color="#5f6b73", ls="--", lw=1.2,
            label="other tasks, untrained",
        )  # fmt: skip
    for position, (name, label) in enumerate(
        (("preservation", "own task"), ("leakage", "other tasks"))
    ):
        color, marker = color_and_marker(position)
        axes.fill_between(
            place, rows[f"{name}_low"], rows[f"{name}_high"], color=color, alpha=0.18, lw=0
        )
        axes.plot(place, rows[name], color=color, marker=marker, ms=5, lw=1.8, label=label)


def plot_controls(result: TrustResult) -> Figure:
    """Each leak beside what needs no training: chance, pixels, untrained networks, memory."""
    given = result.parameters
    cells = result.tables["cells"]
    here = cells[(cells.tap == given["tap"]) & (cells.probe == given["probes"][0])]
    shown = here[here.primary != here.target].nlargest(_MOST_BARS, "share").iloc[::-1]
    figure, axes = pyplot.subplots(figsize=(8.5, 1.5 + 0.27 * len(shown)), layout="constrained")
    place = np.arange(len(shown))
    axes.hlines(place, shown.low, shown.high, color="#d55e00", lw=3, alpha=0.45)
    axes.plot(
        shown.accuracy, place, "s", color="#d55e00", ms=6, label="trained, with 95 % interval"
    )
    for column, marker, color, label in (
        ("ideal", "|", "#1b2530", "ideal"),
        ("untrained", "o", "#5f6b73", "untrained networks"),
        ("pixels", "x", "#0072b2", "raw pixels"),
        ("control_accuracy", "^", "#cc79a7", "control task: memory alone"),
    ):
        if shown[column].notna().any():
            axes.plot(
                shown[column], place, marker, color=color, ms=11 if marker == "|" else 5.5,
                mfc="none", mew=2 if marker == "|" else 1.4, ls="", label=label,
            )  # fmt: skip
    axes.set_yticks(place, [f"{row.primary} tells {row.target}" for row in shown.itertuples()])
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel("accuracy on the test images")
    axes.set_title(f"What can be read off {given['tap']!r}, and what needs no training")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1))
    return figure


def plot_probes(result: TrustResult) -> Figure:
    """Trust at the headline tap by each probe: a finding should not hang on the probe."""
    table = result.tables["scores"].query("primary == 'all' and tap == @result.parameters['tap']")
    modes = [mode for mode in ("absolute", "normalised", "relative") if mode in set(table["mode"])]
    probes = result.parameters["probes"]
    figure, axes = pyplot.subplots(figsize=(7.5, 3.6), layout="constrained")
    for position, mode in enumerate(modes):
        rows = table[table["mode"] == mode].set_index("probe").loc[probes]
        place = np.arange(len(probes)) + 0.16 * (position - (len(modes) - 1) / 2)
        color, marker = color_and_marker(position)
        errors = np.abs(np.stack([rows.trust - rows.trust_low, rows.trust_high - rows.trust]))
        axes.errorbar(place, rows.trust, errors, fmt=marker, color=color, capsize=3, label=mode)
    axes.set_xticks(range(len(probes)), [PROBES[probe].title for probe in probes])
    axes.set_xlim(-0.5, len(probes) - 0.5)
    axes.set_ylabel("trust")
    axes.grid(axis="y")
    axes.set_title(f"Trust at {result.parameters['tap']!r} by probe")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), title="Score")
    return figure


def plot_codes(result: TrustResult) -> Figure:
    """How far the features shorten the code of each task's labels."""
    table = result.tables["codes"].pivot(index="primary", columns="target", values="compression")
    rows = [row for row in (*result.parameters["primaries"], "untrained") if row in table.index]
    table = table.loc[rows, result.parameters["tasks"]]
    figure, axes = pyplot.subplots(
        figsize=(3 + 0.95 * table.shape[1], 1.9 + 0.46 * len(table)), layout="constrained"
    )
    values = np.log2(np.maximum(table.to_numpy(), 0.5))
    picture = axes.imshow(values, cmap="cividis", vmin=0, aspect="auto")
    top = max(float(values.max()), 1e-9)
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        color = "white" if values[row, column] < 0.55 * top else "black"
        axes.text(column, row, f"{value:.1f}×", ha="center", va="center", color=color)
    axes.set_xticks(
        range(table.shape[1]), table.columns, rotation=35, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(table)), table.index)
    axes.set_ylabel("network trained for")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(textwrap.fill("How much shorter the features make the labels' code", 60))
    bar = figure.colorbar(picture, ax=axes, shrink=0.85)
    bar.set_label("log2 of the compression")
    bar.outline.set_visible(False)
    return figure


def plot_trade_off(table: pd.DataFrame) -> Figure:
    """Accuracy against leakage, a point for each strength of suppression.

    Args:
        table: of `kernel_lib.trust.suppression_curve`.
    """
    with theme():
        figure, axes = pyplot.subplots(figsize=(7, 4.4), layout="constrained")
        rows = table.sort_values("strength")
        errors = np.abs(
            np.stack([rows.leakage - rows.leakage_low, rows.leakage_high - rows.leakage])
        )
        color, marker = color_and_marker(0)
        axes.errorbar(
            rows.leakage, rows.head_accuracy, xerr=errors, color=color, marker=marker, lw=1.2,
            elinewidth=1, capsize=3, label="the network, read by fresh probes",
        )  # fmt: skip
        for row in rows.itertuples():
            axes.annotate(
                f"strength {row.strength:g}", (row.leakage, row.head_accuracy),
                xytext=(7, 7), textcoords="offset points", fontsize=9,
            )  # fmt: skip
        axes.plot(
            rows.adversary_leakage, rows.head_accuracy, "x", color="#8a949e",
            label="what its own adversary reads of the tasks named",
        )  # fmt: skip
        axes.set_xlabel("leakage of other tasks (share of the way to certainty)")
        axes.set_ylabel("accuracy on its own task")
        axes.margins(0.16)
        axes.grid()
        axes.legend(loc="best")
        axes.set_title("What suppression costs, and what it buys")
        return figure
