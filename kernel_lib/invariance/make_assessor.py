"""Make the assessors that come with the library: `python -m kernel_lib.invariance.make_assessor`.

It trains the small zoo of a transformation on embedded data, judges assessors by nested
cross-validation, and writes a calibrated logistic regression with its data sheet. Some minutes on
two cores; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kernel_lib import __version__
from kernel_lib.invariance import zoo
from kernel_lib.tasks import atomic_path

if TYPE_CHECKING:
    import pandas as pd

_BUNDLES = Path(__file__).parent / "bundles"


def make_assessor(
    transform: str,
    folder: Path,
    output: Path = _BUNDLES,
    *,
    num_models: int = 52,
    data: str = "mnist5k",
    workers: int | str = 0,
    seed: int = 0,
) -> Path:
    """Train, judge and write the assessor of one transformation.

    Args:
        transform: "rotation", "scaling" or "brightness".
        folder: where networks and measurements are kept; the latter also as a table, a CSV file.
        output: where the assessor and its data sheet go.
        num_models: networks of the zoo.
        data: name of the images.
        workers: see `kernel_lib.tasks.run_tasks`.
        seed: seed of everything.

    Returns:
        The assessor's file.
    """
    recipes = zoo.small_plan(transform, num_models, seed=seed)
    measured = zoo.build(recipes, folder, data=data, transform=transform, workers=workers)
    measured.save_csv(folder / f"{transform}.csv")
    scores = zoo.judge(measured, algorithms=["logistic"], repeats=5, seed=seed)
    assessor = measured.assessor(name=transform, seed=seed)
    judged = scores.set_index("algorithm").round(3)
    summary = assessor.summary | {
        "data": data,
        "accuracy": float(judged.accuracy["logistic"]),
        "accuracy_of_one_feature": float(judged.accuracy["one_feature"]),
        "version": __version__,
    }
    path = replace(assessor, summary=summary).save(output / f"{transform}.json")
    with atomic_path(output / f"{transform}.md") as temporary:
        temporary.write_text(_sheet(transform, data, measured, scores), encoding="utf-8")
    return path


def _sheet(transform: str, data: str, measured: zoo.Zoo, scores: pd.DataFrame) -> str:
    kept = measured.assessable()
    counts = measured.models.verdict.value_counts()
    grid = measured.setting["values"]
    rows = "\n".join(
        f"| {row.algorithm.replace('_', ' ')} | {row.accuracy:.3f} [{row.low:.3f}, {row.high:.3f}] "
        f"| {row.balanced_accuracy:.3f} | {row.kappa:.3f} | {row.brier:.3f} "
        f"| {row.calibration_error:.3f} |"
        for row in scores.itertuples()
    )
    number_of_sided = int((measured.models.defect == "one_sided").sum())
    one_sided = (
        f" {number_of_sided} networks saw only the upper end of their augmentation: without such, "
        "hardly\nany network that reads digits would fail."
        if number_of_sided
        else ""
    )
    kinds = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
    return f"""# Assessor for {transform}

Made {datetime.date.today().isoformat()} with kernel_lib {__version__} by
`python -m kernel_lib.invariance.make_assessor {transform}`.

**What it is.** A calibrated logistic regression on {len(measured.names)} features of a sweep of
{len(grid)} steps from {grid[0]:g} to {grid[-1]:g} (resampling:
{measured.setting["resampling"]}). It needs no labels.

**What it learned from.** {len(measured.models)} networks (`cnn5`) trained on `{data}`: {kinds}. Of
these, {len(kept.models)} can be judged; {int(kept.is_invariant.sum())} of them count as invariant
(loss of accuracy at the worst step up to 5 %, or, where that is uncertain, up to 10 %). Features
and truth come from different images.{one_sided}

**How well it judges networks it has not seen** (repeated nested cross-validation):

| algorithm | accuracy [95 %] | balanced accuracy | kappa | Brier | calibration error |
|---|---|---|---|---|---|
{rows}

**What it is not for.** All its networks are small and read digits. On other networks and other
images its features will often lie outside the range it has seen; it then says so, and its
probability should not be trusted. Train an assessor on a zoo of your own kind of networks instead.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the assessors that are named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("transforms", nargs="*", default=["scaling", "brightness"])
    parser.add_argument("--folder", default="outputs/assessors", help="where networks are kept")
    parser.add_argument("--output", default=str(_BUNDLES), help="where assessors are written")
    parser.add_argument("--models", type=int, default=52, help="networks of each zoo")
    parser.add_argument("--workers", type=int, default=0, help="local processes; 0 is this one")
    options = parser.parse_args(arguments)
    for transform in options.transforms:
        path = make_assessor(
            transform, Path(options.folder), Path(options.output), num_models=options.models,
            workers=options.workers,
        )  # fmt: skip
        print(path)


if __name__ == "__main__":
    main()
