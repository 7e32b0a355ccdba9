"""Build a zoo: train, sweep and measure many networks, and gather what an assessor learns from."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernel_lib._checks import check_choice, check_count
from kernel_lib.audit.forecast import WORTH_A_WORD, duration
from kernel_lib.data import load
from kernel_lib.invariance.assessor import Assessor
from kernel_lib.invariance.features import feature_names
from kernel_lib.invariance.transforms import CLEAN, Rules, as_rules, as_transform
from kernel_lib.invariance.truth import VERDICTS
from kernel_lib.invariance.zoo.recipes import ModelRecipe
from kernel_lib.invariance.zoo.work import TRUTH_COLUMNS
from kernel_lib.report.provenance import data_origin
from kernel_lib.tasks import Task, TaskRun, atomic_path, read_arrays, run_tasks

if TYPE_CHECKING:
    import pandas as pd

_WORK = "kernel_lib.invariance.zoo.work"
MIDDLE_DROP = 0.1  # borderline networks go to the side of this drop when two kinds are needed


@dataclass(frozen=True)
class Zoo:
    """Measured networks.

    Attributes:
        models: a row a network: its recipe, "verdict" (the truth) and the accuracies behind it.
        features: (num_networks, num_features).
        names: of the features.
        setting: transformation, grid, resampling and mode.
        run: what became of the tasks.
        data: name, digest and size of the images it was made with.
    """

    models: pd.DataFrame
    features: np.ndarray
    names: tuple[str, ...]
    setting: dict[str, Any]
    run: TaskRun
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def is_assessable(self) -> np.ndarray:
        """(num_networks,) whether a network does better than guessing."""
        return (self.models.verdict != "not assessable").to_numpy()

    @property
    def is_invariant(self) -> np.ndarray:
        """(num_networks,) the two-way truth; borderline ones by the side of a drop of 10 %."""
        verdict = self.models.verdict
        near = (verdict == "borderline") & (self.models["drop"] <= MIDDLE_DROP)
        return ((verdict == "invariant") | near).to_numpy()

    def assessable(self) -> Zoo:
        """The networks that can be judged at all."""
        keep = self.is_assessable
        models = self.models[keep].reset_index(drop=True)
        return replace(self, models=models, features=self.features[keep])

    def assessor(self, *, name: str = "assessor", seed: int = 0) -> Assessor:
        """An assessor fitted to all networks that can be judged."""
        zoo = self.assessable()
        summary = {
            "name": name,
            "num_networks": len(zoo.models),
            "num_invariant": int(zoo.is_invariant.sum()),
            "networks": sorted(set(zoo.models.network)),
        }
        return Assessor.fit(
            zoo.features, zoo.is_invariant, zoo.names, setting=self.setting, summary=summary,
            seed=seed,
        )  # fmt: skip

    def save_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write recipes, truth and features as one table."""
        import pandas as pd

        table = pd.concat([self.models, pd.DataFrame(self.features, columns=self.names)], axis=1)
        with atomic_path(path) as temporary:
            table.to_csv(temporary, index=False)
        return Path(path)


def build(
    recipes: Sequence[ModelRecipe],
    folder: str | os.PathLike[str],
    *,
    data: str = "mnist5k",
    transform: str = "rotation",
    rules: Rules | str = CLEAN,
    mode: str = "clean",
    num_data: int | None = None,
    num_images: int = 500,
    num_truth: int = 1000,
    group_size: int = 8,
    cuts: Mapping[str, float] | None = None,
    workers: int | str = 0,
    seed: int = 0,
    progress: bool = True,
) -> Zoo:
    """Train, sweep and measure every network of a plan.

    The training split trains, the test split gives the features, the calibration split the truth,
    so features and truth never share an image. What `folder` holds already is not done again;
    groups that fail are left out and named in `Zoo.run`.

    Args:
        recipes: the plan, see `small_plan` and `plan`.
        folder: where weights, signals and measurements are kept.
        data: name of the images, see `kernel_lib.data.load`.
        transform: "rotation" or another name of `transforms()`.
        rules: how borders are treated.
        mode: "clean" or "paper" measurements.
        num_data: images of the set to use; None takes all.
        num_images: images for features.
        num_truth: images for the truth.
        group_size: networks trained and swept together.
        cuts: of the truth, see `ground_truth`.
        workers: 0 here, a number of local processes, or the address of a Dask scheduler.
        seed: seed of the splits.
        progress: show a progress bar.

    Raises:
        ValueError: no group could be finished.
    """
    check_choice("mode", mode, ("clean", "paper"))
    check_count("group_size", group_size)
    check_count("num_images", num_images, 2)
    check_count("num_truth", num_truth, 2)
    chosen = as_transform(transform)
    images = {"name": data, "seed": seed, "num_images": num_data}
    sweeps = {
        "transform": transform,
        "rules": asdict(as_rules(rules)),
        "num_images": num_images,
        "num_truth": num_truth,
    }
    origin = data_origin(load(data, seed=seed, num_images=num_data))
    # The longest first, so that no worker is left alone with a long one at the end.
    groups = sorted(grouped(recipes, group_size), key=_effort, reverse=True)
    measured = [
        _tasks(group, images, sweeps, {"mode": mode, "cuts": dict(cuts or {})}) for group in groups
    ]
    told = _Outlook(groups, measured, Path(folder), workers).told if progress else None
    run = run_tasks(measured, folder, workers=workers, progress=progress, told=told)
    names = feature_names(chosen.grid.is_symmetric)
    setting = {
        "transform": transform,
        "values": list(chosen.grid.values),
        "resampling": as_rules(rules).resampling if chosen.is_geometric else "none",
        "mode": mode,
    }
    models, features = _gathered(groups, measured, Path(folder), run)
    return Zoo(models, features, names, setting, run, origin)


def grouped(recipes: Sequence[ModelRecipe], size: int) -> list[list[ModelRecipe]]:
    """Networks that can be trained together, those of like length beside each other."""

    def key(recipe: ModelRecipe) -> tuple:
        return recipe.network, recipe.batch_size, recipe.adversarial, recipe.augment == "none"

    by_length = sorted(recipes, key=lambda r: (*key(r), r.epochs, r.name))
    groups: list[list[ModelRecipe]] = []
    for recipe in by_length:
        fits = groups and len(groups[-1]) < size and key(groups[-1][0])[:3] == key(recipe)[:3]
        if fits:
            groups[-1].append(recipe)
        else:
            groups.append([recipe])
    return groups


class _Outlook:
    """Says after the first group what the others will take, where that is long.

    Groups that `folder` holds cost nothing. On a cluster nobody knows how many work at once.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[ModelRecipe]],
        measured: Sequence[Task],
        folder: Path,
        workers: int | str,
    ):
        missing = [not task.path(folder).exists() for task in measured]
        self.efforts = {
            task.key: _effort(group)
            for group, task, is_missing in zip(groups, measured, missing, strict=True)
            if is_missing and not isinstance(workers, str)
        }
        self.at_once = max(1, int(workers)) if not isinstance(workers, str) else 1
        self.started = time.monotonic()
        self.is_told = False

    def told(self, done: Mapping[str, str]) -> None:
        """Print the outlook once, when the first group is measured."""
        effort = sum(self.efforts[key] for key in done if key in self.efforts)
        if self.is_told or not effort:
            return
        self.is_told = True
        left = sum(self.efforts.values()) - effort
        # The first to be done had others beside it, which are as far.
        seconds = (time.monotonic() - self.started) * left / (effort * self.at_once)
        if seconds > WORTH_A_WORD:
            print(
                f"The first of {len(self.efforts)} groups took "
                f"{duration(time.monotonic() - self.started)}; the others take about "
                f"{duration(seconds)} on this machine. An interrupted run goes on where it was.",
                file=sys.stderr,
                flush=True,
            )


def _effort(group: Sequence[ModelRecipe]) -> int:
    """Epochs of one network that a group costs, about: all are run until the last is done."""
    passes = 2 if group[0].adversarial else 1
    return passes * len(group) * max(recipe.epochs for recipe in group)


def _tasks(
    group: Sequence[ModelRecipe],
    images: dict[str, Any],
    sweeps: dict[str, Any],
    measured: dict[str, Any],
) -> Task:
    """The measurement of a group, which needs its sweep, which needs its training."""
    models = [recipe.describe() for recipe in group]
    train = Task("train", f"{_WORK}:train", {"data": images, "models": models})
    swept = {"data": images, "network": group[0].network, "num_models": len(group), **sweeps}
    sweep = Task("sweep", f"{_WORK}:sweep", swept, {"weights": train})
    return Task("measure", f"{_WORK}:measure", measured, {"sweeps": sweep})


def _gathered(
    groups: Sequence[Sequence[ModelRecipe]],
    tasks: Sequence[Task],
    folder: Path,
    run: TaskRun,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows and features of all networks that were finished, held-out ones last."""
    import pandas as pd

    rows, found = [], []
    for group, task in zip(groups, tasks, strict=True):
        arrays = read_arrays(task.path(folder)) if task.key in run.done else None
        if arrays is None:
            continue
        found.append(arrays["features"])
        for recipe, numbers, verdict in zip(group, arrays["truth"], arrays["verdict"], strict=True):
            truth = dict(zip(TRUTH_COLUMNS, numbers.tolist(), strict=True))
            rows.append(recipe.describe() | {"verdict": VERDICTS[verdict]} | truth)
    if not rows:
        raise ValueError(
            f"No group of networks could be finished. The first failure: "
            f"{next(iter(run.failed.values()), 'unknown')}"
        )
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["held_out"], rows[i]["name"]))
    return pd.DataFrame([rows[i] for i in order]), np.concatenate(found)[order]
