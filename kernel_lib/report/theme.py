"""One look for all figures: readable on light and dark pages, and by colour-blind eyes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's palette without its pale yellow and its black, then darker shades.
COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#56b4e9",
    "#e69f00",
    "#332288",
    "#7a4988",
    "#8c6d31",
    "#5f6b73",
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

_SETTINGS = {
    # An opaque white ground: dark text on it reads the same on any page.
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "text.color": "#1b2530",
    "axes.edgecolor": "#8a949e",
    "axes.labelcolor": "#1b2530",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#3c4852",
    "ytick.color": "#3c4852",
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "grid.color": "#dfe4e8",
    "font.size": 10,
    "figure.dpi": 110,
    "image.interpolation": "nearest",
    # Names of classes, layers and files are drawn as they are: "$" starts no formula in them.
    "text.parse_math": False,
    "text.usetex": False,
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw inside with the shared look; the caller's Matplotlib settings stay as they are.

    Figures made inside belong to the caller alone: pyplot forgets them, so a notebook shows each
    where it is asked for and not all at the end of a cell.

    All their text is drawn letter by letter, now and whenever they are drawn again. Matplotlib
    would read "$...$" as a formula, and raise where a name is not one. Only the powers of ten that
    it writes itself, at logarithmic axes, are formulas.
    """
    from matplotlib import pyplot

    before = set(pyplot.get_fignums())
    try:
        with pyplot.rc_context(_SETTINGS):
            yield
            for number in set(pyplot.get_fignums()) - before:
                _draw_names_as_they_are(pyplot.figure(number))
    finally:
        for number in set(pyplot.get_fignums()) - before:
            pyplot.close(number)


def _draw_names_as_they_are(figure: Figure) -> None:
    """Keep to letters also where Matplotlib makes a text later, by the settings of that moment."""
    from matplotlib.text import Text
    from matplotlib.ticker import LogFormatter

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            for ticks, formatter in (
                (axis.get_major_ticks(), axis.get_major_formatter()),
                (axis.get_minor_ticks(), axis.get_minor_formatter()),
            ):
                for tick in ticks:
                    for label in (tick.label1, tick.label2):
                        label.set_parse_math(isinstance(formatter, LogFormatter))


def color_and_marker(position: int) -> tuple[str, str]:
    """A colour and a marker that go together, for the line at `position`."""
    return COLORS[position % len(COLORS)], MARKERS[position % len(MARKERS)]
