"""The trust matrix in Python: what it carries, what it refuses, and its still picture."""

from __future__ import annotations

import re

import numpy as np
import pytest
import traitlets
from synthetic_trust import make_trust_frames

from kernel_widgets import TrustMatrix
from kernel_widgets.trust_matrix import CIVIDIS, LEAKS


@pytest.fixture
def frames():
    return make_trust_frames()


def test_it_carries_every_number(frames):
    widget = TrustMatrix(frames)
    floats = np.frombuffer(widget.atlas, "<f4")
    for name, array in {"ideal": frames["ideal"], **frames["cells"], **frames["totals"]}.items():
        entry = widget.atlas_layout[name]
        start = entry["offset"] // 4
        found = floats[start : start + array.size].reshape(entry["shape"])
        np.testing.assert_array_equal(found, array.astype(np.float32))
    assert widget.meta["primaries"] == frames["primaries"]
    assert "cells" not in widget.meta


def test_it_starts_at_the_headline_layer_and_the_strongest_leak(frames):
    frames["cells"]["share"][3, 0, 4, 1] = 0.99
    widget = TrustMatrix(frames)
    assert (widget.layer, widget.probe, widget.score) == (3, 0, 1)
    assert (widget.primary, widget.task) == (4, 1)


def test_a_result_gives_its_own_frames(frames):
    class Result:
        def frames(self):
            return frames

    assert TrustMatrix(Result(), layer=1).layer == 1


def test_one_row_alone():
    widget = TrustMatrix(make_trust_frames(rows=("size",), num_probes=1))
    assert widget.primary == 0
    assert widget.task != 2


@pytest.mark.parametrize("source", [3, "frames", None])
def test_anything_else_is_refused(source):
    with pytest.raises(TypeError, match="`frames` must be a dictionary"):
        TrustMatrix(source)


def test_frames_that_do_not_fit_are_named(frames):
    with pytest.raises(ValueError, match="lacks tasks, words"):
        TrustMatrix({name: frames[name] for name in frames if name not in ("tasks", "words")})
    with pytest.raises(ValueError, match="'cells'.* lacks low"):
        TrustMatrix(frames | {"cells": {k: v for k, v in frames["cells"].items() if k != "low"}})
    with pytest.raises(ValueError, match=r"'ideal' of the frames must have the shape \(5, 5\)"):
        TrustMatrix(frames | {"ideal": np.ones((4, 5))})
    with pytest.raises(ValueError, match="Empty: probes"):
        TrustMatrix(frames | {"probes": []})
    with pytest.raises(ValueError, match="`status` must be one of"):
        TrustMatrix(frames | {"verdict": {"status": "fine"}})
    with pytest.raises(ValueError, match="must be 1. Received: 2"):
        TrustMatrix(frames | {"schema": 2})


@pytest.mark.parametrize(("name", "value"), [("layer", 4), ("probe", 2), ("score", 2), ("task", 5)])
def test_a_choice_that_is_not_there_is_refused(frames, name, value):
    with pytest.raises(traitlets.TraitError, match=f"`{name}` must lie in"):
        setattr(TrustMatrix(frames), name, value)


def test_the_still_picture_holds_the_matrix(frames):
    frames["verdict"]["headline"] = "<b>12</b> cells leak."
    bundle = TrustMatrix(frames, layer=2)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    still = data["text/html"]
    for value in frames["cells"]["accuracy"][2, 0].flat:
        assert f">{value:.2f}</td>" in still
    assert "conv3, Ridge" in still
    assert "&lt;b&gt;12" in still
    assert not re.search(r"<script|hsl\(|https?:", still)


def test_the_module_paints_with_the_same_stops(frames):
    source = str(TrustMatrix(frames)._esm)
    for name, stops in (("CIVIDIS", CIVIDIS), ("LEAKS", LEAKS)):
        block = re.search(rf"const {name} = \[(.*?)\];", source, re.DOTALL)
        assert tuple(re.findall(r"#[0-9a-f]{6}", block[1])) == stops
