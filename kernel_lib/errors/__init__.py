"""Error audit: which predictions are likely wrong?"""

from kernel_lib.errors.audit import audit
from kernel_lib.errors.change_rate import label_change_rate
from kernel_lib.errors.conductance import Conductance, conductance
from kernel_lib.errors.detector import ErrorDetector, baseline_scores
from kernel_lib.errors.evidence import Evidence, Reading
from kernel_lib.errors.mutants import MutantSet, mutants
from kernel_lib.errors.recipes import Mutant
from kernel_lib.errors.registry import names as scores
from kernel_lib.errors.result import ErrorResult
from kernel_lib.errors.sequential import SequentialTest, SequentialVotes, default_threshold
from kernel_lib.errors.shifts import corrupt, corruptions, fgsm, pgd
from kernel_lib.errors.thresholds import threshold

__all__ = [
    "Conductance",
    "ErrorDetector",
    "ErrorResult",
    "Evidence",
    "Mutant",
    "MutantSet",
    "Reading",
    "SequentialTest",
    "SequentialVotes",
    "audit",
    "baseline_scores",
    "conductance",
    "corrupt",
    "corruptions",
    "default_threshold",
    "fgsm",
    "label_change_rate",
    "mutants",
    "pgd",
    "scores",
    "threshold",
]
