"""Packing keeps every number; shrinking keeps zero at zero and says what it gave up."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_frames import make_frames

from kernel_widgets import atlas
from kernel_widgets.atlas import arrays_of, fit, meta_of, pack, unpack
from kernel_widgets.frames import check_frames


@pytest.fixture
def frames():
    return check_frames(make_frames(num_images=2, num_seeds=2))


def test_unpacking_gives_back_what_was_packed(frames):
    other = check_frames(make_frames(num_images=1, num_seeds=1, side=15))
    packed, layout = pack([frames, other])
    for tab, expected in enumerate((frames, other)):
        arrays = unpack(packed, layout, tab)
        for name, array in arrays_of(expected).items():
            np.testing.assert_array_equal(arrays[name], array, err_msg=name)


def test_floats_begin_where_a_browser_can_read_them(frames):
    odd = check_frames(make_frames(num_images=1, num_seeds=1, side=15))
    _, layout = pack([odd, frames])
    offsets = [entry["offset"] for tab in layout["tabs"] for entry in tab.values()]
    assert all(offset % 4 == 0 for offset in offsets)


def test_meta_holds_no_array(frames):
    meta = meta_of(frames, ["A note."])
    assert meta["notes"] == ["A note."]
    assert not set(meta) & {"values", "curves", "maps_absolute", "empty", "inputs"}


def test_frames_that_fit_are_left_alone(frames):
    fitted, notes = fit(frames)
    assert notes == []
    assert fitted["maps_signed"] is frames["maps_signed"]


def test_resolution_goes_before_seeds_and_seeds_before_more_of_it():
    frames = check_frames(make_frames(num_images=1, num_seeds=2, side=112))
    whole = sum(array.nbytes for array in arrays_of(frames).values())
    once, notes = fit(frames, limit=whole // 2)
    assert once["maps_absolute"].shape[-2:] == (56, 56)
    assert notes == ["Maps are shown at 56 x 56 pixels; they were computed at 112 x 112."]
    assert len(once["seeds"]) == 2

    smaller = sum(array.nbytes for array in arrays_of(once).values())
    twice, notes = fit(frames, limit=int(0.8 * smaller))
    assert twice["maps_absolute"].shape == (1, 5, 9, 1, 56, 56)
    assert twice["images"][0]["predictions"] == frames["images"][0]["predictions"][:1]
    assert "1 of 2 seeds" in notes[1]
    np.testing.assert_array_equal(twice["values"], frames["values"][:1])
    np.testing.assert_array_equal(twice["curves"]["mean"], frames["curves"]["mean"])


def test_halving_keeps_the_range_and_the_zero():
    maps = np.zeros((1, 1, 1, 3, 3, 5), np.uint8)
    signed = np.full_like(maps, 127)
    maps[0, 0, 0, 0, 0, 0] = 200
    signed[0, 0, 0, 1, 2, 4] = 1
    halved = atlas._halve({"maps_absolute": maps, "maps_signed": signed})
    assert halved["maps_absolute"].shape[-2:] == (2, 3)
    assert halved["maps_absolute"][0, 0, 0, 0].tolist() == [[255, 0, 0], [0, 0, 0]]
    assert halved["maps_signed"][0, 0, 0, 0].tolist() == [[127] * 3] * 2
    assert halved["maps_signed"][0, 0, 0, 1].tolist() == [[127] * 3, [127, 127, 0]]


def test_large_inputs_are_made_smaller():
    inputs = np.full((1, 300, 450, 3), 77, np.uint8)
    assert np.array_equal(atlas._shrink_inputs(inputs), np.full((1, 75, 113, 3), 77))


def test_frames_that_can_never_fit_say_so(frames):
    with pytest.raises(ValueError, match="Show fewer images, methods or steps"):
        fit(frames, limit=1000)
