"""Figures of the check-up."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import pyplot

from kernel_lib.doctor.reliance import scaled
from kernel_lib.report.theme import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kernel_lib.doctor.result import DoctorResult

NETWORKS = ("before", "control", "treated")
TITLES = {"before": "before", "control": "plain fine-tuning", "treated": "treated"}
_COLORS = {"before": "#5f6b73", "control": COLORS[5], "treated": COLORS[0]}
_MOST_CLASSES, _MOST_CHANNELS = 30, 80


def figure_makers(result: DoctorResult) -> dict[str, Callable[[], Figure]]:
    """The figures that fit what was done, the most telling first."""
    found: dict[str, Callable[[], Figure]] = {}
    if "comparison" in result.tables:
        found["comparison"] = partial(plot_comparison, result)
        found["networks"] = partial(plot_networks, result)
    found["saliency"] = partial(plot_saliency, result)
    found["correlation"] = partial(plot_correlation, result)
    found["channels"] = partial(plot_channels, result)
    found["ablation"] = partial(plot_ablation, result)
    if "history" in result.tables:
        found["history"] = partial(plot_history, result)
    return found


def plot_comparison(result: DoctorResult) -> Figure:
    """Accuracy of each class before, after plain fine-tuning and treated; the gain beside it."""
    table = result.tables["comparison"].head(_MOST_CLASSES + 1).iloc[::-1].reset_index(drop=True)
    figure, (left, right) = pyplot.subplots(
        1, 2, sharey=True, width_ratios=(3, 2), figsize=(9.5, 1.4 + 0.42 * len(table)),
        layout="constrained",
    )  # fmt: skip
    place = np.arange(len(table))
    left.hlines(place, 0, 1, color="#dfe4e8", lw=1)
    for name, marker in zip(NETWORKS, ("o", "s", "D"), strict=True):
        left.plot(
            table[name], place, marker, color=_COLORS[name], ms=7, label=TITLES[name], ls="none"
        )
    left.set(xlim=(-0.02, 1.02), xlabel="accuracy on the test images")
    left.set_yticks(place, [textwrap.shorten(str(name), 24) for name in table["class"]])
    left.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    right.axvline(0, color="#51606e", lw=1)
    for row in table.itertuples():
        color = _COLORS["treated"] if row.low > 0 else COLORS[1] if row.high < 0 else "#5f6b73"
        right.plot([row.low, row.high], [row.Index] * 2, color=color, lw=3, solid_capstyle="round")
        right.plot(row.gain, row.Index, "D", color=color, ms=7)
    right.set_xlabel("treated less plain fine-tuning, 95 % interval")
    return figure


def plot_networks(result: DoctorResult) -> Figure:
    """Four measures of each network, a dot a seed."""
    table = result.tables["treatment"]
    measures = {
        "accuracy": "accuracy",
        "background_reliance": "decisions that a foreign\nbackground changes",
        "gradient_outside": "image gradient\noutside the object",
        "calibration_error": "calibration error",
    }
    known = [name for name in measures if table[name].notna().any()]
    figure, axes = pyplot.subplots(
        1, len(known), figsize=(2.5 * len(known), 3.2), layout="constrained", squeeze=False
    )
    for panel, name in zip(axes[0], known, strict=True):
        for place, network in enumerate(NETWORKS):
            values = table.loc[table.network == network, name].to_numpy()
            shift = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
            panel.plot(place + shift, values, "o", color=_COLORS[network], ms=6, alpha=0.85)
            panel.hlines(values.mean(), place - 0.28, place + 0.28, color=_COLORS[network], lw=2)
        panel.set_xticks(range(3), ["before", "plain", "treated"])
        panel.set_xlim(-0.5, 2.5)
        panel.set_ylim(bottom=min(0, panel.get_ylim()[0]))
        panel.set_title(measures[name], fontsize=9.5)
    return figure


def plot_saliency(result: DoctorResult) -> Figure:
    """The same images, and where the gradient of the true class lies in each network."""
    inputs = result.arrays["inputs"]
    names = [name for name in NETWORKS if f"maps_{name}" in result.arrays]
    classes = result.parameters["class_names"]
    figure, axes = pyplot.subplots(
        1 + len(names), len(inputs), squeeze=False, layout="constrained",
        figsize=(1.4 + 1.25 * len(inputs), 0.3 + 1.25 * (1 + len(names))),
    )  # fmt: skip
    for column, picture in enumerate(inputs):
        label = classes[int(result.arrays["shown_labels"][column])]
        axes[0, column].imshow(picture)
        axes[0, column].set_title(textwrap.shorten(label, 14), fontsize=9, loc="center")
        for row, name in enumerate(names, start=1):
            axes[row, column].imshow(result.arrays[f"maps_{name}"][column], cmap="magma")
            _outline(axes[row, column], result, column)
    for row, title in enumerate(["image", *(TITLES[name] for name in names)]):
        axes[row, 0].set_ylabel(
            textwrap.fill(title, 11), rotation=0, ha="right", va="center", labelpad=6
        )
    for panel in axes.flat:
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    return figure


def _outline(panel: Axes, result: DoctorResult, column: int) -> None:
    """The object's outline, where a mask is known."""
    mask = result.arrays["shown_masks"][column]
    if mask.any() and not mask.all():
        panel.contour(mask, levels=[0.5], colors="#7fd3ff", linewidths=0.9)


def plot_correlation(result: DoctorResult) -> Figure:
    """The correlation heat map: how much each class leans on each channel of the tap."""
    averages = result.arrays["averages"]
    order = result.tables["channels"].sort_values(["share_of_classes", "strength"], ascending=False)
    chosen = order.channel.to_numpy()[:_MOST_CHANNELS]
    values = scaled(averages)[:_MOST_CLASSES, chosen]
    figure, panel = pyplot.subplots(
        figsize=(max(6, 2.5 + 0.12 * len(chosen)), 1.8 + 0.3 * len(values)), layout="constrained"
    )
    picture = panel.imshow(values, aspect="auto", cmap="cividis", vmin=0, vmax=1)
    names = result.parameters["class_names"][: len(values)]
    panel.set_yticks(range(len(values)), [textwrap.shorten(str(name), 24) for name in names])
    blamed = set(result.tables["channels"].query("blamed").channel)
    places = [place for place, channel in enumerate(chosen) if channel in blamed]
    panel.plot(places, [-0.85] * len(places), "v", color=COLORS[1], ms=6, clip_on=False)
    panel.set_xticks([])
    panel.set_ylim(len(values) - 0.5, -0.5)
    part = "" if len(chosen) == averages.shape[1] else f", {len(chosen)} of {averages.shape[1]}"
    panel.set_xlabel(f"channels of {result.parameters['tap']}, most used first{part}; ▼ blamed")
    figure.suptitle("How much each class leans on each channel", x=0.01, ha="left", weight="bold")
    figure.colorbar(picture, ax=panel, shrink=0.8, label="gradient, scaled in its class")
    return figure


def plot_channels(result: DoctorResult, most: int = 20) -> Figure:
    """The blamed and the most used channels: share of classes, and what is held against them."""
    table = result.tables["channels"].head(most).iloc[::-1].reset_index(drop=True)
    reason = result.parameters["blame"]
    column = "from_background" if reason == "background" else "push_to_error"
    title = {
        "background": "what the background says through it",
        "errors": "push towards the wrong class",
    }[reason]
    figure, (left, right) = pyplot.subplots(
        1, 2, sharey=True, figsize=(9, 1.2 + 0.24 * len(table)), layout="constrained"
    )
    place = np.arange(len(table))
    colors = [COLORS[1] if flag else "#8a949e" for flag in table.blamed]
    left.hlines(place, table.low, table.high, color=colors, lw=3)
    left.scatter(table.share_of_classes, place, color=colors, s=26, zorder=3)
    left.set(xlim=(-0.03, 1.03), xlabel="share of the classes that rely on it, 95 % interval")
    left.set_yticks(place, [f"channel {channel}" for channel in table.channel], fontsize=8)
    right.barh(place, table[column].fillna(0), 0.7, color=colors)
    right.axvline(0, color="#51606e", lw=0.8)
    right.set_xlabel(title)
    handles = [pyplot.Rectangle((0, 0), 1, 1, color=color) for color in (COLORS[1], "#8a949e")]
    right.legend(handles, ["blamed", "not blamed"], loc="lower right")
    return figure


def plot_ablation(result: DoctorResult) -> Figure:
    """Accuracy with the blamed channels held constant, and with random ones."""
    table = result.tables["ablation"].set_index("held")
    figure, panel = pyplot.subplots(figsize=(7, 2.2), layout="constrained")
    names = ["random", "blamed", "none"]
    colors = ["#8a949e", COLORS[1], "#51606e"]
    panel.barh(range(3), table.loc[names, "accuracy"].fillna(0), 0.62, color=colors)
    low, high = table.loc["random", ["low", "high"]]
    if np.isfinite(low):
        panel.plot([low, high], [0, 0], color="#1b2530", lw=1.5)
    for place, value in enumerate(table.loc[names, "accuracy"]):
        panel.text(1.01, place, f"{100 * value:.1f} %", va="center", clip_on=False)
    labels = ["random channels held", "blamed channels held", "the network as it is"]
    panel.set_yticks(range(3), labels)
    panel.set(xlim=(0, 1), xlabel="accuracy on the test images")
    return figure


def plot_history(result: DoctorResult) -> Figure:
    """The parts of the loss over the epochs, a line a seed."""
    table = result.tables["history"]
    columns = [
        name
        for name in ("cross_entropy", "channel", "spatial", "validation_accuracy")
        if name in table and table[name].notna().any() and (table[name] != 0).any()
    ]
    figure, axes = pyplot.subplots(
        1, len(columns), figsize=(2.7 * len(columns), 2.8), layout="constrained", squeeze=False
    )
    for panel, name in zip(axes[0], columns, strict=True):
        for network in ("control", "treated"):
            is_constraint = name in ("channel", "spatial")
            if network == "control" and is_constraint:
                continue
            for _, rows in table[table.network == network].groupby("seed"):
                panel.plot(rows.epoch, rows[name], color=_COLORS[network], marker="o", ms=3)
        panel.set_title(name.replace("_", " "), fontsize=9.5)
        panel.set_xlabel("epoch")
        panel.set_ylim(bottom=0)
    handles = [pyplot.Line2D([], [], color=_COLORS[name]) for name in ("control", "treated")]
    figure.legend(handles, [TITLES["control"], "treated"], loc="outside right upper")
    return figure
