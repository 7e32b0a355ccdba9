"""Step through a saliency cascade: which maps change when the weights are destroyed?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from kernel_widgets.assets import module, stylesheet
from kernel_widgets.atlas import MAX_BYTES, fit, meta_of, pack
from kernel_widgets.frames import check_frames
from kernel_widgets.still import still_picture


class CascadeStepper(anywidget.AnyWidget):
    """A grid of saliency maps, a slider that destroys the network, and the similarity curves.

    All pictures are made beforehand and travel with the widget, so a step needs no kernel. What
    a person chooses is kept in the traits below and can be read or set from Python.

    Args:
        *sources: frames (see `kernel_widgets.frames`), or results with a `frames()` method such
            as those of `kernel_lib.saliency.audit`; several make one tab each.
        max_bytes: the most the pictures may weigh; beyond it maps lose resolution and seeds are
            dropped, which a note on the page says.
        **traits: first values of the traits, such as `step=2`.

    Attributes:
        tab, step, seed, image: what is shown, counted from 0.
        view: "absolute", "signed" or "overlay" (absolute, over the input).
        metric, focus: the name of a metric, and of a method or "".
        playing: whether it steps by itself, once a second.

    Raises:
        TypeError, ValueError: if frames are missing, incomplete or do not fit together.

    Example:
        >>> CascadeStepper(result)  # doctest: +SKIP
    """

    _esm = module("cascade_stepper")
    _css = stylesheet("cascade_stepper")

    atlas = traitlets.Bytes().tag(sync=True)
    atlas_layout = traitlets.Dict().tag(sync=True)
    meta = traitlets.Dict().tag(sync=True)

    tab = traitlets.Int(0, min=0).tag(sync=True)
    step = traitlets.Int(0, min=0).tag(sync=True)
    seed = traitlets.Int(0, min=0).tag(sync=True)
    image = traitlets.Int(0, min=0).tag(sync=True)
    view = traitlets.Enum(("absolute", "signed", "overlay"), "absolute").tag(sync=True)
    metric = traitlets.Unicode().tag(sync=True)
    focus = traitlets.Unicode().tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    # A page of its own may keep this state in its address; a notebook must not.
    standalone = traitlets.Bool(False).tag(sync=True)

    def __init__(self, *sources: Any, max_bytes: int = MAX_BYTES, **traits: Any) -> None:
        if not sources:
            raise ValueError("`CascadeStepper` needs frames or a result. Received: nothing.")
        fitted = [fit(_frames_of(source), max_bytes // len(sources)) for source in sources]
        self.frames = tuple(frames for frames, _ in fitted)
        atlas, layout = pack(self.frames)
        first = self.frames[min(traits.get("tab", 0), len(sources) - 1)]["metrics"][0]
        super().__init__(
            atlas=atlas,
            atlas_layout=layout,
            meta={"tabs": [meta_of(frames, notes) for frames, notes in fitted]},
            **({"metric": first["name"], "view": first["view"]} | traits),
        )

    @traitlets.validate("tab", "step", "seed", "image")
    def _check_index(self, proposal: Mapping[str, Any]) -> int:
        name, value = proposal["trait"].name, proposal["value"]
        frames = self.frames[min(self.tab, len(self.frames) - 1)]
        choices = self.frames if name == "tab" else frames[f"{name}s"]
        if value >= len(choices):
            raise traitlets.TraitError(
                f"`{name}` must lie in [0, {len(choices) - 1}]. Received: {name}={value}."
            )
        return int(value)

    @traitlets.validate("metric", "focus")
    def _check_name(self, proposal: Mapping[str, Any]) -> str:
        name, value = proposal["trait"].name, proposal["value"]
        records = "metrics" if name == "metric" else "methods"
        known = sorted({entry["name"] for frames in self.frames for entry in frames[records]})
        if value and value not in known:
            raise traitlets.TraitError(
                f"`{name}` must be one of {', '.join(known)}. Received: {name}={value!r}."
            )
        return str(value)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add a still picture, for readers that run no widgets."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data is not None:
            data["text/html"] = still_picture(self.frames[self.tab])
        return bundle


def _frames_of(source: Any) -> dict[str, Any]:
    """Frames themselves, or what a result makes of itself; the check refuses anything else."""
    make = None if isinstance(source, Mapping) else getattr(source, "frames", None)
    return check_frames(make() if callable(make) else source)
