"""Saliency audit: do explanation maps depend on what the network learned?"""

from kernel_lib.saliency.audit import audit
from kernel_lib.saliency.efficient import efficient_mprt
from kernel_lib.saliency.explainer import Options
from kernel_lib.saliency.methods import explain, methods, register
from kernel_lib.saliency.randomize import add_noise, randomize
from kernel_lib.saliency.result import SaliencyResult
from kernel_lib.saliency.similarity import metrics, similarity

__all__ = [
    "Options",
    "SaliencyResult",
    "add_noise",
    "audit",
    "efficient_mprt",
    "explain",
    "methods",
    "metrics",
    "randomize",
    "register",
    "similarity",
]
