"""What is done to the network, step by step. Step 0 is always the trained network.

| test | what changes from step to step | source |
|---|---|---|
| cascade | the top k blocks hold random weights | Adebayo et al. 2018, section 4.1 |
| independent | one block at a time holds random weights | section 4.2 |
| full | the whole network at once | section 4 |
| noise | Gaussian noise of growing size is added to the weights | model noise test |
| labels | the network is replaced by its twin trained on permuted labels | section 5 |
| random_logit | the same network explains another class | Sixt et al. 2020 |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.models.classifier import Classifier
from kernel_lib.network.grouping import Block
from kernel_lib.saliency.randomize import NOISE_MODES, add_noise, randomize

ORDERS = ("top_down", "bottom_up")
PROTOCOLS = ("nested", "fresh")
NOISE_SCOPES = ("cascade", "independent", "global")

Change = Callable[[int], object]


@dataclass(frozen=True)
class Step:
    """One state of the network.

    Attributes:
        label: short, for an axis.
        sentence: what was done, for people.
        changed: names of the blocks that are not as trained.
        apply: seed -> change the weights in place.
        restart: whether `apply` starts from the trained weights, not from the step before.
        level: size of the noise, where there is one.
        class_shift: explain the class that lies so far after the target.
    """

    label: str
    sentence: str
    changed: tuple[str, ...] = ()
    apply: Change = lambda seed: None
    restart: bool = True
    level: float | None = None
    class_shift: int = 0


TRAINED = Step("trained", "the trained network")


@dataclass(frozen=True)
class Redraw:
    """How random weights are drawn; see `randomize`."""

    operator: str = "native"
    batch_norm: str = "all"
    calibration_images: np.ndarray | None = None


def cascade_steps(
    classifier: Classifier,
    blocks: Sequence[Block],
    redraw: Redraw,
    order: str = "top_down",
    protocol: str = "nested",
) -> list[Step]:
    """Random weights spread block by block, from the output down or from the input up.

    "nested" keeps the earlier draws and adds one block; "fresh" draws every changed block anew at
    each step, as the published code does. The two have the same distribution.
    """
    check_choice("order", order, ORDERS)
    check_choice("protocol", protocol, PROTOCOLS)
    ordered = list(reversed(blocks)) if order == "top_down" else list(blocks)
    steps = [TRAINED]
    for count, block in enumerate(ordered, start=1):
        changed = ordered[:count]
        is_fresh = protocol == "fresh"
        newly = changed if is_fresh else [block]
        steps.append(
            Step(
                block.name,
                f"{_listed(changed)} randomised",
                tuple(b.name for b in changed),
                _randomizer(classifier, newly, redraw, draw=count if is_fresh else 0),
                restart=is_fresh or count == 1,
            )
        )
    return steps


def independent_steps(
    classifier: Classifier, blocks: Sequence[Block], redraw: Redraw
) -> list[Step]:
    """One block at a time holds random weights, all others the trained ones; output first."""
    return [
        TRAINED,
        *(
            Step(
                block.name,
                f"only {block.name} randomised",
                (block.name,),
                _randomizer(classifier, [block], redraw),
            )
            for block in reversed(blocks)
        ),
    ]


def full_steps(classifier: Classifier, blocks: Sequence[Block], redraw: Redraw) -> list[Step]:
    """All blocks at once."""
    names = tuple(block.name for block in blocks)
    apply = _randomizer(classifier, blocks, redraw)
    return [TRAINED, Step("all random", "the whole network randomised", names, apply)]


def noise_steps(
    classifier: Classifier,
    blocks: Sequence[Block],
    levels: Sequence[float],
    mode: str = "relative",
    scope: str = "global",
    biases: bool = True,
) -> list[Step]:
    """Noise of each level: on the whole network, on the top k blocks, or on one block at a time."""
    check_choice("noise_scope", scope, NOISE_SCOPES)
    check_choice("noise_mode", mode, NOISE_MODES)
    from_top = list(reversed(blocks))
    targets = {
        "global": [("all blocks", from_top)],
        "cascade": [(block.name, from_top[: i + 1]) for i, block in enumerate(from_top)],
        "independent": [(block.name, [block]) for block in from_top],
    }[scope]
    unit = {"absolute": "sd", "relative": "x sd of the weights", "multiplicative": "x weight"}[mode]
    steps = [TRAINED]
    for level in levels:
        for name, changed in targets:
            label = f"{level:g}" if scope == "global" else f"{level:g} {name}"
            steps.append(
                Step(
                    label,
                    f"noise {level:g} {unit} on {_listed(changed)}",
                    tuple(block.name for block in changed),
                    _noiser(classifier, changed, level, mode, biases),
                    level=float(level),
                )
            )
    return steps


def label_steps(classifier: Classifier, twin_weights: Sequence[np.ndarray]) -> list[Step]:
    """The network, then its twin that was trained on permuted labels."""

    def apply(seed: int) -> None:
        for variable, value in zip(classifier.model.variables, twin_weights, strict=True):
            variable.assign(value)

    sentence = "the twin trained on permuted labels"
    return [TRAINED, Step("random labels", sentence, (), apply)]


def random_logit_steps(num_classes: int, most: int = 9) -> list[Step]:
    """The same network explains each other class in turn; at most `most` of them."""
    count = min(num_classes - 1, most)
    shifts = np.unique(np.linspace(1, num_classes - 1, count).round().astype(int))
    return [
        Step("predicted class", "the class itself"),
        *(
            Step(f"class + {shift}", f"the class {shift} places further", class_shift=int(shift))
            for shift in shifts
        ),
    ]


def _randomizer(
    classifier: Classifier, blocks: Sequence[Block], redraw: Redraw, draw: int = 0
) -> Change:
    return lambda seed: randomize(
        classifier,
        list(blocks),
        seed,
        operator=redraw.operator,
        batch_norm=redraw.batch_norm,
        calibration_images=redraw.calibration_images,
        draw=draw,
    )


def _noiser(
    classifier: Classifier, blocks: Sequence[Block], level: float, mode: str, biases: bool
) -> Change:
    return lambda seed: add_noise(
        classifier, level, seed, layers=list(blocks), mode=mode, biases=biases
    )


def _listed(blocks: Sequence[Block]) -> str:
    names = [block.name for block in blocks]
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]}, {names[1]}, ... {names[-1]} ({len(names)} blocks)"
