"""False passes: how often a network with a leak at the limit is said to tell nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kernel_lib.audit.paired import paired_counts, relative_loss, relative_loss_interval
from kernel_lib.trust.verdict import PASS_LIMIT, judge

ARGUMENTS = {"tap": "dense", "probes": ["ridge"], "tasks": ["own", "a", "b"]}
SCORES = {"preservation": 0.95, "leakage": 0.0}


def cell(target: str, share: float, low: float, high: float, count: int) -> dict[str, object]:
    return {
        "tap": "dense", "probe": "ridge", "primary": "own", "target": target, "share": share,
        "share_low": low, "share_high": high, "num_images": count, "p_holm": np.nan,
        "above_p_holm": 1.0, "added": np.nan, "added_p_holm": np.nan,
    }  # fmt: skip


def readings(leak: float, shape: tuple[int, ...], num_classes: int, random: np.random.Generator):
    """Counts of features that tell the task for a share of the images; the probe else guesses."""
    labels, guesses = random.integers(0, num_classes, (2, *shape))
    guesses = np.where(random.random(shape) < leak, labels, guesses)
    return paired_counts(labels != 0, guesses != labels)  # the ideal always guesses 0


def verdict(leaks: list[float], count: int, num_classes: int, random: np.random.Generator) -> str:
    """Judge a network that leaks so much of each other task."""
    rows = [cell("own", 0.95, 0.9, 0.98, count)]
    for name, leak in zip("ab", leaks, strict=True):
        counts = readings(leak, (count,), num_classes, random)
        low, high = relative_loss_interval(*counts)
        rows.append(cell(name, float(relative_loss(*counts)), float(low), float(high), count))
    has = {"untrained": False, "permutation": False}
    return judge(pd.DataFrame(rows), SCORES, ARGUMENTS, **has).status


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("count", [30, 300, 3000])
def test_a_leak_at_the_limit_seldom_clears_it(num_classes, count):
    random = np.random.default_rng([num_classes, count])
    counts = readings(PASS_LIMIT, (600, count), num_classes, random)
    _, high = relative_loss_interval(*counts)
    assert np.mean(high <= PASS_LIMIT) <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / 600)


def test_thin_sets_pass_nothing_and_large_ones_do():
    random = np.random.default_rng(0)
    assert {verdict([0, 0], 30, 3, random) for _ in range(8)} == {"undetermined"}
    assert [verdict([0, 0], 4000, 3, random) for _ in range(8)].count("pass") >= 7


def test_as_many_images_as_asked_for_mostly_do():
    rows = [cell("own", 0.95, 0.9, 0.98, 100)]
    error = np.sqrt(0.25 / 100) / 0.5  # of the share of a task with two classes
    rows += [cell(name, 0.0, -1.96 * error, 1.96 * error, 100) for name in "ab"]
    has = {"untrained": False, "permutation": False}
    found = judge(pd.DataFrame(rows), SCORES, ARGUMENTS, **has)
    assert found.status == "undetermined"
    assert "with 100 test images a leak under 20 % of the way" in found.headline
    # (1.96 + 1.25) standard errors of 0.1 at 100 images must fit into 0.1.
    assert "about 1,100 would do" in found.headline
