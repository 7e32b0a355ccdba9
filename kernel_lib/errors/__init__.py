"""Error audit: which predictions are likely wrong?"""

from kernel_lib.errors.change_rate import label_change_rate
from kernel_lib.errors.conductance import Conductance, conductance
from kernel_lib.errors.mutants import MutantSet, mutants
from kernel_lib.errors.recipes import Mutant
from kernel_lib.errors.sequential import SequentialTest, SequentialVotes

__all__ = [
    "Conductance",
    "Mutant",
    "MutantSet",
    "SequentialTest",
    "SequentialVotes",
    "conductance",
    "label_change_rate",
    "mutants",
]
