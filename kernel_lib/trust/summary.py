"""From probes' answers to tables, intervals, scores and a verdict.

Symbols: T taps, P probes, R runs, I rows, J tasks, N test images, B resamples.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from kernel_lib.audit.paired import paired_counts, relative_loss_interval
from kernel_lib.audit.statistics import holm, wilson_interval
from kernel_lib.data import ImageSet
from kernel_lib.report.uncertainty import interval
from kernel_lib.trust.added import Added, added
from kernel_lib.trust.codes import label_entropy, usable_information
from kernel_lib.trust.columns import TaskColumn
from kernel_lib.trust.ideal import ideal_hits, ideal_matrix
from kernel_lib.trust.matrix import TaskMatrix
from kernel_lib.trust.measure import Measurements, Place, Setting
from kernel_lib.trust.probing import Readings
from kernel_lib.trust.result import TrustResult
from kernel_lib.trust.scores import (
    MODES,
    cell_errors,
    halves,
    own_chance,
    total_score,
)
from kernel_lib.trust.uncertainty import permutation_p_values, resampled_accuracy, widened
from kernel_lib.trust.verdict import judge

NUM_RESAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Standard:
    """What accuracies are held against: the ideal, the chance of own tasks, the weight.

    `guesses` are the images that the ideal counts as right, see `ideal_hits`.
    """

    ideal: TaskMatrix
    weight: float
    guesses: np.ndarray | None = None

    @property
    def own(self) -> np.ndarray:
        """(I, J) bool, True where a network's own task is read."""
        return self.ideal.own

    @property
    def bottom(self) -> np.ndarray:
        """(I, J) accuracy that counts as knowing nothing."""
        return np.where(self.own, own_chance(self.ideal)[:, None], self.ideal.values)

    def errors(self, values: np.ndarray, mode: str, untrained: np.ndarray | None) -> np.ndarray:
        """See `kernel_lib.trust.scores.cell_errors`."""
        return cell_errors(values, self.ideal.values, own_chance(self.ideal), mode, untrained)


def summarize(
    measured: Measurements,
    setting: Setting,
    arguments: dict[str, Any],
    columns: Mapping[str, TaskColumn],
    heads: dict[str, np.ndarray],
    images: ImageSet,
    origin: dict[str, Any],
) -> TrustResult:
    """Turn measurements into a result."""
    ideal = ideal_matrix(images, arguments["ideal"], rows=arguments["primaries"])
    guesses = ideal_hits(images, arguments["ideal"], arguments["primaries"])
    standard = Standard(ideal, arguments["weight"], guesses)
    p_values = _p_values(measured, columns, arguments, setting.seed)
    cells: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = []
    for place in measured.trained:
        sample = Sample.of(measured, place, setting)
        cells += _cell_rows(measured, place, sample, standard, columns, p_values.get(place))
        scores += _score_rows(place, sample, standard)
    tables = {
        "cells": pd.DataFrame(cells),
        "scores": pd.DataFrame(scores),
        "networks": _network_table(heads),
    }
    if measured.codes:
        tables["codes"] = pd.DataFrame(measured.codes)
    arrays = _arrays(measured, setting, ideal)
    headline = headline_scores(tables, arguments)
    has = {name: name in arguments["controls"] for name in ("untrained", "permutation")}
    verdict = judge(tables["cells"], headline, arguments, **has)
    parameters = arguments | {"sizes": measured.sizes, "seed": setting.seed}
    return TrustResult(headline, tables, arrays, verdict, parameters, origin)


@dataclass(frozen=True, eq=False)
class Sample:
    """Accuracies as observed and as resampled.

    Attributes:
        values: (I, J).
        draws: (B, I, J).
        untrained: (1, J), or None.
        untrained_draws: (B, 1, J), or None.
        hits: (networks, I, J, N) means over a network's probe seeds; `untrained_hits` the same.
    """

    values: np.ndarray
    draws: np.ndarray
    untrained: np.ndarray | None
    untrained_draws: np.ndarray | None
    hits: np.ndarray
    untrained_hits: np.ndarray | None

    @classmethod
    def of(cls, measured: Measurements, place: Place, setting: Setting) -> Sample:
        """Resample one place's readings; trained and untrained networks on the same images."""
        readings, blank = measured.trained[place], measured.untrained.get(place)
        return cls(
            readings.accuracy.mean(axis=0),
            _draws(readings.hits, setting.seed),
            None if blank is None else blank.accuracy.mean(axis=0),
            None if blank is None else _draws(blank.hits, setting.seed),
            _by_network(readings.hits, setting.num_probe_seeds),
            None if blank is None else _by_network(blank.hits, setting.num_probe_seeds),
        )


def _draws(hits: np.ndarray, seed: int) -> np.ndarray:
    return widened(resampled_accuracy(hits, NUM_RESAMPLES, seed), hits)


def _by_network(hits: np.ndarray, num_probe_seeds: int) -> np.ndarray:
    """(networks, I, J, N) from (probe seeds * networks, I, J, N): all networks for each seed."""
    return hits.reshape(num_probe_seeds, -1, *hits.shape[1:]).mean(axis=0)


def _cell_rows(
    measured: Measurements,
    place: Place,
    sample: Sample,
    standard: Standard,
    columns: Mapping[str, TaskColumn],
    p_values: np.ndarray | None,
) -> Iterator[dict[str, Any]]:
    """One row a cell; the names of the columns are those of the table `cells`."""
    readings = measured.trained[place]
    low, high = wilson_interval(sample.values, readings.counts)
    leak = _signed_share(sample.values, standard.bottom)
    leak_low, leak_high, above = _leak(sample, standard, readings)
    if sample.untrained_hits is None:
        gain = Added.unknown(standard.own.shape)
    else:
        gain = added(sample.hits, sample.untrained_hits, standard.bottom)
    control = measured.selectivity.get(place)
    memory = None if control is None else control.accuracy.mean(axis=0)
    pixels = measured.pixels.get(place[1])
    corrected = None if p_values is None else _holm_off_diagonal(p_values, standard.own)
    taught = _holm_off_diagonal(gain.p_value, standard.own)
    above = _holm_off_diagonal(above, standard.own)
    for i, j in itertools.product(range(len(readings.rows)), range(len(readings.columns))):
        column = columns[readings.columns[j]]
        labels = readings.labels[j]
        log_loss = float(readings.log_loss[:, i, j].mean())
        yield {
            "tap": place[0],
            "probe": place[1],
            "primary": readings.rows[i],
            "target": column.name,
            "num_images": int(readings.counts[j]),
            "num_runs": len(readings.predictions),
            "num_classes": column.num_classes,
            "chance": 1 / column.num_classes,
            "ideal": standard.ideal.values[i, j],
            "accuracy": sample.values[i, j],
            "low": low[i, j],
            "high": high[i, j],
            "deviation_over_runs": float(readings.accuracy[:, i, j].std()),
            "balanced_accuracy": _balanced(readings.predictions[:, i, j], labels),
            "share": leak[i, j],
            "share_low": leak_low[i, j],
            "share_high": leak_high[i, j],
            "untrained": np.nan if sample.untrained is None else sample.untrained[0, j],
            "above_p_holm": above[i, j],
            "added": gain.value[i, j],
            "added_low": gain.low[i, j],
            "added_high": gain.high[i, j],
            "added_p_holm": taught[i, j],
            "pixels": np.nan if pixels is None else pixels.accuracy[0, 0, j],
            "control_accuracy": np.nan if memory is None else memory[i, j],
            "selectivity": np.nan if memory is None else sample.values[i, j] - memory[i, j],
            "p_value": np.nan if p_values is None else p_values[i, j],
            "p_holm": np.nan if corrected is None else corrected[i, j],
            "log_loss_bits": log_loss,
            "usable_bits": float(usable_information(np.array(log_loss), labels)),
            "label_bits": label_entropy(labels),
            "strength": float(np.median(readings.strengths[:, i, j])),
            "fit_seconds": float(readings.seconds[:, i, j].sum()),
        }


def _score_rows(place: Place, sample: Sample, standard: Standard) -> Iterator[dict[str, Any]]:
    """One row for each score, of the whole matrix and of each of its rows."""
    parts = {"all": slice(None)} | {
        name: slice(i, i + 1) for i, name in enumerate(standard.ideal.rows)
    }
    modes = [mode for mode in MODES if mode != "relative" or sample.untrained is not None]
    for mode in modes:
        errors = standard.errors(sample.values, mode, sample.untrained)
        drawn = standard.errors(sample.draws, mode, sample.untrained_draws)
        for name, part in parts.items():
            own = standard.own[part]
            numbers = _three_scores(errors[part], own, standard.weight)
            draws = _three_scores(drawn[:, part], own, standard.weight)
            row = {"tap": place[0], "probe": place[1], "mode": mode, "primary": name}
            for score, value in numbers.items():
                low, high = _ends(draws[score])  # of distances, which resampling makes larger
                row |= {
                    score: float(value),
                    f"{score}_low": min(low, float(value)),
                    f"{score}_high": max(high, float(value)),
                }
            yield row | _untrained_leakage(sample, standard, part, mode)


def _three_scores(errors: np.ndarray, own: np.ndarray, weight: float) -> dict[str, np.ndarray]:
    preservation, leakage = halves(errors, own)
    trust = total_score(errors, own, weight)
    return {"trust": trust, "preservation": preservation, "leakage": leakage}


def _untrained_leakage(
    sample: Sample, standard: Standard, part: slice, mode: str
) -> dict[str, float]:
    """What untrained networks tell about the same cells; the band that depth is held against."""
    names = ("untrained_leakage", "untrained_leakage_low", "untrained_leakage_high")
    if sample.untrained is None or sample.untrained_draws is None or mode == "relative":
        return dict.fromkeys(names, np.nan)
    own = standard.own[part]

    def leakage(values: np.ndarray) -> np.ndarray:
        everywhere = np.broadcast_to(values, (*values.shape[:-2], *standard.own.shape))
        return halves(standard.errors(everywhere, mode, None)[..., part, :], own)[1]

    low, high = _ends(leakage(sample.untrained_draws))
    return dict(zip(names, (float(leakage(sample.untrained)), low, high), strict=True))


def _p_values(
    measured: Measurements,
    columns: Mapping[str, TaskColumn],
    arguments: dict[str, Any],
    seed: int,
) -> dict[Place, np.ndarray]:
    """(I, J) p-values of each place, NaN on the diagonal; all places share the permutations."""
    if "permutation" not in arguments["controls"]:
        return {}
    places = list(measured.trained)
    first = measured.trained[places[0]]
    found = np.full((len(places), len(first.rows), len(first.columns)), np.nan)
    names = {name: place for place, name in enumerate(first.columns)}
    for i, row in enumerate(first.rows):
        strata = first.labels[names[row]]
        for j, target in enumerate(first.columns):
            known = (strata >= 0) & (first.labels[j] >= 0)
            if target == row or not known.any():
                continue
            answers = np.stack([measured.trained[p].predictions[:, i, j][:, known] for p in places])
            found[:, i, j] = permutation_p_values(
                answers, first.labels[j][known], strata[known], arguments["num_permutations"],
                seed,
            )  # fmt: skip
    return dict(zip(places, found, strict=True))


def _holm_off_diagonal(p_values: np.ndarray, own: np.ndarray) -> np.ndarray:
    corrected = np.full(p_values.shape, np.nan)
    corrected[~own] = holm(p_values[~own])
    return corrected


def _leak(
    sample: Sample, standard: Standard, readings: Readings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Interval of each share of the way to certainty, and p-value that it is above 0; (I, J).

    The share is 1 - (1 - A) / (1 - A*): the relative loss of wrong answers from the ideal's guesses
    to the probe's. Both are counted on the same images, so the interval is paired; where the ideal
    is no guess, and for a network's own task, it is Wilson's. Resampling, which knows of runs, can
    only widen it.
    """
    low, high = _ends(_signed_share(sample.draws, standard.bottom))
    plain = wilson_interval(sample.values, readings.counts)
    ends = [_signed_share(each, standard.bottom) for each in plain]
    right = sample.values * readings.counts
    wrong = readings.counts - right
    above = np.where(
        right > 0, special.betainc(np.maximum(right, 1e-12), wrong + 1, standard.bottom), 1.0
    )
    if standard.guesses is not None:
        counts = paired_counts(1 - standard.guesses, 1 - sample.hits)
        kept, lost, gained = (each.mean(axis=0) for each in counts)
        off = ~standard.own
        for end, paired in zip(ends, relative_loss_interval(kept, lost, gained), strict=True):
            end[off] = paired[off]
        paired_p = special.betainc(np.maximum(lost, 1e-12), gained + 1, 0.5)
        above[off] = np.where(lost > 0, paired_p, 1.0)[off]
    return np.minimum(low, ends[0]), np.maximum(high, ends[1]), above


def _signed_share(values: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Place between the ideal (0) and certainty (1); below 0 where less is read than the ideal."""
    return (values - bottom) / np.maximum(1 - bottom, 1e-12)


def _ends(draws: np.ndarray) -> tuple[Any, Any]:
    """Ends of the interval over the first axis."""
    low, high = interval(np.moveaxis(draws, 0, -1))
    return (float(low), float(high)) if low.ndim == 0 else (low, high)


def _balanced(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean over classes of the share of a class that is recognised, mean over runs."""
    shares = [
        (predictions[:, labels == each] == each).mean() for each in np.unique(labels[labels >= 0])
    ]
    return float(np.mean(shares))


def _network_table(heads: dict[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"primary": task, "run": run, "head_accuracy": value}
            for task, values in heads.items()
            for run, value in enumerate(values)
        ]
    )


def _arrays(measured: Measurements, setting: Setting, ideal: TaskMatrix) -> dict[str, np.ndarray]:
    def gathered(readings: dict[Place, Readings]) -> np.ndarray:
        """(T, P, R, I, J, N) int8: 1 right, 0 wrong, -1 without a label."""
        return np.array(
            [
                [_hits(readings[tap, probe]) for probe in setting.probes]
                for tap in setting.taps
            ]
        )  # fmt: skip

    chance = np.asarray(ideal.chance)
    return {"hits": gathered(measured.trained), "ideal": ideal.values, "ideal_chance": chance}


def _hits(readings: Readings) -> np.ndarray:
    right = (readings.predictions == readings.labels).astype(np.int8)
    return np.where(readings.labels >= 0, right, np.int8(-1))


def headline_scores(tables: dict[str, pd.DataFrame], arguments: dict[str, Any]) -> dict[str, float]:
    """The numbers at the headline tap, by the first probe."""
    table = tables["scores"]
    here = table[
        (table.tap == arguments["tap"])
        & (table.probe == arguments["probes"][0])
        & (table.primary == "all")
    ].set_index("mode")
    found = {
        "trust": here.trust["absolute"],
        "trust_low": here.trust_low["absolute"],
        "trust_high": here.trust_high["absolute"],
        "trust_hinge": here.trust["hinge"],
        "trust_normalised": here.trust["normalised"],
        "preservation": here.preservation["normalised"],
        "leakage": here.leakage["normalised"],
        "leakage_low": here.leakage_low["normalised"],
        "leakage_high": here.leakage_high["normalised"],
        "head_accuracy": tables["networks"].head_accuracy.mean(),
    }
    if "relative" in here.index:
        found["trust_relative"] = here.trust["relative"]
        found["leakage_untrained"] = here.untrained_leakage["normalised"]
    return {name: float(value) for name, value in found.items()}
