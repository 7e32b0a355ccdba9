"""What the check-up found."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kernel_lib.report.result import AuditResult
from kernel_lib.report.saving import NETWORK, files_of, opened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kernel_lib.models.classifier import Classifier
    from kernel_lib.report.saving import Staging


@dataclass(frozen=True)
class DoctorResult(AuditResult):
    """Result of `kernel_lib.doctor.audit`.

    Tables:
        classes: a row a class: accuracy with its interval, confusions, confidence, samples found,
            gradient outside the object, channels used, suggestion.
        channels: a row a channel of the tap: share of classes that rely on it with an interval,
            push to errors, what comes from the background, whether it is blamed.
        ablation: accuracy with the blamed channels held constant, beside random ones.
        treatment: a row a network: before, and control and treated for each seed.
        comparison: a row a class: before, control, treated, gain with its interval.
        history: a row an epoch of each treatment.

    Arrays:
        averages: A (classes, channels) at the tap; relies: M, the same shape.
        averages_I: A at the I-th layer of parameters["layers"].
        energy: (classes, h, w) mean gradient over places at the tap.
        inputs, maps_before, maps_control, maps_treated: shown images and their saliency, uint8.
        right_before (images,), right_control and right_treated (seeds, images): bool.

    Attributes:
        network: the treated network of the first seed, or the file that it lies in; None where
            nothing was treated. Saved beside the result as ``treated.keras``; see `treated`.
    """

    network: Classifier | Path | None = field(default=None, repr=False, compare=False)

    audit: ClassVar[str] = "doctor"
    question: ClassVar[str] = "Which channels and regions mislead the network, and can it be cured?"

    def treated(self) -> Classifier:
        """The treated network of the first seed, ready to be used or saved elsewhere.

        One seed's is handed over, not the best of all: the best on the test images would be
        chosen by what it is judged on.

        Raises:
            ValueError: nothing was treated, or the file beside the result is gone.

        Example:
            >>> DoctorResult.load("outputs/doctor").treated().save("better.keras")
        """
        if self.network is None:
            raise ValueError(
                "This result holds no treated network: it was made with treatment=False, or by a "
                "version that did not keep it."
            )
        if isinstance(self.network, Path):
            from kernel_lib.models import load

            return load(self.network)
        return self.network

    def _write_numbers(self, staging: Staging) -> None:
        super()._write_numbers(staging)
        if self.network is None:
            return
        try:
            staging.write(NETWORK, self._write_network)
            staging.write(f"{NETWORK}.json", lambda path: None)  # written beside the network
        except OSError:
            raise
        except Exception as error:
            staging.drop(NETWORK)
            warnings.warn(
                f"The treated network could not be written: {error}. Everything else is saved.",
                stacklevel=4,
            )

    def _write_network(self, path: Path) -> None:
        if isinstance(self.network, Path):
            for suffix in (".keras", ".keras.json"):
                shutil.copyfile(self.network.with_suffix(suffix), path.with_suffix(suffix))
        elif self.network is not None:
            self.network.save(path)

    @classmethod
    def _read_parts(cls, folder: Path, content: dict[str, Any]) -> dict[str, Any]:
        parts = super()._read_parts(folder, content)
        names = [name for name in files_of(content) if name.startswith(NETWORK)]
        for name in names:
            with opened(folder, name, content):
                pass  # it is the network of this result
        return parts | {"network": (folder / NETWORK).absolute() if names else None}

    def figure_makers(self) -> dict[str, Callable[[], Figure]]:
        """Comparison, regions, channels, ablation and training, as far as they were made."""
        from kernel_lib.doctor.plots import figure_makers

        return figure_makers(self)
