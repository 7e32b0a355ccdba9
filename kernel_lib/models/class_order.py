"""Whether the classes of images are those of a network, and in what order."""

from __future__ import annotations

from collections.abc import Sequence

from kernel_lib.data._validation import UNLABELLED
from kernel_lib.data.classes import match_names, only_counted, quoted
from kernel_lib.data.image_set import ImageSet
from kernel_lib.data.relabel import from_one_advice, labels_from_one, with_classes

IN_ORDER = "labels brought into the network's order of classes by name"
_MOST_WRITTEN_OUT = 30  # names in a line to paste


def aligned(
    images: ImageSet, class_names: Sequence[str], model_name: str, *, said: bool = False
) -> ImageSet:
    """Return `images` with labels in the order of a network's classes; see `Classifier.aligned`.

    Args:
        images: any image set; one without labels comes back as it is.
        class_names: of the network, in the order of its outputs.
        model_name: what messages call it.
        said: whether somebody named the classes; then numbers are names too, if the images have the
            same ones.
    """
    numbers = said and set(images.class_names) <= set(class_names)
    if images.class_names in (UNLABELLED, tuple(class_names)):
        return images
    if (only_counted(class_names) and not numbers) or only_counted(images.class_names):
        if images.num_classes != len(class_names):
            raise ValueError(_other_number(images, class_names, model_name))
        return images
    if match_names(images.class_names, class_names).unknown:
        _check_known(images, class_names, model_name)
    return with_classes(images, class_names, done=IN_ORDER)


def check_order(
    images: ImageSet, class_names: Sequence[str], model_name: str, *, said: bool = False
) -> None:
    """Refuse images whose classes are not the network's, or are in another order."""
    in_order = aligned(images, class_names, model_name, said=said)
    if in_order.class_names != images.class_names:
        raise ValueError(
            f"The images have the classes {quoted(images.class_names)}, in another order than the "
            f"model {model_name!r}, which has {quoted(class_names)}. Bring them into its order by "
            "name: images = classifier.aligned(images), or "
            f"images = images.with_classes({_as_written(class_names)})."
        )


def _check_known(images: ImageSet, class_names: Sequence[str], model_name: str) -> None:
    """Refuse images of classes that the network does not have."""
    try:
        with_classes(images, class_names)
    except ValueError as error:
        raise ValueError(
            f"The images and the model {model_name!r} do not belong together. {error}"
        ) from None


def _other_number(images: ImageSet, class_names: Sequence[str], model_name: str) -> str:
    wanted = len(class_names)
    said = (
        f"The images have {images.num_classes} classes ({quoted(images.class_names)}), the model "
        f"{model_name!r} has {wanted}."
    )
    counts = only_counted(images.class_names)
    if counts and labels_from_one(images, wanted):
        return f"{said} {from_one_advice(wanted)}"
    if counts and images.num_classes > wanted:
        return (
            f"{said} They do not belong together, unless it never learned the others: keep the "
            f"images of its own classes by images = images.select(images.labels < {wanted})"
            f".with_classes({_as_written(class_names)})."
        )
    if counts:
        return (
            f"{said} If the first {images.num_classes} are the same and images of the others are "
            f"missing, say so: images = images.with_classes({_as_written(class_names)})."
        )
    if images.num_classes > wanted:
        return (
            f"{said} They do not belong together, unless it never learned the others: keep the "
            f"images of its {wanted} classes and name these in its order: import numpy as np; "
            "images = images.select(np.isin(images.labels, [...])).with_classes([...])."
        )
    return (
        f"{said} If images of some classes are missing, name all {wanted} in the model's order: "
        "images = images.with_classes([...]), or class_names=[...] where they are loaded."
    )


def _as_written(class_names: Sequence[str]) -> str:
    """The names as one pastes them."""
    if only_counted(class_names):
        return f"[str(index) for index in range({len(class_names)})]"
    if len(class_names) > _MOST_WRITTEN_OUT:
        return "classifier.class_names"
    return repr(list(class_names))
