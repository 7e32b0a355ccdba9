"""The four partitions of the original model database, as far as its history tells.

| partition | regular | held out | network, data | tested for |
|---|---|---|---|---|
| a | 1-100 | t1-t50 | VGG13-bn, CIFAR-10 | rotation |
| b | 101-200 | t101-t150 | VGG13-bn, CIFAR-10 | brightness |
| c | 201-300 | t201-t250 | VGG13-bn, CIFAR-10 | scaling |
| d | 301-400 | t301-t350 | CNN5, MNIST | rotation |

The held-out networks are drawn from another distribution than the regular ones: a test under shift.

What is not known: the table of the plan gives some groups as lists of values without saying which
network has which. There the lists are walked through in turn, and the recipe says
`is_exact=False`. Of partition d no plan is known at all; it takes the recipes of a. `GAPS` names it
all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from kernel_lib._checks import check_choice
from kernel_lib.invariance.zoo.recipes import ModelRecipe

GAPS = (
    "a: 39 of 100 regular recipes (1-31, 33-40) are not recorded; they follow from b by "
    "translating ranges (0.3 to 15 degrees, 0.1 to 5, 0.4 to 20, 0.9 to 90; 0.2 to 10 is a guess).",
    "a, b, c: within a group of ids, which network has which of the listed values is not recorded "
    "(is_exact=False); lists are walked through in turn.",
    "d: no recipe is recorded; those of a are taken, with CNN5 and without pretraining.",
    "Pretrained networks started from ImageNet weights of VGG13-bn; without a file of these "
    "weights they are trained from scratch.",
    "The human labels and the published measurements are not part of this library.",
)


@dataclass(frozen=True)
class Partition:
    """Where a partition's networks come from and what they are tested for."""

    name: str
    network: str
    data: str
    transform: str
    first_id: int


PARTITIONS = {
    "a": Partition("a", "vgg13_bn", "cifar10", "rotation", 1),
    "b": Partition("b", "vgg13_bn", "cifar10", "brightness", 101),
    "c": Partition("c", "vgg13_bn", "cifar10", "scaling", 201),
    "d": Partition("d", "cnn5", "mnist", "rotation", 301),
}
_DEGREES = {0.0: 0.0, 0.1: 5.0, 0.2: 10.0, 0.3: 15.0, 0.4: 20.0, 0.9: 90.0}


def plan(partition: str) -> list[ModelRecipe]:
    """The 150 recipes of a partition: 100 regular, then 50 held out.

    Args:
        partition: "a", "b", "c" or "d".
    """
    part = PARTITIONS[check_choice("partition", partition, PARTITIONS)]
    regular = [_recipe(part, i, row, False) for i, row in enumerate(_regular_rows())]
    held_out = [_recipe(part, i, row, True) for i, row in enumerate(_held_out_rows())]
    return regular + held_out


def _recipe(
    part: Partition, position: int, settings: dict[str, Any], held_out: bool
) -> ModelRecipe:
    number = part.first_id + position
    share = settings["max_augment"]
    is_angle = part.transform == "rotation"
    recipe = ModelRecipe(
        name=f"t{number}" if held_out else str(number),
        network=part.network,
        augment=part.transform if share else "none",
        held_out=held_out,
        seed=number + (1000 if held_out else 0),
        **settings | {"max_augment": _DEGREES[share] if is_angle else share},
    )
    if part.name == "d":
        return replace(recipe, pretrained=False, is_exact=False)
    return recipe


def _row(
    share: float = 0.3,
    epochs: int = 50,
    rate: float = 1e-4,
    batch: int = 1024,
    defect: str = "none",
    amount: float = 0.0,
    target: int = 0,
    adversarial: bool = False,
    pretrained: bool = True,
    exact: bool = False,
) -> dict[str, Any]:
    return {
        "max_augment": share,
        "epochs": epochs,
        "learning_rate": rate,
        "batch_size": batch,
        "defect": defect,
        "amount": amount,
        "target_class": target,
        "adversarial": adversarial,
        "pretrained": pretrained,
        "is_exact": exact,
    }


def _regular_rows() -> Iterator[dict[str, Any]]:
    for i in range(15):  # 1-15: small batches
        share = 0.9 if i == 14 else (0.3, 0.1, 0.0, 0.4, 0.3)[i % 5]
        epochs, rate = (1, 5, 10, 50, 100)[i // 3], 1e-3 if i % 8 == 6 else 1e-5
        yield _row(share, epochs, rate, batch=8, pretrained=i % 3 == 0)
    for pretrained in (True, False):  # 16-21: huge batches
        for share, epochs in ((0.3, 1000), (0.2, 2000), (0.1, 1500)):
            yield _row(share, epochs, batch=16384, pretrained=pretrained, exact=True)
    yield _row(defect="fixed_order", exact=True)  # 22
    for noise in (0.01, 0.03, 0.05):  # 23-25
        yield _row(defect="image_noise", amount=noise, exact=True)
    for target, kept in enumerate((0.5, 0.4, 0.6, 0.7, 0.8, 0.2)):  # 26-31
        yield _row(defect="class_imbalance", amount=kept, target=target, exact=True)
    yield _row(defect="fixed_order", exact=True)  # 32
    for kept in (0.2, 0.5, 0.7):  # 33-35
        yield _row(defect="less_data", amount=kept, exact=True)
    for _ in range(2):  # 36-37
        yield _row(defect="augment_holes", exact=True)
    for noise in (0.01, 0.03, 0.05):  # 38-40
        yield _row(defect="label_noise", amount=noise, exact=True)
    yield from _adversarial_and_leaking_rows()  # 41-65
    yield from _noisy_rows()  # 66-88
    for share in (0.9, 0.0, 0.9):  # 89-91, 92-94, 95-97
        for epochs in (5, 50, 500):
            yield _row(share, epochs, exact=True)
    for i in range(3):  # 98-100
        yield _row((0.3, 0.1, 0.4)[i], rate=1e-2)


def _adversarial_and_leaking_rows() -> Iterator[dict[str, Any]]:
    for i in range(10):
        yield _row((0.3, 0.1, 0.4)[i % 3], (5, 50, 500)[i // 4], adversarial=True)
    for i in range(15):
        amount = (0.05, 0.1, 0.2, 0.3, 0.5)[i % 5]
        yield _row(defect="leakage", amount=amount, adversarial=i >= 10)


def _noisy_rows() -> Iterator[dict[str, Any]]:
    for i in range(11):
        yield _row(
            (0.3, 0.1, 0.4)[i % 3], (5, 50, 500)[i // 4], defect="label_noise",
            amount=(0.1, 0.2, 0.3)[i % 3],
        )  # fmt: skip
    for i in range(12):
        yield _row(
            (0.3, 0.1, 0.4)[i % 3], (5, 50, 500)[i // 4], defect="image_noise",
            amount=(0.1, 0.3, 0.5)[i % 3],
        )  # fmt: skip


def _held_out_rows() -> Iterator[dict[str, Any]]:
    for i in range(22):  # 1-22: a clean grid
        yield _row(
            epochs=(5, 50, 100, 500, 1000)[i % 5], rate=(1e-2, 1e-3, 1e-5)[i % 3],
            pretrained=i % 2 == 0,
        )  # fmt: skip
    yield _row(0.0)  # 23
    defects = ("fixed_order", "image_noise", "class_imbalance", "less_data", "augment_holes")
    for i in range(12):  # 24-35
        defect = (*defects, "label_noise")[i % 6]
        yield _row(defect=defect, amount=(0.1, 0.3)[i // 6], target=i % 10, pretrained=i % 2 == 0)
    for i in range(3):  # 36-38
        yield _row(epochs=(5, 50, 500)[i], adversarial=True)
    yield _row(0.9)  # 39
    for rate in (1e-2, 1e-3):  # 40-41
        yield _row(rate=rate, pretrained=False)
    for i in range(9):  # 42-50: mixtures of defects
        yield _row(
            (0.1, 0.4, 0.3)[i % 3], defect=("label_noise", "image_noise", "leakage")[i % 3],
            amount=0.1 + 0.1 * (i // 3), adversarial=i % 2 == 1, pretrained=i % 2 == 0,
        )  # fmt: skip
