"""Figures draw any name, letter by letter, when they are made and whenever they are drawn again."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.text import Text

from kernel_lib.report.theme import theme

# The first three raise in Matplotlib where they are read as formulas.
NAMES = [r"$\frac{$", "$_$ per $_$", "{$}$", "5 $ or 6 $", r"\alpha", "a_b^c", "50 %", "{}", "a\nb"]


def drawn(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return file.getvalue()


def all_kinds():
    """A figure with names wherever the figures of audits have them."""
    figure, axes = pyplot.subplots(2, 2, layout="constrained", figsize=(14, 12))
    place = np.arange(len(NAMES))
    for name in NAMES:
        axes[0, 0].plot([0, 1], [0, 1], label=name)
    axes[0, 0].legend(title=NAMES[0], loc="upper left")
    axes[0, 0].set(title=NAMES[1], xlabel=NAMES[2], ylabel=NAMES[0])
    axes[0, 1].barh(NAMES, place)  # names on an axis of categories
    axes[0, 1].text(0.5, 0.5, NAMES[0])
    axes[0, 1].annotate(NAMES[0], (0, 0))
    axes[1, 0].set_xticks(place, NAMES, rotation=35)
    axes[1, 0].set_yticks(place, NAMES)
    picture = axes[1, 1].imshow(np.eye(3))
    figure.colorbar(picture, ax=axes[1, 1], label=NAMES[0])
    figure.legend(loc="outside right upper", title=NAMES[1])
    figure.suptitle(NAMES[2])
    return figure


def test_names_draw_inside_and_after_the_theme():
    with theme():
        inside = drawn(all_kinds())
        figure = all_kinds()
    assert len(drawn(figure)) == pytest.approx(len(inside), rel=0.2)
    figure.set_size_inches(12, 10)
    drawn(figure)


def test_names_are_not_changed():
    with theme():
        figure = all_kinds()
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert all(texts.count(name) >= 4 for name in NAMES)


def test_without_the_theme_such_a_name_raises():
    """Otherwise the tests above would show nothing."""
    figure, axes = pyplot.subplots()
    axes.set_title(NAMES[0])
    with pytest.raises(ValueError, match=r"ParseFatalException|\\frac"):
        drawn(figure)
    pyplot.close(figure)


def test_powers_of_ten_are_still_formulas():
    with theme():
        figure, axes = pyplot.subplots()
        axes.plot([1, 1e6], [1, 2])
        axes.set_xscale("log")
    drawn(figure)
    labels = [label for label in axes.get_xticklabels() if label.get_text()]
    assert labels
    assert all(label.get_parse_math() and "10^" in label.get_text() for label in labels)


def test_settings_of_the_caller_stay_theirs():
    before = dict(mpl.rcParams)
    with mpl.rc_context({"text.usetex": True}), theme():
        drawn(all_kinds())  # no LaTeX is asked for
    assert dict(mpl.rcParams) == before
