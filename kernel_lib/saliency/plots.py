"""Figures of the saliency audit. Every line, bar and cell is picked by name, never by position."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot
from matplotlib.colors import LinearSegmentedColormap

from kernel_lib.report.page import MARKS
from kernel_lib.report.theme import color_and_marker
from kernel_lib.saliency.frames import TITLES
from kernel_lib.saliency.methods import METHODS
from kernel_lib.saliency.similarity import METRICS
from kernel_lib.saliency.verdict import RETAINED_CUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kernel_lib.saliency.result import SaliencyResult

SIGNED_COLORS = LinearSegmentedColormap.from_list("signed", ["#0b4f8a", "#ffffff", "#b8500a"])
_MOST_COLUMNS = 9


def figure_makers(result: SaliencyResult) -> dict[str, Callable[[], Figure]]:
    """The figures that fit the result's test, the most telling first."""
    found: dict[str, Callable[[], Figure]] = {"verdicts": partial(plot_verdicts, result)}
    if result.parameters["test"] in ("labels", "random_logit", "full"):
        found["bars"] = partial(plot_bars, result)
    elif result.parameters["test"] == "independent":
        found["boxes"] = partial(plot_boxes, result)
    else:
        found["curves"] = partial(plot_curves, result)
    if "noise" in result.tables:
        found["noise"] = partial(plot_noise, result)
    found["maps"] = partial(plot_maps, result)
    return found


def plot_curves(result: SaliencyResult) -> Figure:
    """Similarity against step for two metrics, with intervals, and the network's own decline."""
    names = _two_metrics(result)
    labels = _labels(result)
    width = max(9.0, 4.0 + 0.55 * len(labels) * len(names))
    figure, axes = pyplot.subplots(
        2, len(names), figsize=(width, 5.6), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    axes = axes.reshape(2, -1)
    for column, name in enumerate(names):
        draw_curves(axes[0, column], result, name)
        _draw_network(axes[1, column], result, labels)
    axes[0, 0].set_ylabel("similarity with the trained network's map")
    handles, texts = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside right upper", title="Method")
    figure.suptitle(
        TITLES[result.parameters["test"]][0] + ": " + result.question, x=0.01, ha="left"
    )
    return figure


def draw_curves(axes: Axes, result: SaliencyResult, metric: str) -> None:
    """Draw each method's mean similarity over the steps, with its interval and ceiling."""
    table = result.tables["similarity"]
    table = table[table.metric == metric]
    ceilings = result.tables["controls"].query("metric == @metric").set_index("method").ceiling
    for position, method in enumerate(result.parameters["methods"]):
        rows = table[table.method == method].sort_values("step")
        color, marker = color_and_marker(position)
        style = "--" if METHODS.get(method) and METHODS[method].is_control else "-"
        axes.plot(
            rows.step, rows["mean"], color=color, marker=marker, ms=4.5, ls=style, lw=1.6,
            label=title_of(method),
        )  # fmt: skip
        axes.fill_between(rows.step, rows.low, rows.high, color=color, alpha=0.15, lw=0)
        if np.isfinite(ceilings[method]) and ceilings[method] < 0.99:
            axes.axhline(ceilings[method], color=color, ls=":", lw=1)
    axes.axhline(0, color="#8a949e", lw=0.8)
    axes.axvline(0.5, color="#8a949e", lw=0.8, ls="--")
    axes.set_ylim(-0.25, 1.05)
    axes.set_title(METRICS[metric].title)


def _draw_network(axes: Axes, result: SaliencyResult, labels: list[str]) -> None:
    table = result.tables["network"]
    axes.plot(
        table.step, table.logit_correlation, color="#51606e", ls="--", label="logit correlation"
    )
    if result.parameters["has_labels"]:
        axes.plot(table.step, table.accuracy, color="#1b2530", marker="o", ms=4, label="accuracy")
    axes.set_ylim(-0.1, 1.08)
    axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
    axes.set_xlabel(TITLES[result.parameters["test"]][1])
    axes.legend(loc="upper right", ncols=2)


def plot_verdicts(result: SaliencyResult) -> Figure:
    """What each method retains, with its interval, and the line it must stay under."""
    table = result.tables["verdicts"].iloc[::-1]
    figure, axes = pyplot.subplots(figsize=(8, 1.3 + 0.42 * len(table)), layout="constrained")
    axes.axvspan(RETAINED_CUT, 1.1, color="#8a949e", alpha=0.14, lw=0)
    axes.axvline(RETAINED_CUT, color="#51606e", lw=1, ls="--")
    for place, row in enumerate(table.itertuples()):
        mark, word, color = MARKS[row.status]
        axes.plot([row.low, row.high], [place, place], color=color, lw=3, solid_capstyle="round")
        axes.plot(row.retained, place, "o", color=color, ms=8)
        axes.text(1.13, place, f"{mark} {word}", color=color, va="center")
    axes.set_yticks(range(len(table)), [title_of(method) for method in table.method])
    axes.set_xlim(-0.3, 1.1)
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlabel(
        "share of the map that stays: 0 = like the control, 1 = never looks at the network"
    )
    axes.set_title("What stays of each map when what it explains is destroyed")
    return figure


def plot_boxes(result: SaliencyResult) -> Figure:
    """One block at a time: the spread over images and seeds, grouped by block."""
    import seaborn

    metric = _two_metrics(result)[0]
    table = result.long_table()
    table = table[(table.metric == metric) & (table.step > 0)].dropna()
    table["method"] = table.method.map(title_of)
    names = [title_of(name) for name in result.parameters["methods"]]
    labels = _labels(result)[1:]
    figure, axes = pyplot.subplots(figsize=(max(9, 2.2 * len(labels)), 5), layout="constrained")
    palette = {name: color_and_marker(i)[0] for i, name in enumerate(names)}
    seaborn.boxplot(
        table, x="label", y="value", hue="method", order=labels, hue_order=names,
        palette=palette, fliersize=1.5, linewidth=0.8, ax=axes,
    )  # fmt: skip
    axes.axhline(0, color="#8a949e", lw=0.8)
    axes.set_ylim(-1.05 if table.value.min() < -0.3 else -0.35, 1.05)
    axes.set(xlabel=TITLES["independent"][1], ylabel="similarity with the trained network's map")
    axes.set_title(METRICS[metric].title)
    seaborn.move_legend(axes, "upper left", bbox_to_anchor=(1, 1), title="Method")
    return figure


def plot_bars(result: SaliencyResult) -> Figure:
    """Mean similarity after the change (mean over other classes), with intervals."""
    table = result.tables["similarity"].query("step > 0")
    table = table.groupby(["method", "metric"], as_index=False)[["mean", "low", "high"]].mean()
    methods = result.parameters["methods"]
    names = _two_metrics(result)
    figure, axes = pyplot.subplots(figsize=(9, 1.6 + 0.42 * len(methods)), layout="constrained")
    place = np.arange(len(methods))[::-1]
    for position, name in enumerate(names):
        rows = table[table.metric == name].set_index("method").loc[methods]
        color, _ = color_and_marker(position)
        errors = np.abs(np.stack([rows["mean"] - rows.low, rows.high - rows["mean"]]))
        shift = 0.2 - 0.4 * position
        axes.barh(
            place + shift, rows["mean"], 0.38, xerr=errors, color=color, label=METRICS[name].title,
            error_kw={"ecolor": "#1b2530", "elinewidth": 1},
        )  # fmt: skip
    axes.set_yticks(place, [title_of(method) for method in methods])
    axes.axvline(0, color="#8a949e", lw=0.8)
    axes.set_xlabel("similarity with the first map")
    axes.set_title(TITLES[result.parameters["test"]][0])
    axes.legend(loc="lower right")
    return figure


def plot_noise(result: SaliencyResult) -> Figure:
    """Area under the similarity curve over noise, a cell for each method and metric."""
    table = result.tables["noise"].pivot(
        index="method", columns="metric", values="area_under_curve"
    )
    table = table.loc[result.parameters["methods"], result.parameters["metrics"]]
    figure, axes = pyplot.subplots(
        figsize=(2.6 + 1.25 * table.shape[1], 1.8 + 0.4 * len(table)), layout="constrained"
    )
    picture = axes.imshow(table, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        if np.isfinite(value):
            color = "white" if value < 0.55 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)
    axes.set_yticks(range(len(table)), [title_of(method) for method in table.index])
    titles = [textwrap.fill(METRICS[name].title, 14) for name in table.columns]
    axes.set_xticks(range(table.shape[1]), titles)
    axes.set_title("Mean similarity over the logarithm of the noise")
    figure.colorbar(picture, ax=axes, shrink=0.8)
    return figure


def plot_maps(result: SaliencyResult, image: int = 0, view: str = "absolute") -> Figure:
    """Maps of one image: a row for each method, a column for each step."""
    arrays, labels = result.arrays, _labels(result)
    methods = result.parameters["methods"]
    columns = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), _MOST_COLUMNS)).round())
    columns = columns.astype(int)
    figure, axes = pyplot.subplots(
        len(methods), len(columns) + 1, squeeze=False, layout="constrained",
        figsize=(1.6 + 1.05 * (len(columns) + 1), 0.6 + 1.05 * len(methods)),
    )  # fmt: skip
    for row, method in enumerate(methods):
        axes[row, 0].imshow(arrays["inputs"][image])
        axes[row, 0].set_ylabel(
            textwrap.fill(title_of(method), 14), rotation=0, ha="right", va="center", labelpad=6
        )
        for column, step in enumerate(columns, start=1):
            draw_map(axes[row, column], arrays, (0, step, row, image), view)
    for column, text in enumerate(["image", *(labels[step] for step in columns)]):
        axes[0, column].set_title(
            textwrap.fill(text, 12), fontsize=9, loc="center", weight="normal"
        )
    for each in axes.flat:
        each.set(xticks=[], yticks=[])
    return figure


def draw_map(axes: Axes, arrays: dict, place: tuple, view: str) -> None:
    """Draw one map; an empty one is hatched and named."""
    if arrays["empty"][place]:
        axes.patch.set(hatch="///", facecolor="#eef1f3", edgecolor="#8a949e")
        axes.text(
            0.5, 0.5, "empty map", ha="center", va="center", transform=axes.transAxes, fontsize=8
        )
        return
    picture = arrays[f"maps_{view}"][place]
    if view == "signed":
        axes.imshow(picture, cmap=SIGNED_COLORS, vmin=0, vmax=254)
    else:
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)


def title_of(method: str) -> str:
    """The title of a registered method, or the name of a user's own."""
    return METHODS[method].title if method in METHODS else method.replace("_", " ")


def _two_metrics(result: SaliencyResult) -> list[str]:
    """An absolute and a signed view side by side, the ones that verdicts rest on if measured."""
    wanted = ("spearman_absolute_foreground", "spearman_signed")
    measured: list[str] = result.parameters["metrics"]
    return [name for name in wanted if name in measured] or measured[:2]


def _labels(result: SaliencyResult) -> list[str]:
    return [step["label"] for step in result.parameters["steps"]]
