"""Frames that do not fit together are refused with a line that says why."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_frames import make_frames

from kernel_widgets.frames import check_frames


@pytest.fixture
def frames():
    return make_frames(num_images=2, num_seeds=2)


def test_good_frames_pass_and_the_callers_are_left_alone(frames):
    before = dict(frames)
    checked = check_frames(frames)
    assert checked["methods"][7] == {
        "name": "edges", "title": "Edge detector", "flags": ["control"], "control": True
    }  # fmt: skip
    assert checked["values"].dtype == np.float32
    assert all(frames[name] is before[name] for name in before)


def test_a_control_is_known_by_its_flag(frames):
    del frames["methods"][7]["control"]
    assert check_frames(frames)["methods"][7]["control"] is True


def test_numbers_that_json_cannot_hold_become_none(frames):
    frames["steps"][1]["accuracy"] = float("nan")
    assert check_frames(frames)["steps"][1]["accuracy"] is None


@pytest.mark.parametrize("name", ["steps", "values", "maps_signed", "inputs", "curves", "test"])
def test_a_missing_field_is_named(frames, name):
    del frames[name]
    with pytest.raises(ValueError, match=f"lacks the field '{name}'"):
        check_frames(frames)


def test_a_wrong_shape_is_shown_beside_the_right_one(frames):
    frames["values"] = frames["values"][:, :3]
    with pytest.raises(ValueError, match=r"seeds=2, steps=5, .*Received: \(2, 3, 9, 3, 2\)"):
        check_frames(frames)


def test_maps_must_be_bytes(frames):
    frames["maps_absolute"] = frames["maps_absolute"] / 255
    with pytest.raises(TypeError, match="`maps_absolute` must be an array of uint8"):
        check_frames(frames)


def test_both_kinds_of_maps_have_one_size(frames):
    frames["maps_signed"] = frames["maps_signed"][..., :-1]
    with pytest.raises(ValueError, match="must have the same shape"):
        check_frames(frames)


def test_a_step_changes_only_blocks_there_are(frames):
    frames["steps"][2]["changed"] = ["fc7"]
    with pytest.raises(ValueError, match="step 2 changes blocks .*fc7"):
        check_frames(frames)


def test_predictions_need_a_name_for_each_seed_and_step(frames):
    frames["images"][0]["predictions"][1].pop()
    with pytest.raises(ValueError, match=r"2 seeds and 5 steps. Received rows of \[5, 4\]"):
        check_frames(frames)


def test_names_of_methods_are_their_own(frames):
    frames["methods"][1]["name"] = "gradient"
    with pytest.raises(ValueError, match="names of their own"):
        check_frames(frames)


def test_one_step_is_no_cascade(frames):
    frames["steps"] = frames["steps"][:1]
    with pytest.raises(ValueError, match="at least 2; step 0 is the trained model"):
        check_frames(frames)


@pytest.mark.parametrize(
    ("where", "name", "value", "message"),
    [
        ("steps", "accuracy", 11.0, "accuracy of step 0"),
        ("metrics", "view", "sign", "Did you mean 'signed'"),
        ("verdicts", "status", "good", "`status` must be one of"),
    ],
)
def test_values_out_of_range_are_refused(frames, where, name, value, message):
    frames[where][0][name] = value
    with pytest.raises(ValueError, match=message):
        check_frames(frames)


def test_an_unknown_experiment_or_schema_is_refused(frames):
    with pytest.raises(ValueError, match="`test` must be one of"):
        check_frames(frames | {"test": "cascades"})
    with pytest.raises(ValueError, match="must be 1. Received: 2"):
        check_frames(frames | {"schema": 2})


def test_something_else_is_refused():
    with pytest.raises(TypeError, match="must be a dictionary.*Received: list"):
        check_frames([])
