"""The triage widget in Python: what it carries, what it refuses, and its still picture."""

from __future__ import annotations

import re

import numpy as np
import pytest
import traitlets
from synthetic_triage import make_triage

from kernel_widgets import ErrorTriage


@pytest.fixture
def frames():
    return make_triage()


def unpacked(widget, name):
    entry = widget.atlas_layout[name]
    size = int(np.prod(entry["shape"]))
    flat = np.frombuffer(widget.atlas, entry["dtype"], size, entry["offset"])
    return flat.reshape(entry["shape"])


def test_it_carries_every_array(frames):
    widget = ErrorTriage(frames)
    for name in ("suspicion", "wrong", "shown", "inputs", "neighbour_inputs"):
        np.testing.assert_array_equal(unpacked(widget, name), frames[name])
        assert widget.atlas_layout[name]["offset"] % 4 == 0


def test_it_starts_with_the_combined_score_at_its_own_threshold(frames):
    widget = ErrorTriage(frames)
    assert widget.score == "both"
    assert widget.coverage == pytest.approx(0.8)


def test_a_result_gives_its_own_frames(frames):
    class Result:
        def frames(self):
            return frames

    assert ErrorTriage(Result()).meta["num_mutants"] == 40


@pytest.mark.parametrize("source", [3, None, "frames"])
def test_anything_else_is_refused(source):
    with pytest.raises(TypeError, match="needs frames or the result"):
        ErrorTriage(source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "must be 1"),
        ({"scores": []}, "`scores` is empty"),
        ({"images": [{"index": 0}]}, "lacks label"),
        ({"wrong": np.zeros(7)}, "must hold 7 images"),
        ({"inputs": np.zeros((3, 28, 28, 3))}, "`inputs` must have the shape"),
        ({"shown": np.full(30, 400)}, r"must lie in \[0, 399\]"),
    ],
)
def test_frames_that_do_not_fit_are_named(frames, change, message):
    with pytest.raises(ValueError, match=message):
        ErrorTriage(frames | change)


def test_missing_fields_are_listed(frames):
    del frames["suspicion"]
    with pytest.raises(ValueError, match="lack suspicion"):
        ErrorTriage(frames)


@pytest.mark.parametrize(
    ("name", "value"), [("selected", 30), ("score", "best"), ("coverage", 2.0)]
)
def test_choices_that_are_not_there_are_refused(frames, name, value):
    with pytest.raises(traitlets.TraitError):
        setattr(ErrorTriage(frames), name, value)


def test_keeping_nothing_is_a_threshold_too(frames):
    frames["scores"][2]["threshold"] = -np.inf
    widget = ErrorTriage(frames)
    assert widget.coverage == 0
    assert np.isfinite(widget.meta["scores"][2]["threshold"])


def test_the_still_picture_counts_what_is_kept(frames):
    bundle = ErrorTriage(frames, score="msp", coverage=0.75)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    still = data["text/html"]
    order = np.argsort(frames["suspicion"][0], kind="stable")
    kept, withheld = frames["wrong"][order[:300]], frames["wrong"][order[300:]]
    assert f"Kept: 300 images, {1 - kept.mean():.1%} right." in still
    assert f"Withheld: 100 images, {1 - withheld.mean():.1%} right." in still
    assert still.count("<img") == 8
    assert not re.search(r"<script|https?:", still)


def test_names_are_text_not_markup(frames):
    frames["images"][0] |= {"label": "<b>x</b>", "predicted": "<b>x</b>"}
    frames["suspicion"][:, frames["shown"][0]] = 99
    still = ErrorTriage(frames)._repr_mimebundle_()[0]["text/html"]
    assert "&lt;b&gt;x" in still
    assert "<b>x</b>" not in still
