"""Model doctor: which channels and regions mislead a network, and can it be cured?"""

from kernel_lib.doctor.audit import audit
from kernel_lib.doctor.batches import Batches
from kernel_lib.doctor.course import Course
from kernel_lib.doctor.diagnosis import Diagnosis, diagnose
from kernel_lib.doctor.gradients import class_gradients
from kernel_lib.doctor.losses import channel_loss, spatial_loss
from kernel_lib.doctor.masks import automatic_masks, import_png_masks
from kernel_lib.doctor.recipe import Recipe
from kernel_lib.doctor.result import DoctorResult
from kernel_lib.doctor.samples import Samples, find_samples
from kernel_lib.doctor.shortcut import plant_shortcut
from kernel_lib.doctor.treat import Treatment, treat

__all__ = [
    "Batches",
    "Course",
    "Diagnosis",
    "DoctorResult",
    "Recipe",
    "Samples",
    "Treatment",
    "audit",
    "automatic_masks",
    "channel_loss",
    "class_gradients",
    "diagnose",
    "find_samples",
    "import_png_masks",
    "plant_shortcut",
    "spatial_loss",
    "treat",
]
