"""What an intake found: facts about network and images, and findings with their cures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kernel_lib._checks import check_choice
from kernel_lib.audit.standing import Standing

SEVERITIES = ("stop", "caution", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that the intake noticed.

    Attributes:
        name: what it is about, such as "guessing" or "class_order"; stable, for programs.
        severity: "stop": no verdict can stand on this; "caution": look at it before you rely on a
            verdict; "note": worth knowing.
        text: one or two sentences, with the numbers.
        cure: what to do, ready to paste where it is code; empty where nothing need be done.
    """

    name: str
    severity: str
    text: str
    cure: str = ""

    def __post_init__(self) -> None:
        check_choice("severity", self.severity, SEVERITIES)

    def describe(self) -> dict[str, str]:
        """As plain data."""
        return {
            "name": self.name,
            "severity": self.severity,
            "text": self.text,
            "cure": self.cure,
        }


@dataclass(frozen=True, repr=False)
class Intake:
    """How a network is fed and judged, with the evidence.

    Attributes:
        network: facts about the network, see `Classifier.describe`.
        feeding: how images are brought to the network's scale: preprocessing, source ("said",
            "stored", "read off the network", "measured" or "assumed"), evidence in a sentence, and
            what was measured under each candidate.
        standing: accuracy beside chance; None where images have no labels.
        classes: one row a class, see `kernel_lib.audit.standing.by_class`.
        images: facts about the images: counts, duplicates, quality.
        reach: what can be told with so many images.
        forecast: time and memory of the audit asked for; empty where none was.
        findings: most severe first.
        classifier: the network, fed as found here.
        image_set: the images, with labels in the network's order; an `ImageSet`, or an array
            where there are no labels.
    """

    network: dict[str, Any]
    feeding: dict[str, Any]
    standing: Standing | None
    classes: list[dict[str, Any]]
    images: dict[str, Any]
    reach: dict[str, Any]
    forecast: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    classifier: Any = field(default=None, repr=False, compare=False)
    image_set: Any = field(default=None, repr=False, compare=False)

    @property
    def stops(self) -> tuple[Finding, ...]:
        """Findings on which no verdict can stand."""
        return tuple(each for each in self.findings if each.severity == "stop")

    @property
    def headline(self) -> str:
        """The most urgent finding, or how the network stands."""
        if self.stops:
            return self.stops[0].text
        if self.standing is None:
            return "The images have no labels, so nobody can say how often the network is right."
        return f"The network is {self.standing}."

    def describe(self) -> dict[str, Any]:
        """As plain data, for `result.json`."""
        plain = {
            "headline": self.headline,
            "network": self.network,
            "feeding": self.feeding,
            "standing": None if self.standing is None else self.standing.describe(),
            "classes": self.classes,
            "images": self.images,
            "reach": self.reach,
            "forecast": self.forecast,
            "findings": [each.describe() for each in self.findings],
        }
        return json.loads(json.dumps(plain))  # tuples become lists, as in the file

    def __repr__(self) -> str:
        names = ", ".join(each.name for each in self.findings)
        return f"Intake({self.headline} Findings: {names or 'none'})"

    def __str__(self) -> str:
        from kernel_lib.report.intake_card import intake_text

        return intake_text(self.describe())

    def _repr_html_(self) -> str:
        from kernel_lib.report.intake_card import intake_html

        return intake_html(self.describe())


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Most severe first; otherwise as they came."""
    return tuple(sorted(findings, key=lambda each: SEVERITIES.index(each.severity)))
