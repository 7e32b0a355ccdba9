"""Matrices in CSV files."""

from __future__ import annotations

import numpy as np
import pytest

from kernel_lib.trust import TaskMatrix, read_matrix, trust_score, write_matrix

# The published layouts: rows and columns of the two files are in different orders.
IDEAL = """task,color,shape,size,quadrant,background
color,1,.2,.33,.25,.33
shape,.1429,1,.33,.25,.33
size,.1429,.2,1,.25,.33
quadrant,.1429,.2,.33,1,.33
background,.1429,.2,.33,.25,1
"""
MATRIX = """task,shape,color,size,quadrant,background
shape,0.2,0.2212,0.3333,0.3282,0.9736
"""


def test_published_files_give_the_published_score(tmp_path):
    (tmp_path / "ideal.csv").write_text(IDEAL)
    (tmp_path / "matrix.csv").write_text(MATRIX)
    matrix = read_matrix(tmp_path / "matrix.csv", partial=True)
    found = trust_score(matrix, read_matrix(tmp_path / "ideal.csv"))
    assert found.total == pytest.approx(0.499575, abs=5e-7)


def test_round_trip(tmp_path, random):
    matrix = TaskMatrix(random.random((3, 3)), tuple("abc"), tuple("cab"))
    found = read_matrix(write_matrix(matrix, tmp_path / "deep" / "matrix.csv"))
    np.testing.assert_array_equal(found.values, matrix.values)
    assert (found.rows, found.columns) == (matrix.rows, matrix.columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("name,a,b\na,1,0\n", "must start with a header"),
        ("task,a,b\n", "a header but no rows"),
        ("task,a,b\na,1,0.5\n", "no row for b"),
        ("task,a,b\na,1,high\nb,0,1\n", "row 'a', column 'b' is not a number. Received: 'high'"),
        ("task,a,b\na,1,\nb,0,1\n", "row 'a', column 'b' is not a number"),
        ("task,a,b\na,1\nb,0,1\n", "row 'a' has 1 values for 2 columns"),
        ("task,a,b\na,1,nan\nb,0,1\n", "accuracies in"),
        ("task,a,b\na,1,0\na,1,0\nb,0,1\n", "Received twice"),
    ],
)
def test_files_that_are_wrong_say_how(tmp_path, text, message):
    path = tmp_path / "matrix.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_matrix(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        read_matrix(tmp_path / "matrix.csv")
