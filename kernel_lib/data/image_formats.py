"""Which files are images, which are read, and which only lie beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

# What Pillow may open. Others of its formats start programs (EPS), or hold no photos.
FORMATS = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "JXL", "MPO", "PCX", "PNG",
    "PPM", "QOI", "SGI", "SUN", "TGA", "TIFF", "WEBP",
)  # fmt: skip
# What `keras.utils.image_dataset_from_directory` takes; it passes over others in silence.
KERAS_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
# Files that every data set has beside its images, which no one takes for images.
_BESIDE = frozenset(
    {
        "", ".bat", ".bib", ".cfg", ".conf", ".css", ".csv", ".db", ".doc", ".docx", ".htm",
        ".html", ".ini", ".ipynb", ".js", ".json", ".jsonl", ".lock", ".log", ".md", ".md5",
        ".names", ".pdf", ".py", ".pyc", ".rst", ".sh", ".toml", ".tsv", ".txt", ".url", ".xlsx",
        ".xml", ".yaml", ".yml",
    }
)  # fmt: skip
_BY_SYSTEM = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})


def readable_suffixes() -> frozenset[str]:
    """Return the suffixes, in lower case, of the image files that can be read here.

    A plugin of Pillow for further formats, such as pillow-heif, adds its own once it is registered.
    """
    registered = Image.registered_extensions()
    return frozenset(suffix for suffix, name in registered.items() if name in FORMATS)


def is_image_file(path: Path) -> bool:
    """Whether the name of a file is that of an image that can be read."""
    kind = Image.registered_extensions().get(path.suffix.lower())
    return kind in FORMATS and not is_hidden(path)


def is_hidden(path: Path) -> bool:
    """Whether a file is one that systems leave behind, such as .DS_Store or Thumbs.db."""
    return path.name.startswith(".") or path.name.lower() in _BY_SYSTEM


def may_be_image(path: Path) -> bool:
    """Whether a file that is not read might be an image, so that leaving it out must be said."""
    return path.suffix.lower() not in _BESIDE


def suffix_counts(files: Iterable[Path]) -> str:
    """Return how many files there are of each suffix, as in "2 .heic, 1 .svg"."""
    counted = Counter(file.suffix.lower() or "without a suffix" for file in files)
    return ", ".join(f"{count} {suffix}" for suffix, count in sorted(counted.items()))


def unread_advice(files: Iterable[Path]) -> str:
    """What makes files readable that are not."""
    if {file.suffix.lower() for file in files} & {".heic", ".heif"}:
        return (
            "for HEIC, pip install pillow-heif, then import pillow_heif; "
            "pillow_heif.register_heif_opener()"
        )
    return "save images as PNG or JPEG"
