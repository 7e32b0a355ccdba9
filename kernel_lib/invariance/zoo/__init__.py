"""A zoo of networks, some invariant and some not, from which assessors learn."""

from kernel_lib.invariance.zoo import plots
from kernel_lib.invariance.zoo.algorithms import ALGORITHMS, SEED_ALGORITHMS
from kernel_lib.invariance.zoo.build import Zoo, build
from kernel_lib.invariance.zoo.judging import (
    calibration_error,
    importance,
    judge,
    kappa,
    transfer,
)
from kernel_lib.invariance.zoo.partitions import GAPS, PARTITIONS, plan
from kernel_lib.invariance.zoo.recipes import ModelRecipe, small_plan
from kernel_lib.invariance.zoo.result import ZooResult, summarize
from kernel_lib.invariance.zoo.votes import agreement, compare, majority, read_votes

__all__ = [
    "ALGORITHMS",
    "GAPS",
    "PARTITIONS",
    "SEED_ALGORITHMS",
    "ModelRecipe",
    "Zoo",
    "ZooResult",
    "agreement",
    "build",
    "calibration_error",
    "compare",
    "importance",
    "judge",
    "kappa",
    "majority",
    "plan",
    "plots",
    "read_votes",
    "small_plan",
    "summarize",
    "transfer",
]
