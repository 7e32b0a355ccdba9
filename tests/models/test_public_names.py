"""The package opens cheaply and gives what it promises."""

from __future__ import annotations

import subprocess
import sys

import pytest

import kernel_lib.models


def test_listing_networks_does_not_import_tensorflow() -> None:
    code = (
        "import sys, kernel_lib.models as models; assert 'cnn' in models.names(); "
        "assert 'train' in dir(models); "
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", kernel_lib.models.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(kernel_lib.models, name)
    assert value.__name__ == name
    assert value.__doc__


def test_other_names_are_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'fit'"):
        _ = kernel_lib.models.fit
