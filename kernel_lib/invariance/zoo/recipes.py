"""Recipes of networks: how each is trained, and with which defect, as plain data.

A zoo teaches an assessor what invariance looks like, so its networks must differ: in the range of
the augmentation they saw, in length and speed of training, and in deliberate defects.

| defect | what is wrong | `amount` |
|---|---|---|
| none | nothing | |
| fixed_order | images are never shuffled | |
| image_noise | a share of images is uniform noise, anew at each look, the label kept | share |
| class_imbalance | of one class only a share of the images is kept | share kept |
| class_by_class | batches go through one class after another | |
| less_data | trained on a share of the images | share kept |
| augment_holes | some small amounts of the augmentation never occur | |
| label_noise | a share of labels is drawn anew at each look, over all classes | share |
| leakage | a share of the test images is added to the training images | share |
| one_sided | of the range of the augmentation only the upper end occurs | share left out |
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

from kernel_lib._checks import check_choice, check_count, check_number

DEFECTS = (
    "none",
    "fixed_order",
    "image_noise",
    "class_imbalance",
    "class_by_class",
    "less_data",
    "augment_holes",
    "label_noise",
    "leakage",
    "one_sided",
)
AUGMENTS = ("none", "rotation", "scaling", "brightness")


@dataclass(frozen=True)
class ModelRecipe:
    """How one network of a zoo is made.

    Attributes:
        name: its name in the zoo.
        network: a name of `kernel_lib.models.names()`.
        augment: what training images go through; `max_augment` is its range: rotation in degrees,
            scaling and brightness as the largest deviation of the factor from 1.
        epochs, batch_size, learning_rate: of the training with Adam.
        defect, amount, target_class: see the table above.
        adversarial: whether each step also learns from images moved by one signed-gradient step
            of 1/64.
        pretrained: whether it starts from ImageNet weights, which only a file can give.
        held_out: whether it belongs to the networks that assessors are tested on.
        is_exact: whether every setting is known from the original plan, or some were inferred.
        seed: of initial weights and of all that training draws.
    """

    name: str
    network: str = "cnn5"
    augment: str = "rotation"
    max_augment: float = 15.0
    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 1e-3
    defect: str = "none"
    amount: float = 0.0
    target_class: int = 0
    adversarial: bool = False
    pretrained: bool = False
    held_out: bool = False
    is_exact: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("augment", self.augment, AUGMENTS)
        check_choice("defect", self.defect, DEFECTS)
        check_number("max_augment", self.max_augment, 0)
        check_number("amount", self.amount, 0, 1)
        check_count("epochs", self.epochs)
        check_count("batch_size", self.batch_size)
        check_number("learning_rate", self.learning_rate, 0)
        check_count("seed", self.seed, 0)

    def describe(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        """What `describe` gave."""
        return cls(**content)


def small_plan(
    transform: str = "rotation", num_models: int = 48, *, network: str = "cnn5", seed: int = 0
) -> list[ModelRecipe]:
    """A zoo that trains on embedded data in minutes, with networks of all kinds.

    Ranges of augmentation from none to twice the tested one, few images and many, short and long
    training, and every defect; every third network is held out. Networks that read digits hardly
    lose by small rotations and by brightness, whatever else is wrong with them; for these two,
    every second network is trained one-sidedly, so that there are enough that do.

    Args:
        transform: "rotation", "scaling" or "brightness".
        num_models: how many.
        network: a name of `kernel_lib.models.names()`.
        seed: seed of all networks.
    """
    check_choice("transform", transform, AUGMENTS[1:])
    check_count("num_models", num_models, 6)
    return [
        _small_recipe(transform, position, network, 1000 * seed + position)
        for position in range(num_models)
    ]


# (range of the augmentation as a share of the tested one, defect, amount, epochs). Networks that
# learnt from few images are among the least invariant, so there are many of them.
_KINDS: tuple[tuple[float, str, float, int], ...] = (
    (0.0, "none", 0.0, 6),
    (1.0, "none", 0.0, 8),
    (0.0, "less_data", 0.04, 60),
    (1.33, "none", 0.0, 10),
    (0.0, "less_data", 0.1, 40),
    (1.0, "less_data", 0.2, 24),
    (0.33, "less_data", 0.04, 60),
    (0.0, "label_noise", 0.15, 6),
    (1.33, "less_data", 0.2, 24),
    (0.0, "less_data", 0.2, 24),
    (0.67, "none", 0.0, 8),
    (1.0, "less_data", 0.04, 60),
    (0.0, "image_noise", 0.2, 6),
    (2.0, "none", 0.0, 10),
    (0.0, "less_data", 0.07, 50),
    (1.0, "leakage", 0.3, 6),
    (0.33, "less_data", 0.1, 40),
    (0.0, "none", 0.0, 2),
    (1.0, "augment_holes", 0.0, 8),
    (0.0, "class_imbalance", 0.2, 4),
    (1.0, "less_data", 0.1, 40),
    (0.0, "less_data", 0.03, 80),
    (1.33, "label_noise", 0.1, 10),
    (0.0, "fixed_order", 0.0, 4),
    (0.67, "less_data", 0.07, 50),
    (0.0, "class_by_class", 0.0, 6),
)
# One-sided kinds: (range as a share of the tested one, share left out). From hardly any harm to
# half of the accuracy: by rotations up to 45 degrees, by images up to 3.4 times as bright.
_ONE_SIDED = {
    "rotation": (
        (1.0, 0.5), (2.0, 0.5), (1.33, 0.9), (0.67, 0.9), (1.0, 0.9), (2.0, 0.25), (2.0, 0.6),
        (1.33, 0.5), (3.0, 0.5), (1.0, 0.75), (3.0, 0.4), (1.67, 0.75), (0.67, 0.5),
    ),
    "brightness": (
        (1.33, 0.9), (5.0, 0.9), (3.0, 0.9), (2.5, 0.9), (8.0, 0.75), (2.0, 0.9), (6.0, 0.9),
        (4.0, 0.75), (4.0, 0.9), (3.0, 0.75), (8.0, 0.9), (5.0, 0.75), (6.0, 0.75),
    ),
}  # fmt: skip
_RATES = (1e-3, 2e-3, 5e-4)
_TESTED_RANGE = {"rotation": 15.0, "scaling": 0.3, "brightness": 0.3}


def _kind(transform: str, position: int) -> tuple[float, str, float, int]:
    if transform == "scaling":
        return _KINDS[position % len(_KINDS)]
    half = position // 2
    if position % 2 == 0:
        return _KINDS[half % len(_KINDS)]
    share, amount = _ONE_SIDED[transform][half % len(_ONE_SIDED[transform])]
    return share, "one_sided", amount, 6


def _small_recipe(transform: str, position: int, network: str, seed: int) -> ModelRecipe:
    share, defect, amount, epochs = _kind(transform, position)
    turn = position // len(_KINDS)  # so that no kind is held out every time
    return ModelRecipe(
        name=f"{transform}-{position:03d}",
        network=network,
        augment=transform if share else "none",
        max_augment=round(share * _TESTED_RANGE[transform], 3),
        epochs=epochs,
        learning_rate=_RATES[(position + turn) % len(_RATES)],
        defect=defect,
        amount=amount,
        target_class=position % 10,
        adversarial=position % 23 == 22,
        held_out=(position + turn) % 3 == 2,
        seed=seed,
    )
