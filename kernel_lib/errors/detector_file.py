"""A fitted `ErrorDetector` in a file, and out of it."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from kernel_lib.errors.evidence import Reading
from kernel_lib.errors.learned import below, under
from kernel_lib.errors.mutants import MutantSet
from kernel_lib.errors.recipes import Mutant
from kernel_lib.errors.votes import Votes
from kernel_lib.tasks.record_file import read_record, write_record
from kernel_lib.tasks.untrusted import untrusted

if TYPE_CHECKING:
    from kernel_lib.errors.detector import ErrorDetector
    from kernel_lib.models.classifier import Classifier

    Detector = TypeVar("Detector", bound=ErrorDetector)

_KIND = "a detector of wrong predictions"
_PLACE_OF_THIS_MACHINE = ("cache", "progress")  # settings of reading that do not travel
_PROFILED = "scorer/profiles/taps"
_VOTES = ("base", "predictions", "doubt")


def save(detector: ErrorDetector, path: str | os.PathLike[str]) -> Path:
    """Write a fitted detector; see `ErrorDetector.save`."""
    reading, arrays = _reading_parts(detector.reading)
    arrays |= {
        "calibration_scores": detector.calibration_scores,
        "calibration_wrong": detector.calibration_wrong,
    }
    about: dict[str, Any] = {
        "score": detector.definition.name,
        "head": detector.options.head,
        "seed": detector.options.seed,
        "reading": reading,
        "network": {
            "name": detector.classifier.name,
            "digest": detector.classifier.digest,
            "taps": _taps(detector.classifier),
        },
    }
    if detector.mutants is not None:
        about["mutants"] = [mutant.describe() for mutant in detector.mutants]
        about["original_accuracy"] = detector.mutants.original_accuracy
        about["num_attempts"] = detector.mutants.num_attempts
        arrays["mutants/accuracy"] = detector.mutants.accuracy
        votes = {name: getattr(detector.mutants.votes, name) for name in _VOTES}
        arrays |= under("mutants/votes", votes)
    arrays |= under("scorer", detector._scorer.state())
    return write_record(path, _KIND, about, arrays)


def load(kind: type[Detector], path: str | os.PathLike[str], classifier: Classifier) -> Detector:
    """Read a detector; see `ErrorDetector.load`."""
    about, arrays = read_record(path, _KIND)
    with untrusted(f"{path} is no whole detector"):
        network = {key: str(about["network"][key]) for key in ("digest", "name")}
    _check_network(network, classifier, path)
    with untrusted(f"{path} is no whole detector"):
        # Keras numbers the layers of a network that is built anew, so its names may be others.
        names = dict(zip(about["network"]["taps"], _taps(classifier), strict=True))
        mutants = _mutants(about, arrays, names)
        reading = _reading(about["reading"], arrays, names)
        detector = kind(
            about["score"],
            reading=reading,
            mutants=mutants,
            head=about["head"],
            seed=about["seed"],
        )
        detector.classifier, detector.mutants = classifier, mutants
        if _PROFILED in arrays:
            arrays[_PROFILED] = np.array([names[tap] for tap in arrays[_PROFILED].tolist()])
        detector.calibration_scores = arrays["calibration_scores"]
        detector.calibration_wrong = arrays["calibration_wrong"]
        detector._scorer = detector._make().restore(below("scorer", arrays))
    return detector


def _check_network(told: dict[str, Any], classifier: Classifier, path: Any) -> None:
    if told["digest"] != classifier.digest:
        raise ValueError(
            f"The detector in {path} was fitted on the network {told['name']!r}, and the weights, "
            f"layers or preprocessing of {classifier.name!r} are others. What it learned says "
            "nothing about them. Load the network it was fitted on, or fit a detector on this one."
        )


def _reading_parts(reading: Reading) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The settings as JSON can hold them; a baseline that is an image is an array."""
    told = asdict(reading)
    for name in _PLACE_OF_THIS_MACHINE:
        del told[name]
    arrays = {}
    if told["layers"] is not None:
        told["layers"] = [str(each) for each in told["layers"]]
    if not isinstance(told["baseline"], str | int | float):
        arrays["baseline"] = np.asarray(told.pop("baseline"))
    return told, arrays


def _reading(told: dict[str, Any], arrays: dict[str, np.ndarray], names: dict[str, str]) -> Reading:
    baseline = {"baseline": arrays["baseline"]} if "baseline" in arrays else {}
    layers = told["layers"]
    layers = None if layers is None else [names[each] for each in layers]
    return Reading(**{**told, **baseline, "layers": layers})


def _mutants(
    about: dict[str, Any], arrays: dict[str, np.ndarray], names: dict[str, str]
) -> MutantSet | None:
    if "mutants" not in about:
        return None
    told = [
        each | {"places": {names[tap]: units for tap, units in each["places"].items()}}
        for each in about["mutants"]
    ]
    return MutantSet(
        tuple(Mutant.from_description(each) for each in told),
        arrays["mutants/accuracy"],
        float(about["original_accuracy"]),
        int(about["num_attempts"]),
        Votes(**below("mutants/votes", arrays)),
    )


def _taps(classifier: Classifier) -> list[str]:
    return [tap.name for tap in classifier.network.taps()]
