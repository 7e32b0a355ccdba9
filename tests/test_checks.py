"""Argument checks: what passes, and what the refusals say."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib._checks import check_choice, check_count, check_number


def test_choice_returns_a_known_value_and_names_the_nearest_for_an_unknown_one():
    assert check_choice("metric", "ssim", ["ssim", "hog"]) == "ssim"
    with pytest.raises(ValueError, match=r"one of 'hog', 'ssim'.*metric='sim'.*mean 'ssim'"):
        check_choice("metric", "sim", ["ssim", "hog"])


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_number_inside_its_interval(value):
    assert check_number("rate", value, 0, 1) == float(value)


@pytest.mark.parametrize("value", [-0.1, 1.7, float("nan")])
def test_number_outside_its_interval(value):
    with pytest.raises(ValueError, match=r"`rate` must lie in \[0, 1\]. Received: rate="):
        check_number("rate", value, 0, 1)


@pytest.mark.parametrize("value", ["0.5", None, True])
def test_number_of_another_type(value):
    with pytest.raises(TypeError, match="must be a number"):
        check_number("rate", value, 0, 1)


def test_count():
    assert check_count("steps", np.int32(3)) == 3
    with pytest.raises(ValueError, match="at least 1. Received: steps=0"):
        check_count("steps", 0)
    with pytest.raises(TypeError, match="whole number"):
        check_count("steps", 2.0)
