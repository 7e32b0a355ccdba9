"""oneDNN is on where nobody said otherwise, and with it or without it the numbers are the same."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from kernel_lib import SlowTensorFlowWarning, _onednn

NUMBERS = Path(__file__).parent / "helpers" / "network_numbers.py"


def without_variable() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != _onednn.VARIABLE}


def test_importing_the_package_sets_the_variable_and_leaves_tensorflow_alone():
    code = "import kernel_lib, os, sys; print(os.environ[sys.argv[1]], 'tensorflow' in sys.modules)"
    for asked, expected in ((None, "1"), ("0", "0"), ("", "")):
        env = without_variable() | ({} if asked is None else {_onednn.VARIABLE: asked})
        command = [sys.executable, "-c", code, _onednn.VARIABLE]
        said = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
        assert said == f"{expected} False\n"


@pytest.mark.parametrize("on", [True, False, None])
def test_one_line_where_tensorflow_came_first_without_it(monkeypatch, on):
    monkeypatch.delenv(_onednn.VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(_onednn, "is_on", lambda: on)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _onednn.switch_on()
    assert _onednn.VARIABLE not in os.environ
    assert [each.category for each in caught] == [SlowTensorFlowWarning] * (on is False)
    for each in caught:
        assert "2 to 3 times as long" in str(each.message)
        assert "Import kernel_lib first, or set TF_ENABLE_ONEDNN_OPTS=1" in str(each.message)
        assert "\n" not in str(each.message)


def test_nobody_is_told_who_chose_so(monkeypatch):
    monkeypatch.setenv(_onednn.VARIABLE, "0")
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    monkeypatch.setattr(_onednn, "is_on", lambda: False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _onednn.switch_on()
    assert os.environ[_onednn.VARIABLE] == "0"


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS' TensorFlow is built without oneDNN")
def test_with_it_and_without_it_logits_gradients_and_a_training_step_agree(tmp_path):
    """Each setting in a process of its own, as TensorFlow reads it once."""
    found = []
    for asked in (None, "0"):
        env = without_variable() | ({} if asked is None else {_onednn.VARIABLE: asked})
        file = tmp_path / f"{asked}.npz"
        command = [sys.executable, str(NUMBERS), str(file)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(dict(np.load(file)))
    with_it, without = found
    told = [
        [str(each.pop(name)) for name in ("variable", "onednn", "warned")]
        for each in (with_it, without)
    ]
    assert told == [["1", "True", "False"], ["0", "False", "True"]]
    assert len(with_it) == 6
    for name, values in with_it.items():
        scale = np.abs(values).max()
        assert scale > 0
        np.testing.assert_allclose(without[name], values, atol=1e-5 * scale, err_msg=name)
