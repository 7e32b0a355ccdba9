"""The widget in Python: what it carries, what it refuses, and its still picture."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import traitlets
from PIL import Image
from synthetic_frames import make_frames

from kernel_lib.saliency.audit import TESTS
from kernel_lib.saliency.frames import TITLES
from kernel_widgets import CascadeStepper
from kernel_widgets import frames as frames_module
from kernel_widgets.atlas import unpack
from kernel_widgets.palettes import DIVERGING, MAGMA, palette


@pytest.fixture
def frames():
    return make_frames(num_images=3, num_seeds=2)


def test_it_carries_the_maps_and_starts_at_the_trained_model(frames):
    widget = CascadeStepper(frames)
    arrays = unpack(widget.atlas, widget.atlas_layout)
    np.testing.assert_array_equal(arrays["maps_signed"], frames["maps_signed"])
    np.testing.assert_array_equal(arrays["curve_low"], frames["curves"]["low"].astype(np.float32))
    assert (widget.step, widget.seed, widget.tab) == (0, 0, 0)
    assert (widget.metric, widget.view) == ("spearman_signed", "signed")


def test_a_result_gives_its_own_frames(frames):
    class Result:
        def frames(self):
            return frames

    widget = CascadeStepper(Result(), make_frames(num_images=1, test="noise"))
    assert [tab["test"] for tab in widget.meta["tabs"]] == ["cascade", "noise"]


@pytest.mark.parametrize("sources", [(), (3,), ("frames",)])
def test_anything_else_is_refused(sources):
    with pytest.raises((TypeError, ValueError), match="frames"):
        CascadeStepper(*sources)


def test_the_weight_is_capped_over_all_tabs():
    heavy = make_frames(num_images=2, num_seeds=2, side=56)
    limit = 600_000
    widget = CascadeStepper(heavy, heavy, max_bytes=limit)
    assert len(widget.atlas) <= limit
    assert all(tab["notes"] for tab in widget.meta["tabs"])


@pytest.mark.parametrize(
    ("name", "value"), [("step", 5), ("seed", 2), ("image", 3), ("tab", 1), ("metric", "ssim")]
)
def test_a_choice_that_is_not_there_is_refused(frames, name, value):
    with pytest.raises(traitlets.TraitError, match=f"`{name}` must"):
        setattr(CascadeStepper(frames), name, value)


def test_choices_can_be_made_from_python(frames):
    widget = CascadeStepper(frames, step=4, focus="gradient")
    widget.focus = ""
    assert widget.step == 4


def test_the_still_picture_shows_three_steps_with_their_numbers(frames):
    bundle = CascadeStepper(frames)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data
    still = data["text/html"]
    assert still.count("<img") == 3 * 2 * 10 - 1  # one map is empty
    assert "empty map" in still
    assert "softmax_linear, fc1 randomised; accuracy 14%." in still
    assert f">{frames['values'][0, 4, 0, 0, 0]:.2f}<" in still
    assert "If a map looks the same" in still
    assert not re.search(r"<script|hsl\(|https?:", still)


def test_still_pictures_hold_the_maps_own_colours(frames):
    still = CascadeStepper(frames)._repr_mimebundle_()[0]["text/html"]
    pictures = re.findall(r'alt="Edge detector[^"]*"[^>]*base64,([^"]+)', still)
    first, last = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB"), float)
        for picture in (pictures[0], pictures[-2])
    )
    np.testing.assert_array_equal(first, last)  # the control never changes
    wanted = palette(DIVERGING, zero=127)[frames["maps_signed"][0, 0, 7, 0]]
    shown = np.asarray(Image.fromarray(wanted).resize((64, 64), Image.Resampling.NEAREST), float)
    assert np.abs(first - shown).mean() < 3  # 64 colours stand for 256


def test_titles_are_text_not_markup(frames):
    frames["title"] = "<b>bold</b>"
    still = CascadeStepper(frames)._repr_mimebundle_()[0]["text/html"]
    assert "&lt;b&gt;bold" in still


def test_zero_is_the_middle_colour_and_both_sides_are_even():
    table = palette(DIVERGING, zero=127)
    assert table[127].tolist() == [0xF7, 0xF7, 0xF5]
    assert table[0].tolist() == [0x0A, 0x3F, 0x78]
    assert table[254].tolist() == table[255].tolist() == [0x8A, 0x32, 0x00]


def test_the_module_paints_with_the_same_stops():
    source = str(CascadeStepper._esm)
    for name, stops in (("MAGMA", MAGMA), ("DIVERGING", DIVERGING)):
        block = re.search(rf"const {name} = \[(.*?)\];", source, re.DOTALL)
        assert tuple(re.findall(r"#[0-9a-f]{6}", block[1])) == stops


def test_the_page_knows_every_test_that_the_audit_offers():
    """A test without words on the page draws nothing at all."""
    script = str(CascadeStepper._esm)
    table = script[script.index("const TESTS = {") : script.index("// The same stops")]
    known = re.findall(r"^  (\w+): \{$", table, re.M)
    assert sorted(known) == sorted(TESTS) == sorted(frames_module.TESTS) == sorted(TITLES)
    for field in ("tab", "state", "icon", "verb", "lead"):
        assert len(re.findall(rf"^    {field}: \"", table, re.M)) == len(TESTS)
