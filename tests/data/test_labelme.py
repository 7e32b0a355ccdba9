"""Masks of LabelMe files against counts by hand, scikit-image and Pick's theorem."""

from __future__ import annotations

import base64
import io
import json
import math
import zlib

import numpy as np
import pytest
from PIL import Image
from skimage.draw import disk
from skimage.draw import polygon as fill_polygon

from kernel_lib.data import labelme_instances, labelme_mask, write_labelme
from kernel_lib.data.labelme_draw import area_average
from kernel_lib.data.labelme_export import VERSIONS, labelme_content


def annotation(*shapes, height=60, width=60, **more):
    return {"shapes": list(shapes), "imageHeight": height, "imageWidth": width} | more


def shape(points, kind="polygon", label="cat", **more):
    return {"label": label, "points": points, "shape_type": kind} | more


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


# --- pixels ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("points", "count"),
    [
        ([[5, 5], [25, 5], [25, 15], [5, 15]], 231),  # (20 + 1) (10 + 1)
        ([[5, 20], [20, 5], [35, 20], [20, 35]], 481),  # A + B / 2 + 1 = 450 + 30 + 1
        ([[5, 5], [35, 5], [5, 35]], 496),  # 450 + 45 + 1
    ],
)
def test_polygons_with_straight_edges_cover_what_pick_counts(points, count):
    mask = labelme_mask(annotation(shape(points)))
    assert mask.sum() == count
    xs, ys = np.array(points).T
    expected = np.zeros((60, 60), bool)
    expected[fill_polygon(ys, xs, expected.shape)] = True
    np.testing.assert_array_equal(mask, expected)


def test_oblique_polygons_lie_within_one_outline_of_scikit_image():
    points = [[4.2, 7.1], [50.7, 12.3], [33.3, 51.8], [12.9, 40.2]]
    mask = labelme_mask(annotation(shape(points)))
    xs, ys = np.floor(points).T  # a point lies in the pixel it falls into
    expected = np.zeros((60, 60), bool)
    expected[fill_polygon(ys, xs, expected.shape)] = True
    assert (expected & ~mask).sum() <= 3
    perimeter = np.linalg.norm(np.diff([*points, points[0]], axis=0), axis=1).sum()
    assert mask.sum() - expected.sum() <= perimeter


@pytest.mark.parametrize(
    "points", [[[10, 20], [30, 25]], [[30, 25], [10, 20]], [[10, 25], [30, 20]]]
)
def test_rectangles_take_their_corners_in_any_order(points):
    mask = labelme_mask(annotation(shape(points, "rectangle")))
    assert mask.sum() == 21 * 6
    assert mask[20:26, 10:31].all()


def test_rectangles_of_other_tools_have_four_points():
    points = [[10, 20], [30, 20], [30, 25], [10, 25]]
    assert labelme_mask(annotation(shape(points, "rectangle"))).sum() == 21 * 6


def test_an_oriented_rectangle_is_a_filled_quadrilateral():
    points = [[5, 20], [20, 5], [35, 20], [20, 35]]
    mask = labelme_mask(annotation(shape(points, "oriented_rectangle")))
    np.testing.assert_array_equal(mask, labelme_mask(annotation(shape(points))))


@pytest.mark.parametrize("radius", [5, 10, 20])
def test_a_circle_goes_through_the_point_on_its_rim(radius):
    mask = labelme_mask(annotation(shape([[30, 30], [30 + radius, 30]], "circle")))
    inside = np.zeros((60, 60), bool)
    inside[disk((30, 30), radius, shape=inside.shape)] = True
    assert not (inside & ~mask).any()
    assert np.pi * radius**2 <= mask.sum() <= np.pi * (radius + 1) ** 2
    np.testing.assert_array_equal(mask[1:, 1:], mask[1:, 1:][::-1, ::-1])


def test_lines_and_points_have_the_width_that_is_asked_for():
    line = annotation(shape([[10, 20], [50, 20]], "line"))
    assert labelme_mask(line).sum() == 41
    assert labelme_mask(line, line_width=3).sum() == 3 * 41
    strip = annotation(shape([[10, 20], [50, 20], [50, 40]], "linestrip"))
    assert labelme_mask(strip).sum() == 41 + 20  # open: the ends are not joined
    point = annotation(shape([[30, 30]], "point"))
    assert labelme_mask(point, point_radius=0).sum() == 1
    assert labelme_mask(point, point_radius=5).sum() == 97
    both = annotation(shape([[10, 10], [40, 40]], "points"))
    assert labelme_mask(both, point_radius=5).sum() == 2 * 97


def test_a_mask_shape_is_pasted_at_its_box():
    part = np.random.default_rng(0).integers(0, 2, (7, 9)).astype(np.uint8)
    mask = labelme_mask(annotation(shape([[11, 5], [19, 11]], "mask", mask=png(part))))
    np.testing.assert_array_equal(mask[5:12, 11:20], part > 0)
    assert mask.sum() == part.sum()


def test_a_mask_shape_one_pixel_off_is_cut():
    part = np.ones((7, 9), np.uint8)
    mask = labelme_mask(annotation(shape([[54, 55], [62, 62]], "mask", mask=png(part))))
    assert mask.sum() == 6 * 5
    mask = labelme_mask(annotation(shape([[-2, -3], [6, 3]], "mask", mask=png(part))))
    assert mask.sum() == 7 * 4


def test_what_lies_outside_the_image_is_cut_off():
    square = shape([[-10, -10], [30, -10], [30, 30], [-10, 30]])
    assert labelme_mask(annotation(square)).sum() == 961  # 31 * 31 of 41 * 41
    everything = shape([[0, 0], [59, 0], [59, 59], [0, 59]])
    assert labelme_mask(annotation(everything)).all()


def test_a_bow_tie_is_drawn_although_its_signed_area_is_zero():
    mask = labelme_mask(annotation(shape([[10, 10], [30, 30], [30, 10], [10, 30]])))
    assert 400 / 2 <= mask.sum() <= 21 * 21


# --- several shapes ----------------------------------------------------------------------------


def test_shapes_are_united_in_any_order():
    one = shape([[5, 5], [15, 15]], "rectangle")
    two = shape([[10, 10], [20, 20]], "rectangle", "dog")
    far = shape([[40, 40], [41, 41]], "rectangle")
    union = labelme_mask(annotation(one, two, far))
    np.testing.assert_array_equal(union, labelme_mask(annotation(far, two, one)))
    assert union.sum() == 121 + 121 - 36 + 4
    assert labelme_mask(annotation(one, two, far), labels=["dog"]).sum() == 121


def test_holes_are_cut_out_of_their_group_or_of_all():
    outer = shape([[10, 10], [29, 29]], "rectangle", group_id=1)
    other = shape([[12, 12], [13, 13]], "rectangle", "dog", group_id=2)
    hole = shape([[12, 12], [15, 15]], "rectangle", "hole", group_id=1)
    mask = labelme_mask(annotation(outer, other, hole))
    assert mask.sum() == 400 - 16 + 4  # the other group is not pierced
    hole_for_all = shape([[12, 12], [15, 15]], "rectangle", "hole")
    assert labelme_mask(annotation(outer, other, hole_for_all)).sum() == 400 - 16


def test_groups_make_instances():
    left = shape([[1, 1], [2, 2]], "rectangle", group_id=1)
    right = shape([[5, 5], [6, 6]], "rectangle", group_id=1)
    alone = shape([[9, 9], [9, 9]], "rectangle")
    instances = labelme_instances(annotation(left, alone, right))
    assert [mask.sum() for mask in instances] == [8, 1]


def test_polarity_says_what_was_outlined():
    square = annotation(shape([[10, 10], [29, 29]], "rectangle"))
    np.testing.assert_array_equal(
        labelme_mask(square, polarity="background"), ~labelme_mask(square)
    )


# --- sizes ---------------------------------------------------------------------------------------


def test_scaling_keeps_the_mean_and_does_not_shift():
    mask = labelme_mask(annotation(shape([[8, 16], [39, 47]], "rectangle"), height=128, width=128))
    small = area_average(mask, 4, 4)
    assert small.mean() == pytest.approx(mask.mean(), abs=1e-7)
    odd = area_average(mask, 5, 7)
    assert odd.mean() == pytest.approx(mask.mean(), abs=1e-6)
    np.testing.assert_allclose(area_average(mask[:, ::-1], 5, 7), odd[:, ::-1], atol=1e-6)
    row = area_average(np.array([[1, 0, 0]]), 1, 2)
    np.testing.assert_allclose(row, [[2 / 3, 0]], atol=1e-7)


@pytest.mark.parametrize(("old", "new"), [((10, 15), (4, 6)), ((3, 8), (7, 5)), ((64, 9), (3, 9))])
def test_area_average_is_the_mean_over_a_common_grid(old, new):
    """Blown up to their least common multiple, both grids consist of whole cells."""
    values = np.random.default_rng(0).random((2, *old)) > 0.5
    common = [math.lcm(a, b) for a, b in zip(old, new, strict=True)]
    fine = values.repeat(common[0] // old[0], axis=1).repeat(common[1] // old[1], axis=2)
    cells = fine.reshape(2, new[0], common[0] // new[0], new[1], common[1] // new[1])
    wanted = cells.mean(axis=(2, 4)).astype(np.float32)
    np.testing.assert_array_equal(area_average(values, *new), wanted)
    np.testing.assert_allclose(area_average(values.astype(float), *new), wanted, atol=1e-6)


def test_a_mask_drawn_on_an_enlarged_image_comes_back_exactly():
    rng = np.random.default_rng(1)
    mask = rng.random((28, 28)) > 0.6
    large = mask.repeat(8, 0).repeat(8, 1)
    content = annotation(
        shape([[0, 0], [223, 223]], "mask", mask=png(large.astype(np.uint8))), height=224, width=224
    )
    np.testing.assert_array_equal(labelme_mask(content, size=28), mask)
    assert labelme_mask(content, size=(14, 56)).shape == (14, 56)


# --- versions --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_of_the_format_is_read(version, tmp_path):
    image = np.random.default_rng(0).random((20, 30, 3))
    shapes = [shape([[5, 5], [15, 5], [15, 15]]), shape([[20, 5], [25, 9]], "rectangle")]
    path = write_labelme(tmp_path / "1.json", shapes, 20, 30, image=image, version=version)
    content = json.loads(path.read_text())
    assert content["version"] == version
    assert ("lineColor" in content) == (version == "3.16.7")
    assert ("shape_type" in content["shapes"][0]) == (version != "3.16.7")
    assert labelme_mask(path).sum() == 66 + 30


def test_the_size_is_read_off_the_embedded_image_where_it_is_not_said():
    content = labelme_content(
        [shape([[1, 1], [3, 2]], "rectangle")], 20, 30, image=np.zeros((20, 30))
    )
    content |= {"imageHeight": None, "imageWidth": None}
    assert labelme_mask(content).shape == (20, 30)


def test_or_off_the_linked_image_below_the_folder(tmp_path):
    Image.new("L", (30, 20)).save(tmp_path / "cat.png")
    content = annotation(shape([[1, 1], [3, 2]], "rectangle"), height=None, imagePath=r".\cat.png")
    path = tmp_path / "cat.json"
    path.write_text(json.dumps(content))
    assert labelme_mask(path).shape == (20, 30)


# --- what is refused -----------------------------------------------------------------------------

GOOD = shape([[1, 1], [9, 9]], "rectangle")
BAD = {
    "no LabelMe file": [1, 2],
    "is no LabelMe file": {"images": [], "annotations": []},
    "holds no shapes": annotation(),
    "a polygon without area": annotation(shape([[1, 1], [2, 2], [5, 5]])),
    "an? oriented rectangle without area": annotation(
        shape([[1, 1], [2, 2], [5, 5], [3, 3]], "oriented_rectangle")
    ),
    "not finite": annotation(shape([[1, float("nan")], [2, 2], [5, 9]])),
    "farther than 10 times": annotation(shape([[1, 1e9], [2, 2], [5, 9]])),
    r"list of \[x, y\]": annotation(shape([[1], [2, 2], [5, 9]])),
    "needs at least 3 points": annotation(shape([[1, 1], [2, 2]])),
    "a circle needs 2 points": annotation(shape([[1, 1]], "circle")),
    "unknown type 'spline'": annotation(shape([[1, 1]], "spline")),
    "must be a JSON object": annotation(7),
    "holds no mask picture": annotation(shape([[1, 1], [2, 2]], "mask")),
    "no base64": annotation(shape([[1, 1], [2, 2]], "mask", mask="%%%")),
    "no image that can be read": annotation(shape([[1, 1], [2, 2]], "mask", mask="aGVsbG8=")),
    "in a box of": annotation(shape([[1, 1], [9, 9]], "mask", mask=png(np.ones((2, 2), np.uint8)))),
    "must be whole numbers": annotation(GOOD, height=3.5),
    "Received: inf and": annotation(GOOD, height=float("inf")),
    r"Received: 100000000000\d* and": annotation(GOOD, height=10**400),
    "group_id": annotation(shape([[1, 1], [9, 9]], "rectangle", group_id="a")),
    "more than 90,000,000": annotation(GOOD, height=10**4, width=10**4),
    "more than 65,535": annotation(GOOD, height=1, width=90_000_000),  # it stalled a whole import
    "at most 10,000 are drawn": annotation(*[GOOD] * 10_001),
    "would take minutes to draw": annotation(
        *(GOOD | {"group_id": group} for group in range(100)), height=9_000, width=9_000
    ),
    "cover no pixel": annotation(shape([[70, 70], [80, 80]], "rectangle")),
    "neither the size": annotation(GOOD, height=None),
    "picture inside is no image": annotation(GOOD, imageData="aGVsbG8="),
    "contradict|but the image in it": annotation(GOOD, imageData=png(np.zeros((5, 5), np.uint8))),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_bad_files_get_one_clear_line(message, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(BAD[message]))
    with pytest.raises(ValueError, match=message) as caught:
        labelme_mask(path)
    assert "\n" not in str(caught.value)


def test_truncated_files_are_named(tmp_path):
    path = write_labelme(tmp_path / "cut.json", [GOOD], 20, 20)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"cut\.json is truncated or no JSON"):
        labelme_mask(path)
    path.write_bytes(b"\xff\xfe\x00" + bytes(range(200, 256)))
    with pytest.raises(ValueError, match="truncated or no JSON"):
        labelme_mask(path)
    path.write_text("[" * 200_000)
    with pytest.raises(ValueError, match="truncated or no JSON"):
        labelme_mask(path)
    with pytest.raises(FileNotFoundError, match="no LabelMe file"):
        labelme_mask(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("image_path", "message"),
    [
        ("/etc/secret.png", "absolute"),
        (r"C:\secret.png", "absolute"),
        ("../secret.png", "outside its folder"),
        (r"..\secret.png", "outside its folder"),
        ("link.png", "outside its folder"),
        ("missing.png", "not there"),
        ("zero\0byte.png", "by no path"),
        ("long" * 2000 + ".png", "by no path|not there"),
    ],
)
def test_paths_are_never_followed_out_of_the_folder(image_path, message, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    Image.new("L", (30, 20)).save(tmp_path / "secret.png")
    (inner / "link.png").symlink_to(tmp_path / "secret.png")
    path = inner / "1.json"
    path.write_text(json.dumps(annotation(GOOD, height=None, imagePath=image_path)))
    with pytest.raises(ValueError, match=message):
        labelme_mask(path)


def test_a_bomb_is_not_unpacked():
    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = (60_000).to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    packed = zlib.compress(bytes(10**6))
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
    data = base64.b64encode(bomb).decode()
    with pytest.raises(ValueError, match="would unpack to 60000x60000|no image that can be read"):
        labelme_mask(annotation(GOOD, imageData=data))
    with pytest.raises(ValueError, match="would unpack to 60000x60000|no image that can be read"):
        labelme_mask(annotation(shape([[0, 0], [9, 9]], "mask", mask=data)))


def test_labels_that_do_not_occur_are_answered_with_those_that_do():
    with pytest.raises(ValueError, match=r"any of \['bird'\].* has: 'cat'"):
        labelme_mask(annotation(GOOD), labels=["bird"])
    with pytest.raises(TypeError, match="lists of labels"):
        labelme_mask(annotation(GOOD), labels="cat")
    with pytest.raises(ValueError, match="polarity"):
        labelme_mask(annotation(GOOD), polarity="both")
