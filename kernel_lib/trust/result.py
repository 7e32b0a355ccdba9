"""What the trust audit found: cells, scores, controls, a verdict, and frames for the widget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from kernel_lib._checks import check_choice
from kernel_lib.report.result import AuditResult
from kernel_lib.trust.matrix import TaskMatrix

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TrustResult(AuditResult):
    """Result of `kernel_lib.trust.audit`.

    Tables:
        cells: one row for each tap, probe, primary and target: accuracy with its Wilson interval,
            ideal, share of the way to certainty, untrained and pixel accuracy, control accuracy,
            selectivity, p-value plain and corrected, p-value of lying above the ideal, what
            training added and its p-value, bits.
        scores: one row for each tap, probe, score and primary ("all" for the whole matrix):
            trust, preservation and leakage with intervals, leakage of untrained networks.
        networks: accuracy of each network itself.
        codes: online code lengths at the headline tap.
        suppression: accuracy against leakage, where `with_suppression` added it.

    Arrays:
        hits: (taps, probes, runs, primaries, tasks, test images) int8, 1 right, 0 wrong, -1
            without a label.
        ideal: (primaries, tasks).
        ideal_chance: (tasks,).
    """

    audit: ClassVar[str] = "trust"
    question: ClassVar[str] = "What has the network learned that it was not asked to learn?"

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """The matrix, its ideal and their difference; leakage against depth; controls; codes."""
        from kernel_lib.trust.plots import figure_makers

        return figure_makers(self)

    def frames(self) -> dict[str, Any]:
        """What `kernel_widgets.TrustMatrix` shows."""
        from kernel_lib.trust.frames import frames

        return frames(self)

    def matrix(
        self, tap: str | None = None, probe: str | None = None, column: str = "accuracy"
    ) -> TaskMatrix:
        """The matrix of one tap and probe.

        Args:
            tap: the headline tap when left out.
            probe: the first probe when left out.
            column: of the table `cells`, such as "accuracy", "ideal" or "untrained".
        """
        tap = check_choice("tap", tap or self.parameters["tap"], self.parameters["taps"])
        probe = check_choice(
            "probe", probe or self.parameters["probes"][0], self.parameters["probes"]
        )
        cells = self.tables["cells"]
        here = cells[(cells.tap == tap) & (cells.probe == probe)]
        rows, columns = self.parameters["primaries"], self.parameters["tasks"]
        values = here.pivot(index="primary", columns="target", values=column)
        return TaskMatrix(
            values.loc[rows, columns].to_numpy(), rows, columns, self.arrays["ideal_chance"]
        )

    @property
    def ideal(self) -> TaskMatrix:
        """The ideal the scores are held against."""
        given = self.parameters
        chance = self.arrays["ideal_chance"]
        return TaskMatrix(self.arrays["ideal"], given["primaries"], given["tasks"], chance)

    def hits(self, tap: str, probe: str) -> np.ndarray:
        """(runs, primaries, tasks, test images) float32, NaN where the label is missing."""
        given = self.parameters
        check_choice("tap", tap, given["taps"])
        check_choice("probe", probe, given["probes"])
        packed = self.arrays["hits"][given["taps"].index(tap), given["probes"].index(probe)]
        return np.where(packed < 0, np.nan, packed.astype(np.float32))

    def with_suppression(self, table: pd.DataFrame) -> TrustResult:
        """The result with a table of `kernel_lib.trust.suppression_curve` and its figure."""
        return replace(self, tables={**self.tables, "suppression": table})
