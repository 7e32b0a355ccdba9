"""Sort predictions by suspicion: what is kept, what is withheld, and why each is suspected."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import anywidget
import numpy as np
import traitlets

from kernel_widgets.assets import module, stylesheet
from kernel_widgets.still import picture

_ARRAYS = {
    "suspicion": (np.float32, ("scores", None)),
    "wrong": (np.uint8, (None,)),
    "shown": (np.int32, ("images",)),
    "inputs": (np.uint8, ("images", None, None, 3)),
    "neighbour_inputs": (np.uint8, ("neighbours", None, None, 3)),
}
_TEXTS = ("title", "num_mutants", "tap", "words")
_RECORDS = {
    "scores": ("name", "title", "auroc", "threshold", "forward_passes"),
    "images": ("index", "label", "predicted", "probability", "votes", "maps", "neighbours"),
    "neighbours": ("label", "predicted"),
}
_STILL_IMAGES = 8


class ErrorTriage(anywidget.AnyWidget):
    """Images from the most suspicious down, with the evidence beside each, and a coverage slider.

    Everything travels with the widget, so it works without a kernel. What a person chooses is kept
    in the traits below and can be read or set from Python.

    Args:
        source: the result of `kernel_lib.errors.audit`, or frames: a dictionary of

            =================  ==============================================================
            schema             1
            title, words       a line above, sentences below
            scores             {name, title, auroc, threshold, forward_passes}; auroc is None
                               where no prediction, or every one, is wrong
            images             {index, label, predicted, probability, votes, maps, neighbours};
                               votes {name, count}; maps {map, value, mean, deviation};
                               neighbours are places in the list below
            neighbours         {label, predicted} of known images
            num_mutants, tap   how many voted; where conductance was read
            suspicion          (scores, all images) float32
            wrong              (all images,) whether each prediction is wrong
            shown              (images,) place of each shown image among all
            inputs             (images, height, width, 3) uint8
            neighbour_inputs   (neighbours, height, width, 3) uint8
            =================  ==============================================================
        **traits: first values of the traits, such as `coverage=0.9`.

    Attributes:
        score: name of the score that sorts.
        coverage: share of all images that is kept.
        selected: place of the chosen image in `images`.
        only: "all", "wrong" or "right".

    Raises:
        TypeError, ValueError: if frames are missing, incomplete or do not fit together.

    Example:
        >>> ErrorTriage(result)  # doctest: +SKIP
    """

    _esm = module("error_triage")
    _css = stylesheet("error_triage")

    atlas = traitlets.Bytes().tag(sync=True)
    atlas_layout = traitlets.Dict().tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)

    score = traitlets.Unicode().tag(sync=True)
    coverage = traitlets.Float(0.8, min=0.0, max=1.0).tag(sync=True)
    selected = traitlets.Int(0, min=0).tag(sync=True)
    only = traitlets.Enum(("all", "wrong", "right"), "all").tag(sync=True)

    def __init__(self, source: Any, **traits: Any) -> None:
        make = None if isinstance(source, Mapping) else getattr(source, "frames", None)
        self.frames = check_triage(make() if callable(make) else source)
        atlas, layout = _packed(self.frames)
        first = _best_under_test(self.frames)
        super().__init__(
            atlas=atlas,
            atlas_layout=layout,
            meta={name: self.frames[name] for name in (*_TEXTS, *_RECORDS)},
            **({"score": first, "coverage": _kept_share(self.frames, first)} | traits),
        )

    @traitlets.validate("score")
    def _check_score(self, proposal: Mapping[str, Any]) -> str:
        known = [score["name"] for score in self.frames["scores"]]
        if proposal["value"] not in known:
            raise traitlets.TraitError(
                f"`score` must be one of {', '.join(known)}. Received: {proposal['value']!r}."
            )
        return str(proposal["value"])

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Mapping[str, Any]) -> int:
        last = len(self.frames["images"]) - 1
        if proposal["value"] > last:
            raise traitlets.TraitError(
                f"`selected` must lie in [0, {last}]. Received: {proposal['value']}."
            )
        return int(proposal["value"])

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a still picture, for readers that run no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = still_triage(self.frames, self.score, self.coverage)
        return bundle


def check_triage(frames: Any) -> dict[str, Any]:
    """Return the frames with contiguous arrays, or say what does not fit."""
    if not isinstance(frames, Mapping):
        raise TypeError(
            "`ErrorTriage` needs frames or the result of an error audit. "
            f"Received: {type(frames).__name__}."
        )
    missing = [name for name in ("schema", *_TEXTS, *_RECORDS, *_ARRAYS) if name not in frames]
    if missing:
        raise ValueError(f"The frames lack {', '.join(missing)}. Received: {sorted(frames)}.")
    if frames["schema"] != 1:
        raise ValueError(f"`frames['schema']` must be 1. Received: {frames['schema']!r}.")
    checked = {name: frames[name] for name in ("schema", *_TEXTS)}
    checked |= {name: _check_records(frames, name, fields) for name, fields in _RECORDS.items()}
    checked |= {name: _check_array(name, frames[name], checked) for name in _ARRAYS}
    num_all = len(checked["wrong"])
    if checked["suspicion"].shape[1] != num_all:
        raise ValueError(
            f"`suspicion` must hold {num_all} images, as `wrong` does. "
            f"Received: shape {checked['suspicion'].shape}."
        )
    if checked["shown"].min() < 0 or checked["shown"].max() >= num_all:
        raise ValueError(f"`shown` must lie in [0, {num_all - 1}]. Received: {checked['shown']}.")
    return checked


def _check_records(frames: Mapping[str, Any], name: str, fields: tuple[str, ...]) -> list[Any]:
    records = [dict(record) for record in frames[name]]
    for record in records:
        lacking = [field for field in fields if field not in record]
        if lacking:
            raise ValueError(
                f"An entry of `{name}` lacks {', '.join(lacking)}. Received: {sorted(record)}."
            )
    if not records:
        raise ValueError(f"`{name}` is empty.")
    for record in records if name == "scores" else ():
        # Minus infinity (keep nothing) is not JSON.
        record["threshold"] = float(np.nan_to_num(record["threshold"], neginf=-1e30))
    return records


def _check_array(name: str, value: Any, checked: Mapping[str, Any]) -> np.ndarray:
    dtype, axes = _ARRAYS[name]
    array = np.ascontiguousarray(value, dtype=np.dtype(dtype).newbyteorder("<"))
    sizes = [len(checked[axis]) if isinstance(axis, str) else axis for axis in axes]
    fits = array.ndim == len(sizes) and all(
        size in (None, length) for size, length in zip(sizes, array.shape, strict=True)
    )
    if not fits or 0 in array.shape:
        wanted = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ValueError(f"`{name}` must have the shape ({wanted}). Received: {array.shape}.")
    return array


def _packed(frames: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """All arrays end to end, each at a multiple of 4, and where each begins."""
    chunks: list[bytes] = []
    layout: dict[str, Any] = {}
    offset = 0
    for name in _ARRAYS:
        array = frames[name]
        layout[name] = {"offset": offset, "shape": list(array.shape), "dtype": array.dtype.name}
        padding = b"\0" * (-array.nbytes % 4)
        chunks += [array.tobytes(), padding]
        offset += array.nbytes + len(padding)
    return b"".join(chunks), layout


def _best_under_test(frames: Mapping[str, Any]) -> str:
    """The combined score where there is one, else the best."""
    by_name = {score["name"]: score["auroc"] for score in frames["scores"]}
    return "both" if "both" in by_name else max(by_name, key=lambda name: by_name[name] or 0.0)


def _kept_share(frames: Mapping[str, Any], name: str) -> float:
    place = [score["name"] for score in frames["scores"]].index(name)
    return float((frames["suspicion"][place] <= frames["scores"][place]["threshold"]).mean())


def still_triage(frames: Mapping[str, Any], name: str, coverage: float) -> str:
    """The most suspicious images as a bare table, with what is kept and withheld."""
    place = [score["name"] for score in frames["scores"]].index(name)
    suspicion, wrong = frames["suspicion"][place], frames["wrong"].astype(bool)
    order = np.argsort(suspicion, kind="stable")
    count = round(coverage * len(order))
    kept, withheld = wrong[order[:count]], wrong[order[count:]]
    shown = np.argsort(-suspicion[frames["shown"]], kind="stable")[:_STILL_IMAGES]
    cells = "".join(_still_cell(frames, int(index)) for index in shown)
    title = html.escape(frames["scores"][place]["title"])
    words = "".join(f"<p>{html.escape(str(sentence))}</p>" for sentence in frames["words"])
    return (
        f"<div><p><b>{html.escape(frames['title'])}</b><br>Sorted by: {title}. "
        f"{_share_sentence('Kept', kept)} {_share_sentence('Withheld', withheld)}</p>"
        f"<table><tbody><tr>{cells}</tr></tbody></table>{words}</div>"
    )


def _share_sentence(word: str, wrong: np.ndarray) -> str:
    if not len(wrong):
        return f"{word}: none."
    return f"{word}: {len(wrong):,} images, {1 - wrong.mean():.1%} right."


def _still_cell(frames: Mapping[str, Any], index: int) -> str:
    record = frames["images"][index]
    said, label = str(record["predicted"]), str(record["label"])
    caption = f"says {said}" + ("" if said == label else f", is {label}")
    image = picture(frames["inputs"][index], caption)
    return (
        f'<td style="padding:2px 6px;text-align:center;vertical-align:top">{image}'
        f"<div>{html.escape(caption)}</div></td>"
    )
