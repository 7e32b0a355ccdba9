"""The explorer in Python: what it carries, what it refuses, and its still picture."""

from __future__ import annotations

import re

import numpy as np
import pytest
import traitlets
from invariance_frames import make_frames

from kernel_widgets import InvarianceExplorer
from kernel_widgets.invariance_explorer import VIRIDIS, check_frames, fitted, packed


@pytest.fixture
def frames():
    return make_frames()


def read(widget, name):
    entry = widget.atlas_layout[name]
    count = int(np.prod(entry["shape"]))
    flat = np.frombuffer(widget.atlas, entry["dtype"], count, entry["offset"])
    return flat.reshape(entry["shape"])


def test_it_carries_everything_and_starts_untouched(frames):
    widget = InvarianceExplorer(frames)
    for name in ("pictures", "top_classes", "top_shares", "values"):
        np.testing.assert_array_equal(read(widget, name), frames[name])
        assert widget.atlas_layout[name]["offset"] % 4 == 0
    assert (widget.step, widget.other, widget.matrix) == (2, 2, "confidence")


def test_a_result_gives_its_own_frames(frames):
    class Result:
        def frames(self):
            return frames

    assert InvarianceExplorer(Result()).meta["title"] == "Rotation"


@pytest.mark.parametrize("source", [3, "frames", None])
def test_anything_else_is_refused(source):
    with pytest.raises(TypeError, match="must be a dictionary"):
        InvarianceExplorer(source)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema of the frames must be 1"),
        ({"values": np.zeros((2, 4, 4))}, "`values` must begin with the shape"),
        ({"pictures": np.zeros((1, 5, 2, 2, 3), np.uint8)}, "`pictures` must begin"),
        ({"curves": [{"name": "x", "values": [1]}]}, "must have 5 values"),
    ],
)
def test_frames_that_do_not_fit_are_refused(frames, change, message):
    with pytest.raises(ValueError, match=message):
        check_frames(frames | change)


def test_a_missing_field_is_named(frames):
    del frames["plateau"]
    with pytest.raises(ValueError, match="lack the field 'plateau'"):
        check_frames(frames)


@pytest.mark.parametrize(("name", "value"), [("step", 5), ("other", 9), ("matrix", "x")])
def test_a_choice_that_is_not_there_is_refused(frames, name, value):
    with pytest.raises(traitlets.TraitError, match=f"`{name}` must"):
        setattr(InvarianceExplorer(frames), name, value)


def test_images_are_left_out_where_they_weigh_too_much(frames):
    each = frames["pictures"][0].nbytes
    few, notes = fitted(check_frames(frames), 2 * each + frames["values"].nbytes)
    assert len(few["images"]) == len(few["pictures"]) == 2
    assert "2 of 3 images" in notes[0]
    assert len(packed(few)[0]) < len(packed(check_frames(frames))[0])
    with pytest.raises(ValueError, match="smaller images or fewer steps"):
        fitted(check_frames(frames), 10)


def test_the_still_picture(frames):
    frames["title"] = "<b>bold</b>"
    still = InvarianceExplorer(frames)._repr_mimebundle_()[0]["text/html"]
    assert still.count("<img") == 3 * 5 + 1
    assert "&lt;b&gt;bold" in still
    assert "≠ two" in still
    assert not re.search(r"<script|https?:", still)


def test_the_module_paints_with_the_same_stops():
    block = re.search(r"const VIRIDIS = \[(.*?)\];", str(InvarianceExplorer._esm), re.DOTALL)
    assert tuple(re.findall(r"#[0-9a-f]{6}", block[1])) == VIRIDIS
