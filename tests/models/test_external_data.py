"""A file of weights that points to another file of the machine is refused, and never read."""

from __future__ import annotations

import zipfile

import h5py
import keras
import numpy as np
import pytest

import kernel_lib as kl


def inside(file, name, secret):
    file[name] = np.full((2, 2), 7, "f4")


def external(file, name, secret):
    file.create_dataset(name, shape=(2, 2), dtype="f4", external=[(str(secret), 0, 16)])


def link(file, name, secret):
    file[name] = h5py.ExternalLink(str(secret), "/secret")


def virtual(file, name, secret):
    layout = h5py.VirtualLayout(shape=(2, 2), dtype="f4")
    layout[:] = h5py.VirtualSource(str(secret), "secret", shape=(2, 2))
    file.create_virtual_dataset(name, layout)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("pointer", [inside, external, link, virtual])
def test_weights_that_lie_in_another_file_are_refused(tmp_path, suffix, pointer):
    secret, path = tmp_path / "secret", tmp_path / f"model{suffix}"
    if pointer is external:
        secret.write_bytes(np.full(4, 7, "f4").tobytes())
    else:
        with h5py.File(secret, "w") as file:
            file["secret"] = np.full((2, 2), 7, "f4")
    last = keras.layers.Dense(2, "softmax", use_bias=False)
    layers = [keras.Input((2, 1, 1)), keras.layers.Flatten(), last]
    keras.Sequential(layers).save(path)
    assert kl.models.load(path) is not None
    weights = path
    if suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        weights = tmp_path / "weights.h5"
        weights.write_bytes(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        names = []
        file.visititems(lambda name, each: names.append(name) if is_kernel(each) else None)
        (name,) = names
        del file[name]
        pointer(file, name, secret)
    if suffix == ".keras":
        parts["model.weights.h5"] = weights.read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            for part, content in parts.items():
                archive.writestr(part, content)
    if pointer is inside:  # so the refusal is for what the others hold
        assert (kl.models.load(path).model.get_weights()[0] == 7).all()
        return
    with pytest.raises(ValueError, match="cannot be loaded"):
        kl.models.load(path)


def is_kernel(each) -> bool:
    return isinstance(each, h5py.Dataset) and each.shape == (2, 2)
