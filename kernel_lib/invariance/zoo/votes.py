"""Verdicts by people: read votes, count them, and say how well people agree.

Votes are a long table with the columns model_id, transform, annotator, vote, date; everything is
joined by id, never by position.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from kernel_lib.invariance.truth import VERDICTS
from kernel_lib.invariance.zoo.judging import kappa
from kernel_lib.tasks.untrusted import check_table, untrusted

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("model_id", "transform", "annotator", "vote", "date")


def read_votes(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read a CSV file of votes.

    Raises:
        ValueError: a missing column, an unknown vote, or two votes of one person on one network.
    """
    import pandas as pd

    with untrusted(f"{path} cannot be read as a CSV file"):
        table = pd.read_csv(check_table(path), dtype=str)
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise ValueError(f"{path} lacks the columns {missing}. Votes have: {', '.join(COLUMNS)}.")
    unknown = sorted(set(table.vote.dropna()) - set(VERDICTS)) + ["(none)"] * table.vote.hasnans
    if unknown:
        raise ValueError(f"Votes are one of {', '.join(VERDICTS)}. Received: {unknown}.")
    twice = table[table.duplicated(["model_id", "transform", "annotator"])]
    if len(twice):
        first = twice.iloc[0]
        raise ValueError(
            f"{first.annotator!r} voted more than once on {first.model_id!r}, {first.transform}."
        )
    return table


def majority(votes: pd.DataFrame) -> pd.DataFrame:
    """The verdict most people gave each network: model_id, transform, verdict, share, num_votes.

    A tie is "borderline".
    """
    import pandas as pd

    rows = []
    for (model, transform), given in votes.groupby(["model_id", "transform"], sort=True):
        counts = given.vote.value_counts()
        top = counts[counts == counts.max()].index
        rows.append(
            {
                "model_id": model,
                "transform": transform,
                "verdict": top[0] if len(top) == 1 else "borderline",
                "share": counts.max() / counts.sum(),
                "num_votes": int(counts.sum()),
            }
        )
    return pd.DataFrame(rows)


def agreement(votes: pd.DataFrame) -> dict[str, float]:
    """How well people agree: Fleiss' kappa over all, and the mean of Cohen's over pairs.

    Fleiss' kappa takes the networks that have as many votes as most have.
    """
    table = votes.pivot_table(
        index=["model_id", "transform"], columns="annotator", values="vote", aggfunc="first"
    )
    pairs = []
    for i, first in enumerate(table.columns):
        for second in table.columns[i + 1 :]:
            both = table[[first, second]].dropna()
            if len(both) >= 2:
                pairs.append(kappa(both[first].to_numpy(), both[second].to_numpy()))
    return {
        "fleiss_kappa": fleiss_kappa(_counts(table)),
        "mean_cohen_kappa": float(np.mean(pairs)) if pairs else float("nan"),
        "num_annotators": float(table.shape[1]),
        "num_networks": float(len(table)),
    }


def _counts(table: pd.DataFrame) -> np.ndarray:
    counts = np.stack([(table == verdict).sum(axis=1) for verdict in VERDICTS], axis=1)
    number = counts.sum(axis=1)
    return counts[number == np.bincount(number).argmax()]


def fleiss_kappa(counts: np.ndarray) -> float:
    """Fleiss' kappa of votes counted as (num_networks, num_verdicts), equally many in each row."""
    number = int(counts[0].sum())
    if number < 2:
        return float("nan")
    share = counts.sum(axis=0) / counts.sum()
    seen = ((np.square(counts).sum(axis=1) - number) / (number * (number - 1))).mean()
    chance = float(np.square(share).sum())
    return 1.0 if chance == 1 else float((seen - chance) / (1 - chance))


def compare(verdicts: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    """Agreement of two sources of verdicts, joined by model_id and transform.

    Args:
        verdicts, other: tables with model_id, transform, verdict.
    """
    both = verdicts.merge(other, on=["model_id", "transform"], suffixes=("", "_other"))
    if not len(both):
        raise ValueError("The two tables name no network and transformation in common.")
    first, second = both.verdict.to_numpy(str), both.verdict_other.to_numpy(str)
    return {
        "agreement": float((first == second).mean()),
        "kappa": kappa(first, second),
        "num_networks": float(len(both)),
    }
