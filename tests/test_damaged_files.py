"""Hundreds of damaged files of each kind: refused with the file's name, or read rightly.

Each has a limit of time that is enforced, and what is wrong with any of them is listed. Networks
take long to read, so fewer of them are tried unless `KERNEL_LIB_MUTANTS=500` asks for more.
Presets, templates and listings of results are tried in `tests/server/test_damaged_files.py`.
"""

from __future__ import annotations

import functools
import importlib
import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from damage_whole import damaged_archive, damaged_array, damaged_bytes, damaged_json, damaged_value
from kernel_lib.data import ImageSet, from_table, labelme_mask
from kernel_lib.data.classes import class_name_list
from kernel_lib.data.npz_file import load_npz
from kernel_lib.data.reading import Reading, decode
from kernel_lib.doctor.diagnosis import Diagnosis
from kernel_lib.invariance.assessor import Assessor, bundled
from kernel_lib.invariance.zoo.votes import read_votes
from kernel_lib.models import load as load_model
from kernel_lib.models.preprocessing_forms import as_preprocessing
from kernel_lib.models.settings import read_settings
from kernel_lib.report import AuditResult, Verdict
from kernel_lib.report import result as result_module
from kernel_lib.tasks import cached_arrays, write_arrays
from kernel_lib.trust.store import Table
from kernel_lib.trust.tables import read_matrix
from small_networks import tiny_cnn
from small_notebooks import notebook
from survival import outcomes

export = importlib.import_module("kernel_lib.run.export")  # a function bears its name too
ASKED = os.environ.get("KERNEL_LIB_MUTANTS")
NUM = int(ASKED or 500)
NUM_SLOW = int(ASKED or 40)  # of what takes tens of milliseconds each
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])

pytestmark = pytest.mark.timeout(600)


def mutated(
    content: bytes, num: int, damages: list[Callable[[bytes, random.Random], bytes]]
) -> Iterator[bytes]:
    """Damaged copies, by each kind of damage in turn; the same ones each time."""
    for number in range(num):
        yield damages[number % len(damages)](content, random.Random(number))


def hold(
    path: Path,
    read: Callable[[Path], Any],
    check: Callable[[Any], object],
    damages: list[Callable[[bytes, random.Random], bytes]],
    num: int = NUM,
    least: float = 0.1,
) -> None:
    """Damage a whole file, and hold every copy to its outcome.

    Args:
        path: the whole file, which its reader reads.
        read, check: see `outcomes`.
        damages: what is done to it.
        num: number of copies.
        least: share of them that is refused at the least, so that something is tried.
    """
    content = path.read_bytes()
    check(read(path))

    def written() -> Iterator[Path]:
        for mutant in mutated(content, num, damages):
            path.write_bytes(mutant)
            yield path

    counts = outcomes(written(), read, check, lambda path: [path.name])
    assert counts.total() == num
    assert counts["refused"] >= least * num, counts
    print(f"\n{path.name}: {dict(counts)}")


def in_archive(**inside: Callable[[bytes, random.Random], bytes]) -> Any:
    return functools.partial(damaged_archive, inside={f".{end}": inside[end] for end in inside})


def is_image_set(images: ImageSet) -> None:
    assert images.images.dtype == np.float32
    assert np.isfinite(images.images).all()
    assert len(images.labels) == len(images) > 0
    assert 0 <= images.labels.min() <= images.labels.max() < len(images.class_names) <= 1000
    assert all(isinstance(name, str) for name in images.class_names)
    repr(images)


# --- images and their labels ---------------------------------------------------------------------


@pytest.mark.parametrize("damage", [damaged_bytes, in_archive(npy=damaged_array)])
def test_npz(tmp_path, damage):
    path = tmp_path / "set.npz"
    names = np.array(["a", "b", "c"])
    masks = PIXELS[..., 0] > 99
    write_arrays(path, {"images": PIXELS, "labels": LABELS, "class_names": names, "masks": masks})

    def check(images):
        is_image_set(images)
        if damage is damaged_bytes:  # the checksums see every other damage
            np.testing.assert_array_equal(np.rint(images.images * 255), PIXELS)
            np.testing.assert_array_equal(images.labels, LABELS)

    hold(path, load_npz, check, [damage], least=0.3)


def test_saved_sets(tmp_path):
    path = tmp_path / "set.npz"
    ImageSet(PIXELS / np.float32(255), LABELS, ("a", "b", "c"), tasks={"t": LABELS}).save(path)
    hold(path, ImageSet.load, is_image_set, [damaged_bytes, in_archive(npy=damaged_array)])


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "tiff", "webp"])
def test_pictures(tmp_path, kind):
    path = tmp_path / f"picture.{kind}"
    image = Image.fromarray(np.kron(PIXELS[0], np.ones((3, 3, 1), np.uint8)))
    image.save(path, exif=_turned(image))

    def check(found):
        assert found.pixels.dtype == np.uint8
        assert found.pixels.shape == (16, 16, 3)

    num = NUM if kind in ("png", "jpg") else NUM // 5
    hold(path, lambda path: decode(path, Reading(size=16)), check, [damaged_bytes], num)


def _turned(image: Image.Image) -> Any:
    exif = image.getexif()
    exif[0x0112] = 6
    return exif


def test_a_damaged_picture_leaves_the_others(tmp_path):
    from kernel_lib.data.image_files import read_images

    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path in paths:
        Image.fromarray(PIXELS[0]).save(path)
    paths[1].write_bytes(paths[1].read_bytes()[:60])
    with pytest.warns(UserWarning, match=r"1\.png"):
        _, kept = read_images(paths, on_error="skip")
    assert list(kept) in ([0, 2], [True, False, True])


LABELME = {
    "version": "5.10.1",
    "flags": {},
    "shapes": [
        {"label": "cat", "points": [[1, 1], [12, 2], [9, 12.5]], "shape_type": "polygon"},
        {"label": "cat", "points": [[2, 2], [5, 5]], "shape_type": "circle", "group_id": 1},
        {"label": "hole", "points": [[3, 3], [4, 4]], "shape_type": "rectangle", "group_id": 1},
    ],
    "imagePath": "cat.png",
    "imageData": None,
    "imageHeight": 24,
    "imageWidth": 20,
}


def _png_text(array: np.ndarray) -> str:
    import base64

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_labelme(tmp_path):
    path = tmp_path / "cat.json"
    mask = _png_text(np.ones((4, 4), np.uint8))
    shape = {"label": "cat", "points": [[1, 1], [4, 4]], "shape_type": "mask", "mask": mask}
    path.write_text(json.dumps(LABELME | {"shapes": [*LABELME["shapes"], shape]}))

    def check(found):
        assert found.shape == (16, 16)
        assert found.dtype == bool
        assert found.any()

    def read(path):
        try:
            return labelme_mask(path, size=16)
        except ValueError as error:  # an import writes the file's name before each of these
            raise ValueError(f"{path.name}: {error}") from error

    hold(path, read, check, [damaged_bytes, damaged_json], num=2 * NUM)


def test_an_import_of_damaged_files_names_each_and_keeps_the_others(tmp_path):
    from kernel_lib.data.labelme_import import import_labelme

    images = ImageSet(np.zeros((40, 8, 8, 1), np.float32), np.arange(40) % 2)
    for k in range(40):
        content = json.dumps(LABELME).encode()
        damaged = (damaged_json if k % 4 < 2 else damaged_bytes)(content, random.Random(k))
        (tmp_path / f"{k:03}.json").write_bytes(damaged if k % 2 else content)
    found = import_labelme(tmp_path, images)
    assert set(range(0, 40, 2)) <= set(found.indices.tolist())
    assert len(found) + len(found.problems) == 40
    assert found.problems


@pytest.mark.parametrize("form", ["list", "mapping"])
def test_class_names(tmp_path, form):
    path = tmp_path / "names.json"
    path.write_text(json.dumps(["cat", "dog"] if form == "list" else {"cat": 0, "dog": 1}))

    def check(names):
        assert all(isinstance(name, str) for name in names)
        assert len(names) <= 1000

    def read(path):
        try:
            return class_name_list(path)
        except ValueError as error:
            if "`class_names`" in str(error):  # the argument, which its reader named
                raise ValueError(f"{path.name}: {error}") from error
            raise

    hold(path, read, check, [damaged_bytes, damaged_json])


# --- tables --------------------------------------------------------------------------------------


def test_tables_of_images(tmp_path):
    for k in range(3):
        Image.fromarray(PIXELS[k]).save(tmp_path / f"{k}.png")
    path = tmp_path / "labels.csv"
    path.write_text("path,kind,split\n0.png,cat,train\n1.png,dog,train\n2.png,cat,test\n")

    def read(path):
        try:
            return from_table(path, size=8)
        except (ValueError, FileNotFoundError) as error:  # of what the table says: a column, a file
            raise ValueError(f"{path.name}: {error}") from error

    hold(path, read, is_image_set, [damaged_bytes])


def test_matrices(tmp_path):
    path = tmp_path / "matrix.csv"
    path.write_text("task,a,b\na,0.9,0.25\nb,0.5,1\n")

    def check(matrix):
        assert matrix.values.shape == (len(matrix.rows), len(matrix.columns))
        assert not np.isinf(matrix.values).any()

    hold(path, read_matrix, check, [damaged_bytes])


def test_votes(tmp_path):
    path = tmp_path / "votes.csv"
    path.write_text(
        "model_id,transform,annotator,vote,date\nm1,rotate,p1,invariant,2026-01-01\n"
        "m1,rotate,p2,borderline,2026-01-01\n"
    )

    def read(path):
        try:
            return read_votes(path)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from error

    hold(path, read, lambda table: table.vote.map(len), [damaged_bytes])


# --- networks and what lies beside them ----------------------------------------------------------


@pytest.fixture(scope="module")
def network():
    return tiny_cnn(batch_norm=True)


def is_classifier(found: Any) -> None:
    size = [side or 12 for side in found.model.input_shape[1:]]
    if np.prod(size) < 10**6:
        assert found.model.count_params() < 10**7


def damaged_hdf5(content: bytes, draw: random.Random) -> bytes:
    """An HDF5 file with an array gone, of another shape or type, or another attribute."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as made:
        names: list[str] = []
        made.visit(names.append)
        name = draw.choice(names)
        kind = draw.randrange(6)
        holder = draw.choice([made, *(made[each] for each in names)])
        if kind == 0:
            del made[name]
        elif kind <= 3:
            shape = draw.choice([(), (0,), (3,), (10**6, 10**6), (2, 2, 2, 2, 2)])
            del made[name]
            numbers = draw.choice([np.float32, np.float64, np.uint8, "S4", h5py.string_dtype()])
            made.create_dataset(name, shape, numbers, chunks=None)
        elif kind == 4 and len(holder.attrs):
            attribute = draw.choice(list(holder.attrs))
            old = holder.attrs[attribute]
            new = [damaged_json(old.encode(), draw).decode()] if str(old).startswith("{") else [b""]
            holder.attrs[attribute] = draw.choice([*new, 3, np.zeros(5), "", "null", "x" * 60_000])
        else:
            made[f"{name}x"] = h5py.SoftLink(draw.choice(["/", "/nowhere", f"/{name}x"]))
    return file.getvalue()


@pytest.mark.parametrize("damage", ["bytes", "parts"])
@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_networks(network, tmp_path, kind, damage):
    path = tmp_path / f"network.{kind}"
    network.save(path)
    parts = in_archive(json=damaged_json, h5=damaged_hdf5) if kind == "keras" else damaged_hdf5
    hold(path, load_model, is_classifier, [damaged_bytes if damage == "bytes" else parts], NUM_SLOW)


def test_a_small_archive_that_unpacks_to_much(tmp_path):
    """Blanks of a gigabyte took two minutes and 3.6 GB."""
    path = tmp_path / "blanks.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (65 * 2**20))
    with pytest.raises(ValueError, match=r"'blanks\.keras' .* config\.json in it has 68,157"):
        load_model(path)


@pytest.mark.parametrize("kind", ["keras", "h5"])
def test_a_layer_wider_than_all_weights_takes_no_memory(network, tmp_path, kind):
    path = tmp_path / f"wide.{kind}"
    network.save(path)
    if kind == "keras":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        assert parts["config.json"].count(b'"units": 8,') == 1
        wide = parts["config.json"].replace(b'"units": 8,', b'"units": 2000000000,')
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in (parts | {"config.json": wide}).items():
                archive.writestr(name, part)
    else:
        with h5py.File(path, "r+") as file:
            text = file.attrs["model_config"]
            file.attrs["model_config"] = text.replace('"units": 8,', '"units": 2000000000,')
    with pytest.raises(ValueError, match=rf"'wide\.{kind}' is not .*a layer has units=2e\+09"):
        load_model(path)


def test_settings_beside_a_network(tmp_path):
    path = tmp_path / "network.keras.json"
    settings = {
        "preprocessing": {"scale": [2.0, 1.0, 3.0], "offset": -1.0, "reverse_channels": True},
        "preprocessing_source": "said",
        "head": "logits",
        "output": None,
        "class_names": ["cat", "dog"],
        "input_size": [12, 12],
        "name": "net",
    }
    path.write_text(json.dumps(settings))

    def check(found):
        assert found.keys() <= settings.keys()
        assert all(isinstance(name, str) for name in found.get("class_names", []))

    hold(path, lambda _: read_settings(tmp_path / "network.keras"), check,
         [damaged_bytes, damaged_json])  # fmt: skip


@pytest.mark.parametrize("kind", ["json", "npz", "npy"])
def test_preprocessing(tmp_path, kind):
    path = tmp_path / f"mean.{kind}"
    if kind == "json":
        path.write_text(json.dumps({"scale": [2.0, 1.0, 3.0], "offset": [-1.0, 0, 1]}))
        damages = [damaged_bytes, damaged_json]
    elif kind == "npz":
        write_arrays(path, {"mean": np.ones((4, 4, 3)), "std": np.ones(3)})
        damages = [damaged_bytes, in_archive(npy=damaged_array)]
    else:
        np.save(path, np.ones((4, 4, 3)))
        damages = [damaged_bytes, damaged_array]

    def check(found):
        assert np.isfinite(np.asarray(found.scale, float)).all()
        assert np.isfinite(np.asarray(found.offset, float)).all()

    hold(path, as_preprocessing, check, damages)


# --- what the library wrote itself ---------------------------------------------------------------


@dataclass(frozen=True)
class DamagedResult(AuditResult):
    audit: ClassVar[str] = "damaged"
    question: ClassVar[str] = "Is it whole?"


def test_results(tmp_path, monkeypatch):
    monkeypatch.setattr(result_module, "_PATIENCE_SECONDS", 0)
    rows = pd.DataFrame({"name": ["a", "b"], "value": [1.5, np.nan]})
    DamagedResult(
        scores={"share": 0.25, "unknown": float("nan")},
        tables={"rows": rows},
        arrays={"grid": np.arange(6, dtype=np.float32).reshape(2, 3)},
        verdict=Verdict("warning", "Take care.", "This.", "Not that.", "Look."),
        parameters={"seed": 3},
        provenance={"model": {"name": "net"}},
    ).save(tmp_path)
    wholes = {
        name: (tmp_path / name).read_bytes()
        for name in ("result.json", "arrays.npz", "tables/rows.csv")
    }

    def written() -> Iterator[tuple[Path, str]]:
        for number in range(NUM):
            name = ["result.json", "arrays.npz", "result.json", "tables/rows.csv"][number % 4]
            damages = [damaged_bytes, damaged_json if name == "result.json" else damaged_bytes]
            damage = damages[number // 4 % 2]
            (tmp_path / name).write_bytes(damage(wholes[name], random.Random(number)))
            yield tmp_path, name
            (tmp_path / name).write_bytes(wholes[name])

    def check(result):
        np.testing.assert_array_equal(result.arrays["grid"], [[0, 1, 2], [3, 4, 5]])
        repr(result)
        result._repr_html_()

    counts = outcomes(
        written(), lambda told: DamagedResult.load(told[0]), check, lambda told: [str(told[0])]
    )
    assert counts["refused"] > NUM / 3, counts
    print(f"\nresult: {dict(counts)}")


def test_notebooks(tmp_path):
    path = tmp_path / "run.ipynb"
    made = notebook("seed: int = 0", "print(1)")
    path.write_text(json.dumps(made))

    def check(found):
        assert isinstance(found.cells, list)

    hold(path, export._read, check, [damaged_bytes, damaged_json])


def test_pages_of_notebooks(tmp_path):
    path = tmp_path / "run.ipynb"
    cell = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": "one"}}
    made = notebook("seed: int = 0", "print(1)")
    made["cells"][-1]["outputs"] = [cell]
    path.write_text(json.dumps(made))

    def check(page):
        assert "</html>" in page.read_text()

    hold(path, export.export, check, [damaged_json], NUM // 20, least=0)


def test_assessors(tmp_path):
    """Its digest sees every change of a value, so that only damage to the form is left."""
    path = tmp_path / "assessor.json"
    whole = Assessor.load(bundled()[0])
    content = json.loads(Path(whole.save(path)).read_text())
    hold(path, Assessor.load, lambda found: found.weights.sum(), [damaged_bytes], NUM // 5)

    from kernel_lib.tasks import digest

    def with_digest(text: bytes, draw: random.Random) -> bytes:
        made = damaged_value({k: v for k, v in content.items() if k != "digest"}, draw)
        try:
            return json.dumps(made | {"digest": digest(made)}).encode()
        except (TypeError, RecursionError, ValueError, OverflowError):
            return b"{}"

    whole.save(path)
    hold(path, Assessor.load, lambda found: np.asarray(found.weights), [with_digest], NUM // 5)


def test_diagnoses(tmp_path):
    path = tmp_path / "diagnosis.npz"
    random_ = np.random.default_rng(0)
    Diagnosis(
        averages={"conv": random_.random((3, 4))},
        tap="conv",
        sums=random_.random((3, 20, 4)),
        counts=np.ones((3, 20), np.int64),
        energy=random_.random((3, 2, 2)),
        class_names=("a", "b", "c"),
        threshold="mean",
        parameters={"seed": 0},
    ).save(path)

    def check(found):
        assert len(found.channels()) == 4

    hold(path, Diagnosis.load, check, [damaged_bytes, in_archive(npy=damaged_array)])


# --- caches: what is damaged counts as missing ---------------------------------------------------


def test_cached_arrays(tmp_path):
    arrays = {"a": np.arange(5.0), "b": np.array(["x", "yz"])}
    cached_arrays(tmp_path, "some", 1, lambda: arrays)
    path = next(tmp_path.iterdir())
    whole = path.read_bytes()
    for mutant in mutated(whole, NUM, [damaged_bytes]):
        path.write_bytes(mutant)
        found = cached_arrays(tmp_path, "some", 1, lambda: arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("name", ["whole", "part"])
def test_cached_features(tmp_path, name):
    """A changed bit in a table of numbers is seen, as in archives, whose checksums see it."""
    values = np.random.default_rng(0).random((6, 5), np.float32)
    count = 6 if name == "whole" else 4

    def fill(folder: Path, until: int) -> np.ndarray:
        table = Table(folder, "recipe", values.shape)
        assert np.array_equal(table.values()[: table.num_done], values[: table.num_done])
        for start in range(table.num_done, until, 2):
            table.write(start, values[start : start + 2])
            table.save(min(start + 2, until))
        return np.array(table.values()[:until])

    fill(tmp_path, count)
    wholes = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(wholes) == 2
    for number in range(NUM // 2):
        draw = random.Random(number)
        for path in tmp_path.iterdir():
            path.unlink()
        for path, content in wholes.items():
            path.write_bytes(content)
        path = draw.choice(sorted(wholes))
        path.write_bytes(damaged_bytes(wholes[path], draw))
        np.testing.assert_array_equal(fill(tmp_path, count), values[:count])


# --- nothing is executed -------------------------------------------------------------------------


class Harmful:
    """Unpickling it leaves a file behind."""

    def __reduce__(self):
        return (exec, ("open('harm', 'w').close()",))


def test_no_file_runs_code(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    harmful = pickle.dumps(Harmful())
    pickle.loads(harmful)  # the bait works
    assert Path("harm").exists()
    Path("harm").unlink()
    objects = np.array([Harmful()], object)

    np.savez("objects.npz", images=objects, labels=LABELS, mean=objects, about=objects)
    np.save("objects.npy", objects, allow_pickle=True)
    network.save("whole.keras")
    network.save("whole.h5")
    bad = [Path("objects.npz"), Path("objects.npy")]
    for suffix in ("npz", "npy", "keras", "h5", "json", "csv", "png", "ipynb"):
        bad.append(Path(f"pickled.{suffix}"))
        bad[-1].write_bytes(harmful)
    with zipfile.ZipFile("whole.keras") as source, zipfile.ZipFile("inside.keras", "w") as target:
        for name in source.namelist():
            weights = name.endswith(".h5")
            target.writestr(name, harmful if weights else source.read(name))
        target.writestr("data.pkl", harmful)
    bad.append(Path("inside.keras"))

    readers: list[Callable[[Path], Any]] = [
        load_npz, ImageSet.load, load_model, as_preprocessing, Diagnosis.load, Assessor.load,
        read_matrix, read_votes, from_table, class_name_list, labelme_mask, export._read,
        lambda path: decode(path, Reading()),
    ]  # fmt: skip
    for path in bad:
        for read in readers:
            with pytest.raises((ValueError, TypeError)):
                read(path)
    with h5py.File("whole.h5", "r+") as file:
        file.attrs["pickled"] = np.void(harmful)
    load_model("whole.h5")  # it is not looked at

    table = Path("cache/features.npy")
    table.parent.mkdir()
    first = Table("cache", "recipe", (6, 5))
    first.write(0, np.ones((6, 5), np.float32))
    first.save(6)
    path = next(table.parent.glob("*.npy"))
    np.save(path, objects, allow_pickle=True)
    assert Table("cache", "recipe", (6, 5)).num_done == 0
    arrays = {"a": np.ones(2)}
    cached_arrays("cache", "some", 1, lambda: arrays)
    np.savez(next(table.parent.glob("some*")), a=objects)
    assert cached_arrays("cache", "some", 1, lambda: arrays)["a"].tolist() == [1, 1]
    assert not Path("harm").exists()
