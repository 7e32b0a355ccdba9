"""Folders of image files: layouts, odd files, and files that must not be read."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kernel_lib.data import load
from kernel_lib.data.image_files import SkippedFilesWarning, read_image, read_images


def write(path: Path, color: tuple[int, ...] | int, size: tuple[int, int] = (6, 4)) -> Path:
    """Write one flat image of (width, height) pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(color, int) else "RGB", size, color).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(10):
        write(tmp_path / "photos" / "dog" / f"{number}.png", (0, 0, 200))
        write(tmp_path / "photos" / "cat" / "deeper" / f"{number}.PNG", (200, 0, 0))
    return tmp_path / "photos"


def test_one_folder_per_class(photos: Path) -> None:
    (photos / "cat" / "notes.txt").write_text("no image")
    (photos / "cat" / ".hidden.png").write_text("no image")
    (photos / ".cache").mkdir()
    images = load(f"folder:{photos}")
    assert images.class_names == ("cat", "dog")
    assert images.name == "photos"
    assert images.image_shape == (4, 6, 3)
    assert [len(images.split(name)) for name in images.splits] == [12, 4, 4]
    np.testing.assert_allclose(images.images[images.labels == 0, 0, 0], [[200 / 255, 0, 0]] * 10)
    np.testing.assert_allclose(images.images[images.labels == 1, 0, 0], [[0, 0, 200 / 255]] * 10)


def test_split_folders(tmp_path: Path) -> None:
    for split, value in (("train", 10), ("test", 20)):
        for number in range(5):
            write(tmp_path / split / "a" / f"{number}.png", value)
            write(tmp_path / split / "b" / f"{number}.png", value)
    images = load(f"folder:{tmp_path}", channels=1)
    assert [len(images.split(name)) for name in images.splits] == [8, 2, 10]
    assert np.rint(images.test.images * 255).min() == 20
    assert np.rint(images.train.images * 255).max() == 10
    write(tmp_path / "val" / "a" / "0.png", 30)
    images = load(f"folder:{tmp_path}", channels=1)
    assert np.rint(images.calibration.images[:, 0, 0, 0] * 255).tolist() == [30]
    assert len(images.train) == 10


def test_the_home_folder_has_its_short_name(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(photos.parent))
    assert len(load("folder:~/photos")) == 20


def test_a_cap_reads_no_more_files_than_it_says(photos: Path) -> None:
    images = load(f"folder:{photos}", num_images=6, seed=1)
    assert np.bincount(images.labels).tolist() == [3, 3]
    assert len(images) == 6


def test_sizes_must_agree_or_be_given(photos: Path) -> None:
    write(photos / "dog" / "wide.png", (0, 0, 200), size=(30, 10))
    with pytest.raises(ValueError, match=r"has 4x6 pixels and wide\.png has 10x30.*size=64"):
        load(f"folder:{photos}")
    assert load(f"folder:{photos}", size=8).image_shape == (8, 8, 3)
    assert load(f"folder:{photos}", size=(5, 9), crop=True).image_shape == (5, 9, 3)


def test_resizing_averages_instead_of_picking_pixels(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    small = read_image(tmp_path / "stripes.png", size=8, channels=1)
    assert np.abs(small.astype(int) - 127).max() <= 8


def test_crop_keeps_proportions(tmp_path: Path) -> None:
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (read_image(tmp_path / "wide.png", size=10, crop=True, channels=1) == 255).all()
    squeezed = read_image(tmp_path / "wide.png", size=10, channels=1)
    assert squeezed[0, 0, 0] == 0
    assert squeezed.mean() == pytest.approx(255 / 3, abs=3)


def test_the_camera_orientation_is_honoured(tmp_path: Path) -> None:
    image = Image.new("RGB", (6, 4), "red")
    exif = image.getexif()
    exif[0x0112] = 6  # turned a quarter
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (6, 4, 3)


def test_every_kind_of_pixel_becomes_colour_or_grey(tmp_path: Path) -> None:
    base = Image.new("RGB", (4, 4), (255, 0, 0))
    base.convert("P").save(tmp_path / "palette.png")
    base.convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("LA", (4, 4), (0, 0)).save(tmp_path / "clear_grey.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "bits.png")
    Image.fromarray(np.full((4, 4), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    corners = {path.stem: read_image(path)[0, 0].tolist() for path in sorted(tmp_path.iterdir())}
    assert corners.pop("print") == pytest.approx([255, 0, 0], abs=3)
    assert corners == {
        "palette": [255, 0, 0],
        "clear": [255, 255, 255],
        "clear_grey": [255, 255, 255],
        "bits": [255, 255, 255],
        "deep": [128, 128, 128],
    }
    assert read_image(tmp_path / "palette.png", channels=1)[0, 0].tolist() == [76]  # 0.299 * 255


def test_floating_point_files_have_no_white(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match=r"float\.tif: pixels of the mode 'F' have no fixed white"):
        read_image(tmp_path / "float.tif")


def test_unreadable_files_stop_or_are_named(photos: Path) -> None:
    (photos / "dog" / "3.png").write_bytes(b"not an image")
    whole = (photos / "dog" / "4.png").read_bytes()
    (photos / "dog" / "4.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"Cannot read the image file .*3\.png: not an image\."):
        load(f"folder:{photos}")
    with pytest.warns(
        SkippedFilesWarning, match=r"2 image files were skipped.*3\.png.*4\.png"
    ) as w:
        images = load(f"folder:{photos}", on_error="skip")
    assert np.bincount(images.labels).tolist() == [10, 8]
    assert sum(len(members) for members in images.splits.values()) == 18
    assert len(w[0].message.files) == 2


def test_a_set_without_a_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"")
    with (
        warnings.catch_warnings(action="ignore"),
        pytest.raises(ValueError, match="None of the 1 image files could be read"),
    ):
        read_images([tmp_path / "broken.png"], on_error="skip")


@pytest.mark.parametrize("side", [10_000, 40_000])
def test_files_of_too_many_pixels_are_refused_unread(tmp_path: Path, side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    chunks = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")):
        body = kind + data
        chunks += struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "bomb.png").write_bytes(chunks)
    with pytest.raises(ValueError, match=r"Cannot read .*bomb\.png: .*(more than|exceeds limit)"):
        read_image(tmp_path / "bomb.png")


def test_links_out_of_the_folder_are_not_followed(photos: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "secret" / "private.png", (9, 9, 9))
    (photos / "dog" / "link.png").symlink_to(secret)
    (photos / "dog" / "inner.png").symlink_to(photos / "dog" / "0.png")
    (photos / "linked").symlink_to(secret.parent, target_is_directory=True)
    with pytest.warns(SkippedFilesWarning, match=r"links not followed .*, 2: .*dog/link.png"):
        images = load(f"folder:{photos}")
    assert images.class_names == ("cat", "dog")
    assert np.bincount(images.labels).tolist() == [10, 11]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 2}, r"`channels` must be 1 \(grey\) or 3"),
        ({"size": 0}, "`size` must be at least 1"),
        ({"size": (4, 4, 3)}, r"a number or \(height, width\)"),
        ({"size": (4, 0)}, r"`size\[1\]` must be at least 1"),
        ({"on_error": "ignore"}, "`on_error` must be one of 'raise', 'skip'"),
    ],
)
def test_wrong_options_are_refused(photos: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(f"folder:{photos}", **options)


def test_folders_without_two_classes_are_refused(photos: Path) -> None:
    with pytest.raises(ValueError, match=r"at least two.*photos.cat with 'deeper'"):
        load(f"folder:{photos / 'cat'}")
    with pytest.raises(ValueError, match="with none"):
        load(f"folder:{photos / 'dog'}")
    with pytest.raises(FileNotFoundError, match=r"There is no folder .*nowhere"):
        load(f"folder:{photos / 'nowhere'}")
