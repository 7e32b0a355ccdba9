"""The one form in which every audit takes its images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from kernel_lib._checks import check_choice
from kernel_lib.data import _validation
from kernel_lib.data.classes import ClassNames
from kernel_lib.data.splits import (
    SPLIT_NAMES,
    balanced_subset,
    restricted_splits,
    split_numbers,
    stratified_splits,
)


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images, their labels, and which of them are for training, calibration and testing.

    Everything is checked when the set is made, and the arrays are read-only from then on, so an
    audit may trust what it is given.

    Args:
        images: float32 (num_images, height, width, channels) in [0, 1].
        labels: int64 class ids (num_images,).
        class_names: one name per class; "0", "1", ... when left out.
        name: what the set is called in reports.
        tasks: further label columns, int64 (num_images,) each, -1 where a label is missing.
        task_class_names: class names of each task; "0", "1", ... where left out.
        masks: bool (num_images, height, width), True on the object; or None.
        splits: indices of the images in "train", "calibration" and "test", disjoint. When left
            out, a stratified 60 / 20 / 20 is drawn.
        seed: seed of the splits that are drawn.
        notes: what was done or skipped while the set was made, such as "3 files skipped: ...".
            They stay with every part of the set and do not count in its digest.

    Raises:
        ValueError: If shapes, ranges or lengths do not fit together; the message says which.
        TypeError: If an array holds the wrong kind of numbers.

    Example:
        >>> import numpy as np
        >>> images = ImageSet(np.zeros((10, 8, 8, 1)), np.arange(10) % 2, ("cat", "dog"))
        >>> images
        ImageSet 'images': 10 images of 8x8x1, 2 classes, train 6 / calibration 2 / test 2
        >>> len(images.test)
        2
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] = ()
    name: str = "images"
    tasks: Mapping[str, np.ndarray] = field(default_factory=dict)
    task_class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    masks: np.ndarray | None = None
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)
    seed: InitVar[int] = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self, seed: int) -> None:
        images, clipped = _validation.clipped_images(self.images)
        self._set("notes", _validation.note_tuple((*self.notes, *clipped)))
        labels = _validation.label_array("labels", self.labels, len(images))
        splits = self.splits or stratified_splits(labels, seed=seed)
        splits = _validation.split_indices(splits, len(images))
        self._set("images", _read_only(images))
        self._set("labels", _read_only(labels))
        self._set(
            "class_names", _validation.class_name_tuple("class_names", self.class_names, labels)
        )
        self._set("splits", {name: _read_only(each) for name, each in splits.items()})
        self._check_tasks()
        if self.masks is not None:
            self._set("masks", _read_only(_validation.mask_array(self.masks, images.shape)))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        splits = " / ".join(f"{name} {len(self.splits[name])}" for name in SPLIT_NAMES)
        extras = f", tasks {', '.join(self.tasks)}" if self.tasks else ""
        extras += ", masks" if self.masks is not None else ""
        return (
            f"ImageSet {self.name!r}: {len(self)} images of {shape}, {self.num_classes} classes, "
            f"{splits}{extras}"
        )

    def _repr_html_(self) -> str:
        from kernel_lib.data._html import image_set_html

        return image_set_html(self)

    @property
    def num_classes(self) -> int:
        """Number of classes, those without an image included."""
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.images.shape[1:]

    @property
    def train(self) -> ImageSet:
        """The images a network may learn from."""
        return self.split("train")

    @property
    def calibration(self) -> ImageSet:
        """The images an audit may fit its own parts on."""
        return self.split("calibration")

    @property
    def test(self) -> ImageSet:
        """The images scores are reported on."""
        return self.split("test")

    def split(self, name: str) -> ImageSet:
        """Return the images of one split, "train", "calibration" or "test".

        Raises:
            ValueError: If there is no such split, or it is empty.
        """
        indices = self.splits[check_choice("name", name, SPLIT_NAMES)]
        if len(indices) == 0:
            raise ValueError(f"The split {name!r} holds no images. Received: {self!r}.")
        return self.select(indices)

    def select(self, indices: Sequence[int] | np.ndarray) -> ImageSet:
        """Return the images at `indices`, in that order; each stays in the split it was in.

        Args:
            indices: whole numbers (num_selected,), or a bool mask (num_images,).
        """
        chosen = np.arange(len(self))[np.asarray(indices)]
        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            tasks={task: labels[chosen] for task, labels in self.tasks.items()},
            masks=None if self.masks is None else self.masks[chosen],
            splits=restricted_splits(self.splits, chosen),
        )

    def sample(self, num_images: int, seed: int = 0) -> ImageSet:
        """Return a random subset, balanced over the classes and fair to the splits.

        Args:
            num_images: number of images; all are returned when there are fewer.
            seed: seed of the choice. The same seed gives the same images.
        """
        groups = split_numbers(self.splits, len(self))
        return self.select(balanced_subset(self.labels, num_images, groups=groups, seed=seed))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the set to a file or to a folder; `load` reads both.

        Args:
            path: a file that ends in ``.npz``, which holds everything to the last bit and is read
                by `kernel_lib.data.load` too; or a new folder of PNG files in folders of splits and
                classes, beside a table ``labels.csv``, for people and other programs.

        Returns:
            The file or folder.

        Raises:
            ValueError: A folder, and pixels that are not whole 255ths, or neither 1 nor 3
                channels: PNG files cannot hold them, an ``.npz`` file can.
            FileExistsError: A folder that holds something.

        Example:
            >>> images.save("images.npz")
            >>> ImageSet.load("images.npz").digest == images.digest
            True
        """
        from kernel_lib.data import saving

        return saving.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> ImageSet:
        """Read what `save` wrote: images, labels, classes, tasks, masks, splits, name and notes.

        Raises:
            ValueError: Damaged, or no saved image set.
            FileNotFoundError: Nothing is there.
        """
        from kernel_lib.data import saving

        return saving.load(path)

    def with_task(self, task: str) -> ImageSet:
        """Return the set labelled by one of its tasks, without the images that task leaves open."""
        check_choice("task", task, self.tasks)
        labelled = self.select(self.tasks[task] >= 0)
        return replace(
            labelled, labels=labelled.tasks[task], class_names=self.task_class_names[task]
        )

    def with_classes(self, class_names: ClassNames) -> ImageSet:
        """Return the set with its classes in the order of `class_names`, matched by name.

        Classes that are named and have no image keep their place. Where the classes of the set
        have only numbers, they get these names in the order given. A task that is the very label
        column follows. What was done stands in `notes`.

        Args:
            class_names: all classes of the network, in the order of its outputs: a list, a mapping
                {name: index}, or a text or JSON file; see `kernel_lib.data.class_name_list`.

        Raises:
            ValueError: If images are of a class that is not named, or labels start at 1.

        Example:
            >>> import numpy as np
            >>> images = ImageSet(np.zeros((10, 8, 8, 1)), np.arange(10) % 2, ("cat", "dog"))
            >>> images.with_classes(["dog", "bird", "cat"]).labels[:4]
            array([2, 0, 2, 0])
        """
        from kernel_lib.data.relabel import with_classes

        return with_classes(self, class_names)

    @cached_property
    def digest(self) -> str:
        """Hash of the content: images, labels, names of classes, tasks, masks and splits."""
        from kernel_lib.tasks import digest

        return digest(
            {
                "images": self.images,
                "labels": self.labels,
                "class_names": self.class_names,
                "tasks": dict(self.tasks),
                "task_class_names": dict(self.task_class_names),
                "masks": self.masks,
                "splits": dict(self.splits),
            }
        )

    def _check_tasks(self) -> None:
        unknown = sorted(set(self.task_class_names) - set(self.tasks))
        if unknown:
            raise ValueError(f"`task_class_names` names tasks that are not in `tasks`: {unknown}.")
        tasks, class_names = {}, {}
        for task, column in self.tasks.items():
            labels = _validation.label_array(
                f"tasks[{task!r}]", column, len(self), missing_allowed=True
            )
            tasks[task] = _read_only(labels)
            class_names[task] = _validation.class_name_tuple(
                f"task_class_names[{task!r}]", self.task_class_names.get(task, ()), labels
            )
        self._set("tasks", tasks)
        self._set("task_class_names", class_names)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _read_only(array: np.ndarray) -> np.ndarray:
    """Return a view that cannot be written through, so the digest stays true."""
    view = array.view()
    view.setflags(write=False)
    return view
