"""Invariance audit: does the network say the same when the image is slightly changed?"""

from kernel_lib.invariance import zoo
from kernel_lib.invariance.assessor import Assessment, Assessor, bundled, data_sheet
from kernel_lib.invariance.audit import audit
from kernel_lib.invariance.checklist import assert_invariant, checklist, junit_xml
from kernel_lib.invariance.extras import extra_measurements, robust_accuracy, sensitivity
from kernel_lib.invariance.features import feature_names, features
from kernel_lib.invariance.grids import Grid
from kernel_lib.invariance.importers import read_features, read_results, write_results
from kernel_lib.invariance.matrices import bootstrap_matrices, flip_matrix, variance_matrix
from kernel_lib.invariance.measure import MEASUREMENTS, measure
from kernel_lib.invariance.result import InvarianceResult
from kernel_lib.invariance.signals import Signals
from kernel_lib.invariance.sweep import sweep, sweep_weights
from kernel_lib.invariance.transforms import CLEAN, PAPER, Rules, Transform, transforms
from kernel_lib.invariance.truth import Truth, ground_truth

__all__ = [
    "CLEAN",
    "MEASUREMENTS",
    "PAPER",
    "Assessment",
    "Assessor",
    "Grid",
    "InvarianceResult",
    "Rules",
    "Signals",
    "Transform",
    "Truth",
    "assert_invariant",
    "audit",
    "bootstrap_matrices",
    "bundled",
    "checklist",
    "data_sheet",
    "extra_measurements",
    "feature_names",
    "features",
    "flip_matrix",
    "ground_truth",
    "junit_xml",
    "measure",
    "read_features",
    "read_results",
    "robust_accuracy",
    "sensitivity",
    "sweep",
    "sweep_weights",
    "transforms",
    "variance_matrix",
    "write_results",
    "zoo",
]
