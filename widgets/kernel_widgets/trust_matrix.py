"""Explore a trust matrix: which tasks can be read off networks that were not trained for them?"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets

from kernel_widgets.assets import module, stylesheet
from kernel_widgets.trust_frames import check_trust_frames, pack_trust

_LISTS = {
    "layer": "layers", "probe": "probes", "score": "scores", "primary": "primaries", "task": "tasks"
}  # fmt: skip
# The ends and middles of the colours that `static/trust_matrix.js` uses too (a test compares them).
CIVIDIS = ("#00224e", "#35456c", "#666970", "#948e77", "#c8b866", "#fee838")
LEAKS = ("#0a3f78", "#3f84c4", "#a9cdea", "#f7f7f5", "#f8c48e", "#dd7a22", "#8a3200")


class TrustMatrix(anywidget.AnyWidget):
    """Heat maps of a trust matrix, its ideal and their difference, a card for the cell under the
    cursor, and the curve of leakage over the layers.

    All numbers travel with the widget, so it needs no kernel. What a person chooses is kept in the
    traits below and can be read or set from Python.

    Args:
        source: frames (see `kernel_widgets.trust_frames`), or a result with a `frames()` method
            such as that of `kernel_lib.trust.audit`.
        **traits: first values of the traits, such as `layer=2`.

    Attributes:
        layer, probe, score: what is shown, counted from 0.
        primary, task: the row and column of the chosen cell, counted from 0.

    Raises:
        TypeError, ValueError: if frames are missing, incomplete or do not fit together.

    Example:
        >>> TrustMatrix(result)  # doctest: +SKIP
    """

    _esm = module("trust_matrix")
    _css = stylesheet("trust_matrix")

    atlas = traitlets.Bytes().tag(sync=True)
    atlas_layout = traitlets.Dict().tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)

    layer = traitlets.Int(0, min=0).tag(sync=True)
    probe = traitlets.Int(0, min=0).tag(sync=True)
    score = traitlets.Int(0, min=0).tag(sync=True)
    primary = traitlets.Int(0, min=0).tag(sync=True)
    task = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, source: Any, **traits: Any) -> None:
        make = None if isinstance(source, Mapping) else getattr(source, "frames", None)
        self.frames = check_trust_frames(make() if callable(make) else source)
        atlas, layout = pack_trust(self.frames)
        arrays = {"ideal", "cells", "totals"}
        primary, task = _strongest_leak(self.frames)
        first = {"layer": self.frames["layer"], "primary": primary, "task": task}
        first["score"] = _place(self.frames["scores"], "normalised")
        super().__init__(
            atlas=atlas,
            atlas_layout=layout,
            meta={name: value for name, value in self.frames.items() if name not in arrays},
            **(first | traits),
        )

    @traitlets.validate(*_LISTS)
    def _check_index(self, proposal: Mapping[str, Any]) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        most = len(self.frames[_LISTS[name]]) - 1
        if value > most:
            raise traitlets.TraitError(
                f"`{name}` must lie in [0, {most}]. Received: {name}={value}."
            )
        return int(value)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a still picture, for readers that run no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = still_matrix(self.frames, self.layer, self.probe)
        return bundle


def still_matrix(frames: Mapping[str, Any], layer: int, probe: int) -> str:
    """The matrix at one layer as a bare table with coloured cells; notebook readers keep those.

    Args:
        frames: checked frames.
        layer, probe: which matrix.
    """
    values = frames["cells"]["accuracy"][layer, probe]
    head = "".join(f"<th>{html.escape(task['name'])}</th>" for task in frames["tasks"])
    rows = [
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(_still_cell(value) for value in values[row])
        + "</tr>"
        for row, name in enumerate(frames["primaries"])
    ]
    ideal = "".join(f"<td>{value:.2f}</td>" for value in _off_diagonal(frames))
    words = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in frames["words"])
    where = f"{frames['layers'][layer]['name']}, {frames['probes'][probe]['title']}"
    return (
        f"<div><p><b>{html.escape(frames['title'])}</b>: "
        f"{html.escape(frames['verdict']['headline'])}</p>"
        f"<p>Accuracy of reading each task (column) off networks trained for each task (row), at "
        f"{html.escape(where)}.</p><table><thead><tr><th></th>{head}</tr></thead><tbody>"
        f"{''.join(rows)}<tr><th>ideal of other tasks</th>{ideal}</tr></tbody></table>{words}</div>"
    )


def _still_cell(value: float) -> str:
    place = float(np.clip(value, 0, 1)) * (len(CIVIDIS) - 1)
    colour = CIVIDIS[round(place)]
    ink = "#ffffff" if value < 0.55 else "#000000"
    return (
        f'<td style="background-color:{colour};color:{ink};text-align:center;padding:6px 10px">'
        f"{value:.2f}</td>"
    )


def _off_diagonal(frames: Mapping[str, Any]) -> list[float]:
    """Mean ideal of each task over the networks that were trained for others."""
    found = []
    for column, task in enumerate(frames["tasks"]):
        others = [r for r, name in enumerate(frames["primaries"]) if name != task["name"]]
        values = frames["ideal"][others, column] if others else np.array([task["chance"]])
        found.append(float(values.mean()))
    return found


def _strongest_leak(frames: Mapping[str, Any]) -> tuple[int, int]:
    """Row and column of the largest share of another task, at the first layer shown."""
    shares = frames["cells"]["share"][frames["layer"], 0].copy()
    names = [task["name"] for task in frames["tasks"]]
    for row, name in enumerate(frames["primaries"]):
        shares[row, names.index(name)] = -np.inf
    return divmod(int(np.nanargmax(shares)), shares.shape[1])


def _place(entries: list[dict[str, Any]], name: str) -> int:
    """Where the entry of that name stands; the first if there is none."""
    return next((place for place, entry in enumerate(entries) if entry["name"] == name), 0)
