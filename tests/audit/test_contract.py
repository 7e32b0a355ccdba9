"""The contract of all audits, run over each of them; and that it sees what breaks it."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

import contract_cases
import kernel_lib as kl
from kernel_lib.audit import contract
from kernel_lib.audit import options as opt
from kernel_lib.audit.contract import TERMS, Case, ContractError, bare_numbers, check_audit
from kernel_lib.report.result import AuditResult, Verdict
from kernel_lib.saliency.audit import TESTS

# The slow terms are tried on one network alone; files and pages do not depend on the network.
ON_BOTH = ("model is left", "same seed, same bytes", "batch size is no matter",
           "random state stays")  # fmt: skip
# Found by the contract and not yet mended.
OPEN = {
    ("invariance", "order is no matter"): "some measurements change with the order of the images",
    ("errors", "order is no matter"): "the score of a learned detector changes with the order",
    ("doctor", "order is no matter"): "a suggestion of the table of classes changes with the order",
}
CASES = [
    pytest.param(
        audit,
        network,
        term,
        marks=[pytest.mark.xfail(reason=OPEN[audit, term])] if (audit, term) in OPEN else [],
    )
    for audit in contract_cases.OPTIONS
    for network in contract_cases.NETWORKS
    for term in TERMS
    if (network == "convolutions" or term in ON_BOTH) and (audit, network) != ("doctor", "dense")
]


@pytest.mark.parametrize(("audit", "network", "term"), CASES)
def test_the_audits_keep_the_contract(audit, network, term):
    TERMS[term](contract_cases.case(audit, network))


def test_the_doctor_says_what_it_lacks_and_leaves_the_network():
    case = contract_cases.case("doctor", "dense")
    before = contract.fingerprint(case.model)
    with pytest.raises(ValueError, match="convolution"):
        case.run()
    assert contract.fingerprint(case.model) == before


@pytest.mark.parametrize("test", TESTS)
def test_every_saliency_test_is_silent_is_left_and_opens_its_widget(test):
    case = contract_cases.case("saliency", "convolutions")
    options = case.options | {"test": test, "methods": ["gradient"], "num_seeds": 1,
                              "noise_levels": [0.1, 1.0]}  # fmt: skip
    if test == "labels":
        options |= {"twin": contract_cases.twin()}
    for term in ("model is left", "silence", "widget opens", "no NaN without words"):
        TERMS[term](replace(case, options=options))


def test_the_twin_is_trained_in_silence(capfd):
    case = contract_cases.case("saliency", "convolutions")
    options = case.options | {"test": "labels", "methods": ["gradient"], "twin_epochs": 1}
    with pytest.raises(ValueError, match=r"0\.95"):
        replace(case, options=options).run()
    assert capfd.readouterr().out == ""


# --- an audit that someone brings ----------------------------------------------------------------


@dataclass(frozen=True)
class LightResult(AuditResult):
    audit: ClassVar[str] = "light"
    question: ClassVar[str] = "How light are the images?"


def light_audit(model, images, *, level: float = 0.5, seed: int = 0, batch_size: int | None = None,
                progress: bool = True):  # fmt: skip
    """Count light images that the network takes for each class.

    Args:
        level: brightness of a light image, 0 to 1.
        seed: of nothing.
        batch_size: images in memory at once.
        progress: show nothing.
    """
    if isinstance(level, str) or not 0 <= level <= 1:
        raise ValueError(f"`level` must lie in [0, 1]. Received: level={level!r}.")
    opt.SEED.check("seed", seed)
    opt.BATCH_SIZE.check("batch_size", batch_size)
    opt.flag().check("progress", progress)
    predicted = model.predict(images.images, batch_size or 8)
    is_light = images.images.mean(axis=(1, 2, 3)) > level
    return LightResult(
        {"light": float(is_light.mean())},
        {"rows": pd.DataFrame({"predicted": predicted, "light": is_light})},
        {"brightness": images.images.mean(axis=(1, 2, 3))},
        Verdict("pass", "Counted.", "So it is.", "Nothing else.", "Nothing to do."),
        {"level": level, "seed": seed, "batch_size": batch_size},
    )


NOT_FILES = [name for name in TERMS if name not in ("it comes back", "odd names cost nothing",
             "widget opens")]  # fmt: skip


def tried(audit, **options):
    """Hold an audit to all terms that need no registered result."""
    case = contract_cases.case("saliency", "dense")
    check_audit(audit, case.model, case.images, options=options, terms=NOT_FILES)


def test_an_audit_that_keeps_the_contract_passes():
    tried(light_audit)


def spoiled(change):
    """The audit, with something done before and after."""

    def audit(model, images, *, level: float = 0.5, seed: int = 0, batch_size: int | None = None,
              progress: bool = True):  # fmt: skip
        result = light_audit(model, images, level=level, seed=seed, batch_size=batch_size,
                             progress=progress)  # fmt: skip
        return change(model, images, result, batch_size) or result

    audit.__doc__ = light_audit.__doc__
    return audit


def _score(result, value):
    return replace(result, scores=result.scores | {"light": float(value)})


def _moves_a_weight(model, images, result, batch_size):
    bias = model.model.layers[-1].bias
    bias.assign(np.asarray(bias) + 1e-7)


def _freezes_a_layer(model, images, result, batch_size):
    model.model.layers[-1].trainable = not model.model.layers[-1].trainable


BREAKS = {
    "model is left": [_moves_a_weight, _freezes_a_layer],
    "same seed, same bytes": [lambda m, i, r, b: _score(r, np.random.default_rng().random())],
    "batch size is no matter": [lambda m, i, r, b: _score(r, (b or 8) * 1e-4)],
    "order is no matter": [lambda m, i, r, b: _score(r, i.images[0].mean())],
    "random state stays": [
        lambda m, i, r, b: _score(r, 0 * random.random()),
        lambda m, i, r, b: _score(r, 0 * np.random.random()),  # noqa: NPY002
    ],
    "names are no matter": [lambda m, i, r, b: _score(r, ord(i.class_names[0][-1]))],
    "options are recorded": [lambda m, i, r, b: replace(r, parameters={"level": 0.5})],
    "silence": [lambda m, i, r, b: print("done"), lambda m, i, r, b: print("so", file=sys.stderr)],
    "no NaN without words": [
        lambda m, i, r, b: replace(r, verdict=replace(r.verdict, means="It is nan."))
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("term", "change"), [(term, each) for term, many in BREAKS.items() for each in many]
)
def test_what_breaks_a_term_is_seen(term, change):
    case = contract_cases.case("saliency", "dense")
    kept = [np.asarray(each).copy() for each in case.model.model.variables]
    try:
        with pytest.raises(ContractError):
            TERMS[term](Case(spoiled(change), case.model, case.images))
    finally:
        case.model.model.layers[-1].trainable = True
        for variable, value in zip(case.model.model.variables, kept, strict=True):
            variable.assign(value)


def test_a_network_left_changed_by_an_interrupt_is_seen():
    case = contract_cases.case("saliency", "dense")
    bias = case.model.model.layers[-1].bias
    kept = np.asarray(bias).copy()

    def audit(model, images, *, seed: int = 0, progress: bool = True):
        bias.assign(kept + 1)
        result = light_audit(model, images)
        bias.assign(kept)
        return result

    try:
        with pytest.raises(ContractError, match="variables differ"):
            TERMS["model is left when stopped"](Case(audit, case.model, case.images))
    finally:
        bias.assign(kept)


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (lambda name, value: None, "not refused"),
        (lambda name, value: opt.count(1, 9).check("steps", value), "is refused without"),
    ],
)
def test_options_without_a_good_refusal_are_seen(check, fault):
    case = contract_cases.case("saliency", "dense")

    def audit(model, images, *, num_steps: int = 3, seed: int = 0, progress: bool = True):
        check("num_steps", num_steps)
        return light_audit(model, images)

    with pytest.raises(ContractError, match=fault):
        TERMS["options are refused"](Case(audit, case.model, case.images))


def test_an_option_without_bounds_is_seen_when_the_audit_is_defined():
    with pytest.raises(TypeError, match="differ: steps"):

        @opt.takes(seed=opt.SEED)
        def audit(model, images, *, steps=3, seed=0):
            return None


def test_a_text_is_not_taken_for_its_letters():
    case = contract_cases.case("saliency", "dense")
    with pytest.raises(TypeError, match=r"`methods` must be a list.*mean \['gradient'\]"):
        kl.saliency.audit(case.model, case.images, methods="gradient")


@pytest.mark.parametrize("text", ["<td>nan</td>", "a NaN b", "<p>x None</p>", "-inf"])
def test_bare_numbers_are_found_on_a_page(text):
    assert bare_numbers(f"<style>nan</style><p>fine</p>{text}")
    assert not bare_numbers("<p>nanometres, infinite, Nan Goldin, none, 'NaN'</p>")
