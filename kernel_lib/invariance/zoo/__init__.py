"""A zoo of networks, some invariant and some not, from which assessors learn."""

from kernel_lib.invariance.zoo.build import Zoo, build
from kernel_lib.invariance.zoo.partitions import GAPS, PARTITIONS, plan
from kernel_lib.invariance.zoo.recipes import ModelRecipe, small_plan

__all__ = ["GAPS", "PARTITIONS", "ModelRecipe", "Zoo", "build", "plan", "small_plan"]
