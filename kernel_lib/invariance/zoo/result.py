"""What a zoo taught: the networks, how well assessors judge them, and a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from kernel_lib.invariance.zoo.build import Zoo
from kernel_lib.invariance.zoo.judging import YARDSTICKS
from kernel_lib.report.provenance import surroundings
from kernel_lib.report.result import AuditResult, Verdict
from kernel_lib.tasks import digest

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ZooResult(AuditResult):
    """Networks of a zoo and scores of assessors.

    Tables:
        models: recipe, truth and accuracies of each network. assessors, three_fold: scores.
        importance: accuracy lost without each group of features. failed: task and reason.

    Arrays:
        features: (num_networks, num_features).
    """

    audit: ClassVar[str] = "invariance_zoo"
    question: ClassVar[str] = "Can a network be judged without labels, by how its answers move?"

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """The networks, the assessors and what they look at."""
        from kernel_lib.invariance.zoo.plots import plot_importance, plot_scores, plot_zoo

        column = self.parameters["features"].index("confidence/mean")
        confidence = self.arrays["features"][:, column]
        return {
            "assessors": partial(plot_scores, self.tables["assessors"]),
            "zoo": partial(plot_zoo, self.tables["models"], confidence),
            "importance": partial(plot_importance, self.tables["importance"]),
        }


def summarize(
    zoo: Zoo,
    assessors: pd.DataFrame,
    three_fold: pd.DataFrame,
    importance: pd.DataFrame,
    *,
    seed: int = 0,
) -> ZooResult:
    """Gather a zoo and its judges in one result.

    Args:
        zoo: measured networks.
        assessors: from `judge`. three_fold: from `judge(protocol="three_fold")`.
        importance: from `importance`.
        seed: the seed they were made with.
    """
    judges = assessors[~assessors.algorithm.isin(YARDSTICKS)]
    best = judges.loc[judges.accuracy.idxmax()]
    yardstick = assessors[assessors.algorithm.isin(YARDSTICKS)].accuracy.max()
    kept = zoo.assessable()
    scores = {
        "best_accuracy": float(best.accuracy),
        "best_yardstick": float(yardstick),
        "best_kappa": float(best.kappa),
        "num_networks": float(len(zoo.models)),
        "num_assessable": float(len(kept.models)),
        "num_invariant": float(kept.is_invariant.sum()),
    }
    tables = {
        "models": zoo.models,
        "assessors": assessors,
        "three_fold": three_fold,
        "importance": importance,
        "failed": pd.DataFrame(
            {"task": list(zoo.run.failed), "reason": list(zoo.run.failed.values())},
            columns=["task", "reason"],
        ),
    }
    parameters = {"setting": zoo.setting, "features": list(zoo.names), "seed": seed}
    verdict = _verdict(str(best.algorithm).replace("_", " "), best, float(yardstick))
    features = np.array(zoo.features)
    content = digest([zoo.models.to_csv(index=False), features])
    origin = surroundings(seed) | {
        "model": {"name": f"{len(zoo.models)} networks", "digest": content},
        "data": zoo.data,
    }
    return ZooResult(scores, tables, {"features": features}, verdict, parameters, origin)


def _verdict(name: str, best: pd.Series, yardstick: float) -> Verdict:
    gain = float(best.accuracy) - yardstick
    if best.low > yardstick:
        status, word = "pass", "beats"
    elif gain > 0:
        status, word = "undetermined", "is above, but not surely above,"
    else:
        status, word = "warning", "does not beat"
    return Verdict(
        status,
        f"The best assessor ({name}) judges {best.accuracy:.0%} [{best.low:.0%}, {best.high:.0%}] "
        f"of unseen networks rightly and {word} the better of the two simple yardsticks "
        f"({yardstick:.0%}).",
        means="The movement of a network's answers tells something about its invariance, without "
        "labels."
        if gain > 0
        else "One threshold on one number does as well: use that, or a larger zoo.",
        does_not_mean="The best of several algorithms is chosen on these same networks, so its "
        "accuracy is a little flattered; and networks of another kind, or other data, may be "
        "judged worse. Test by transfer before relying on it.",
        next_step="Give the saved assessor to the notebook on invariance testing."
        if status == "pass"
        else "Train a larger zoo; more networks near the border help most.",
    )
