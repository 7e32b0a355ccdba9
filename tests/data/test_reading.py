"""One image file: every kind of pixels, and the very pixels of Keras' own loaders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image, features

from kernel_lib.data import load
from kernel_lib.data.image_files import read_image, read_with_notes
from kernel_lib.data.image_formats import readable_suffixes
from kernel_lib.data.reading import READING_OPTIONS, Reading

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (9, 12, 3), np.uint8)
SMOOTH = np.add.outer(np.arange(40), 2 * np.arange(60))[..., None] * np.array([1, 0.7, 0.4])


def notes_of(folder: Path, **options: Any) -> str:
    return " | ".join(read_with_notes(sorted(folder.iterdir()), Reading(**options))[2])


@pytest.mark.parametrize("suffix", [".JPG", ".jpe", ".jfif", ".PNG", ".bmp", ".tif", ".webp",
                                    ".gif", ".ppm", ".tga", ".qoi", ".jp2", ".avif"])  # fmt: skip
def test_every_suffix_is_read(tmp_path: Path, suffix: str) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    for name, value in (("cat", 50), ("dog", 200)):
        (tmp_path / name).mkdir()
        kind = {".jfif": "JPEG", ".qoi": "QOI"}.get(suffix)
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / name / f"1{suffix}", kind)
    images = load(f"folder:{tmp_path}")
    assert np.rint(images.images[:, 0, 0, 0] * 255) == pytest.approx([50, 200], abs=2)
    assert suffix.lower() in readable_suffixes()


def test_no_format_that_starts_programs_is_opened(tmp_path: Path) -> None:
    assert not {".eps", ".ps", ".wmf", ".pdf"} & readable_suffixes()
    (tmp_path / "1.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")
    with pytest.raises(ValueError, match="not an image"):
        read_image(tmp_path / "1.png")


def folder_of_files(root: Path) -> Path:
    """Make two classes of files of every kind that Keras' loader takes."""
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
    smooth = SMOOTH.astype(np.uint8)
    turned = Image.fromarray(smooth)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(root / "cat" / "turned.jpg", exif=exif, quality=90)
    Image.fromarray(COLOR).save(root / "cat" / "noise.png")
    alpha = np.dstack([COLOR, RNG.integers(0, 256, COLOR.shape[:2], np.uint8)])
    Image.fromarray(alpha).save(root / "cat" / "alpha.png")
    Image.fromarray(smooth).save(root / "dog" / "color.jpg", subsampling=2)
    Image.fromarray(smooth[..., 0]).save(root / "dog" / "grey.jpg")
    Image.fromarray(COLOR[..., 0]).save(root / "dog" / "grey.png")
    Image.fromarray(COLOR).convert("P").save(root / "dog" / "palette.png")
    Image.fromarray(COLOR).save(root / "dog" / "color.bmp")
    palette = Image.fromarray(COLOR).convert("P")
    palette.save(root / "dog" / "clear.png", transparency=palette.getpixel((0, 0)))
    Image.fromarray(alpha[..., 2:]).convert("LA").save(root / "dog" / "grey_alpha.png")
    Image.fromarray(COLOR[..., 0] > 99).save(root / "dog" / "bits.png")
    Image.fromarray(COLOR).convert("P").save(root / "dog" / "still.gif")
    Image.fromarray((COLOR[..., 0].astype(np.uint16) << 8) + 77).save(root / "dog" / "deep.png")
    return root


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("crop", [False, True])
def test_keras_pixels_are_the_very_pixels(tmp_path: Path, channels: int, crop: bool) -> None:
    root = folder_of_files(tmp_path / "set")
    if channels == 1:
        for name in ("color.bmp", "still.gif"):  # Keras itself cannot turn them grey
            assert read_image(root / "dog" / name, channels=1, interpolation="keras").any()
            (root / "dog" / name).unlink()
    theirs = keras.utils.image_dataset_from_directory(
        root, image_size=(7, 11), shuffle=False, crop_to_aspect_ratio=crop, verbose=False,
        color_mode="rgb" if channels == 3 else "grayscale",
    )  # fmt: skip
    pixels, labels = (
        np.concatenate(each) for each in zip(*theirs.as_numpy_iterator(), strict=True)
    )
    ours = load(f"folder:{root}", size=(7, 11), interpolation="keras", crop=crop, channels=channels)
    np.testing.assert_array_equal(ours.labels, labels)
    np.testing.assert_allclose(ours.images * 255, pixels, atol=1e-4)
    notes = " | ".join(ours.notes)
    assert "EXIF orientation not applied to 1 file" in notes
    assert "transparent parts of 3 files ignored" in notes
    assert "passes over" not in notes
    assert "as Keras' loader of folders resizes" in notes
    Image.fromarray(COLOR).save(root / "dog" / "more.webp")
    more = load(f"folder:{root}", size=(7, 11), interpolation="keras", channels=channels)
    assert "passes over, read here: 1 .webp" in more.notes[-1]
    (root / "dog" / "more.webp").unlink()
    # And the default reading is another, or this test would show nothing.
    plain = load(f"folder:{root}", size=(7, 11), crop=crop, channels=channels)
    assert np.abs(plain.images - ours.images).max() > 0.1


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_load_img_of_keras_is_the_same(tmp_path: Path, interpolation: str) -> None:
    root = folder_of_files(tmp_path / "set")
    (root / "dog" / "deep.png").unlink()  # Keras reads these as white
    options = {"size": (7, 11), "exif": False, "alpha": "ignore", "interpolation": interpolation}
    for file in sorted(root.rglob("*.*")):
        theirs = keras.utils.load_img(file, target_size=(7, 11), interpolation=interpolation)
        np.testing.assert_array_equal(read_image(file, **options), np.asarray(theirs))


def test_keras_resizing_with_turning_and_ground(tmp_path: Path) -> None:
    root = folder_of_files(tmp_path / "set")
    options = {"size": (7, 11), "interpolation": "keras"}
    turned = read_image(root / "cat" / "turned.jpg", **options, exif=True)
    assert np.abs(turned.astype(int) - read_image(root / "cat" / "turned.jpg", **options)).max() > 9
    clear = root / "cat" / "clear.png"
    Image.new("RGBA", (9, 9), (9, 9, 9, 0)).save(clear)
    assert read_image(clear, **options).max() == 9
    assert read_image(clear, **options, alpha="white").min() == 255


@pytest.mark.parametrize(
    ("alpha", "expected"), [("white", 255), ("black", 0), ("ignore", 9), (None, 255)]
)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts(tmp_path: Path, mode: str, alpha: str | None, expected: int) -> None:
    file = tmp_path / "clear.png"
    if mode == "P":
        image = Image.new("P", (4, 4), 0)
        image.putpalette([9, 9, 9] * 256)
        image.save(file, transparency=0)
    else:
        Image.new(mode, (4, 4), (9, 0) if mode == "LA" else (9, 9, 9, 0)).save(file)
    assert (read_image(file, alpha=alpha) == expected).all()
    assert "transparent parts of 1 file" in notes_of(tmp_path, alpha=alpha)


def test_opaque_alpha_is_no_transparency(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (9, 9, 9, 255)).save(tmp_path / "1.png")
    assert notes_of(tmp_path) == ""


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("deep", [False, True])
def test_orientation(tmp_path: Path, orientation: int, deep: bool) -> None:
    image = Image.fromarray(COLOR[..., 0].astype(np.uint16) * 257 if deep else COLOR[..., 0])
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "1.png", exif=exif)
    asis = COLOR[..., 0]
    # The words of the EXIF standard: where row 0 and column 0 of the file are in the scene.
    upright = {
        1: asis, 2: asis[:, ::-1], 3: asis[::-1, ::-1], 4: asis[::-1], 5: asis.T,
        6: np.rot90(asis, -1), 7: asis[::-1, ::-1].T, 8: np.rot90(asis),
    }[orientation]  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "1.png", channels=1)[..., 0], upright)
    flat = read_image(tmp_path / "1.png", channels=1, exif=False)[..., 0]
    np.testing.assert_array_equal(flat, asis)
    assert ("EXIF orientation applied to 1 file" in notes_of(tmp_path)) == (orientation > 1)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("kind", ["grey", "color", "alpha"])
def test_files_of_sixteen_bits_hold_what_they_hold(tmp_path: Path, bits: int, kind: str) -> None:
    white = 2**bits - 1
    values = np.linspace(0, white, 12).round().astype(np.uint16).reshape(3, 4)
    half = values // 2 if bits > 8 else values
    write_deep(tmp_path / "1.png", values, kind)
    write_deep(tmp_path / "2.png", half, kind)
    images, _, notes = read_with_notes(sorted(tmp_path.iterdir()), Reading())
    # Where pixels can be transparent, white is known to be that of 16 bits.
    unit = white if kind != "alpha" else 65535
    np.testing.assert_allclose(images[0, ..., 0], values / unit, atol=1e-6)
    np.testing.assert_allclose(images[1, ..., 1], half / unit, atol=1e-6)
    assert any(f"taken as {bits} bits" in note for note in notes) == (kind != "alpha")
    if kind == "grey":
        said = read_with_notes(sorted(tmp_path.iterdir()), Reading(bits=16))[0]
        np.testing.assert_allclose(said[0, ..., 0], values / 65535, atol=1e-6)


def write_deep(file: Path, values: np.ndarray, kind: str) -> None:
    """Write 16-bit values (height, width) as a PNG in grey, in color, or opaque with alpha."""
    import tensorflow as tf

    planes = {"grey": 1, "color": 3, "alpha": 4}[kind]
    array = np.repeat(values[..., None], planes, -1)
    if kind == "alpha":
        array[..., 3] = 65535
    file.write_bytes(tf.io.encode_png(array).numpy())


def test_bits_that_do_not_hold_the_values_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match="`bits` is 10, but files of 16 bits hold values up to 4"):
        notes_of(tmp_path, bits=10)


def test_deep_and_plain_files_together(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 4095, np.uint16)).save(tmp_path / "1.png")
    Image.new("RGB", (4, 4), (255, 0, 0)).save(tmp_path / "2.png")
    images = read_with_notes(sorted(tmp_path.iterdir()), Reading(size=2))[0]
    assert images[:, 0, 0].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_plain_graymaps_of_many_values(tmp_path: Path) -> None:
    (tmp_path / "1.pgm").write_bytes(b"P5 2 1 4095\n" + np.array([4095, 0], ">u2").tobytes())
    assert read_image(tmp_path / "1.pgm", channels=1).reshape(-1).tolist() == [255, 0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((4, 4), np.float32), "mode 'F' have no fixed white.*from_arrays"),
        (np.full((4, 4), 70000, np.int32), "from 70000 to 70000 have no fixed white.*from_arrays"),
    ],
)
def test_files_without_white_are_refused(tmp_path: Path, values: np.ndarray, message: str) -> None:
    from kernel_lib.data import from_arrays

    Image.fromarray(values).save(tmp_path / "1.tif")
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "1.tif")
    pixels, white, labels = np.stack([values] * 4), values.max(), np.arange(4) % 2
    assert from_arrays(pixels / white, labels).images.max() == 1  # as the message says


def test_grey_and_color_as_the_files_are(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 50).save(tmp_path / "1.png")
    Image.new("1", (4, 4), 1).save(tmp_path / "2.png")
    assert read_with_notes(sorted(tmp_path.iterdir()), Reading(channels=None))[0].shape[-1] == 1
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "3.png")
    images, _, notes = read_with_notes(sorted(tmp_path.iterdir()), Reading(channels=None))
    assert images[:, 0, 0].tolist() == [[50, 50, 50], [255, 255, 255], [1, 2, 3]]
    assert "2 files in grey read as color" in notes
    assert "1 file in color turned grey" in notes_of(tmp_path, channels=1)


def test_only_the_first_picture_of_several_is_read_and_that_is_said(tmp_path: Path) -> None:
    frames = [Image.new("L", (4, 4), value) for value in (50, 100, 150)]
    frames[0].save(tmp_path / "1.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "2.tif", save_all=True, append_images=frames[1:])
    images, _, notes = read_with_notes(sorted(tmp_path.iterdir()), Reading())
    assert images[:, 0, 0, 0].tolist() == [50, 50]
    assert "only the first picture read of 2 files with several" in notes


def test_colors_of_print_and_resizing_are_said(tmp_path: Path) -> None:
    Image.new("CMYK", (6, 4), (0, 255, 255, 0)).save(tmp_path / "1.jpg")
    Image.new("RGB", (60, 40)).save(tmp_path / "2.jpg")
    Image.new("RGB", (8, 8)).save(tmp_path / "3.jpg")
    said = notes_of(tmp_path, size=8)
    assert "1 file in the colors of print" in said
    assert "2 files resized from 4x6 to 40x60 to 8x8 pixels (bilinear)" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": "red"}, "`alpha` must be one of"),
        ({"interpolation": "cubic"}, "Did you mean 'bicubic'"),
        ({"bits": 9}, "`bits` must be one of"),
        ({"size": "64"}, "`size` must be a number"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Reading(**options)


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "images.md").read_text(encoding="utf-8")
    options = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(options) == sorted(READING_OPTIONS)
