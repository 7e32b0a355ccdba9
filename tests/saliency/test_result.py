"""Tables, figures and frames show what was measured, by name."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot

import kernel_lib.saliency as saliency
from kernel_lib.report import load
from kernel_lib.saliency import Options, plots
from kernel_lib.saliency.methods import METHODS
from kernel_lib.saliency.result import area_over_log, half_noise
from small_networks import small_set, tiny_cnn
from whole_results import check_it_comes_back, with_odd_names

QUICK = {
    "methods": ["gradient", "guided_backprop", "gradcam", "smoothgrad"],
    "options": Options(smoothgrad_samples=2),
    "num_images": 6,
    "num_seeds": 2,
    "num_display": 3,
    "progress": False,
}


@pytest.fixture(scope="module")
def results():
    model, images = tiny_cnn(), small_set()
    return {
        test: saliency.audit(model, images, test=test, noise_levels=[0.5, 2.0], **QUICK)
        for test in ("cascade", "independent", "noise", "random_logit")
    }


def test_every_line_shows_the_rows_of_its_label(results):
    result = results["cascade"]
    figure, axes = pyplot.subplots()
    plots.draw_curves(axes, result, "spearman_signed")
    table = result.tables["similarity"].query("metric == 'spearman_signed'")
    by_title = {METHODS[name].title: name for name in result.parameters["methods"]}
    labelled = [line for line in axes.lines if line.get_label() in by_title]
    assert len(labelled) == len(by_title)
    for line in labelled:
        rows = table[table.method == by_title[line.get_label()]].sort_values("step")
        np.testing.assert_array_equal(line.get_ydata(), rows["mean"])
    pyplot.close(figure)


def test_the_table_holds_the_means_of_the_values(results):
    result = results["cascade"]
    long = result.long_table()
    means = long.groupby(["step", "method", "metric"]).value.mean()
    table = result.tables["similarity"].set_index(["step", "method", "metric"])["mean"]
    pd.testing.assert_series_equal(
        table.sort_index(), means.sort_index(), check_names=False, check_dtype=False, rtol=1e-5
    )


def test_means_lie_in_their_intervals(results):
    table = results["cascade"].tables["similarity"].dropna()
    assert ((table.low <= table["mean"] + 1e-6) & (table["mean"] <= table.high + 1e-6)).all()


@pytest.mark.parametrize("test", ["cascade", "independent", "noise", "random_logit"])
def test_saved_results_come_back_and_draw_the_same_figures(results, test, tmp_path):
    result = results[test]
    result.save(tmp_path)
    again = load(tmp_path)
    assert type(again) is type(result)
    assert again.verdict == result.verdict
    for name, table in result.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, check_dtype=False)
    for name, array in result.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    assert list(again.figures()) == list(result.figures())
    pyplot.close("all")


def test_frames_are_what_the_stepper_takes(results):
    from kernel_widgets import CascadeStepper

    frames = [result.frames() for result in results.values()]
    widget = CascadeStepper(*frames)
    assert len(widget.atlas) > sum(one["maps_absolute"].nbytes for one in frames)
    one = results["cascade"].frames()
    table = results["cascade"].tables["similarity"]
    row = table.query("method == 'gradcam' and metric == 'hog' and step == 2")["mean"].item()
    method = [m["name"] for m in one["methods"]].index("gradcam")
    metric = [m["name"] for m in one["metrics"]].index("hog")
    assert one["curves"]["mean"][metric, method, 2] == pytest.approx(row, rel=1e-6, nan_ok=True)


def test_images_of_the_frames_are_the_images(results):
    frames = results["cascade"].frames()
    assert frames["inputs"].shape == (3, 12, 12, 3)
    assert len(frames["images"]) == 3
    assert len(frames["images"][0]["predictions"]) == 2


def test_area_over_log_noise_by_hand():
    assert area_over_log([0.1, 1.0, 10.0], np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)
    assert area_over_log([0.1], np.array([0.7])) == 0.7


def test_half_noise_by_hand():
    assert half_noise([0.1, 1.0], np.array([0.75, 0.25])) == pytest.approx(0.1**0.5)
    assert math.isnan(half_noise([0.1, 1.0], np.array([0.9, 0.6])))
    assert math.isnan(half_noise([0.1, 1.0], np.array([0.4, 0.2])))


@pytest.mark.parametrize("test", ["cascade", "independent", "noise", "random_logit"])
def test_odd_names_cost_nothing_and_the_result_comes_back(results, test, tmp_path):
    labels = dict.fromkeys(step["label"] for step in results[test].parameters["steps"])
    check_it_comes_back(with_odd_names(results[test], list(labels)), tmp_path)
