"""Features of pictures against values by hand, scikit-learn, scipy and the package imagehash."""

from __future__ import annotations

import colorsys
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from shoal.mine.image.colours import colourfulness, contrast, dominant_colours, histogram, lab, saturation
from shoal.mine.image.features import features_of
from shoal.mine.image.hashes import difference_hash, perceptual_hash
from shoal.mine.image.opening import Limits, open_file
from shoal.mine.image.texture import PATTERNS, co_occurrence, edge_orientations, gradients, local_patterns, sharpness

LIMITS = Limits(60_000_000, 1 << 26)


def scene(seed: int, width: int = 160, height: int = 120) -> Image.Image:
    """A few smooth shapes, as pictures have."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def test_lab_is_that_of_the_standard() -> None:
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [119, 119, 119]], np.float64)
    # The published values of the sRGB primaries under D65.
    expected = [[53.24, 80.09, 67.20], [87.73, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0], [0, 0, 0], [50.03, 0, 0]]
    np.testing.assert_allclose(lab(rgb), expected, atol=0.02)


def test_dominant_colours_have_their_shares_in_any_order_of_pixels() -> None:
    pixels = np.array([[255, 0, 0]] * 50 + [[254, 2, 0]] * 10 + [[0, 0, 255]] * 30 + [[255, 255, 255]] * 10, np.uint8)
    picture = Image.fromarray(pixels.reshape(10, 10, 3))
    found = dominant_colours(picture)
    assert [(one.colour, round(one.share, 3)) for one in found][:1] == [("#ff0000", 0.5)]
    assert sum(one.share for one in found) == pytest.approx(1)
    assert {one.colour for one in found} == {"#ff0000", "#fe0200", "#0000ff", "#ffffff"}
    shuffled = np.random.default_rng(3).permutation(np.asarray(scene(1, 16, 12)).reshape(-1, 3))
    assert dominant_colours(Image.fromarray(shuffled.reshape(12, 16, 3))) == dominant_colours(scene(1, 16, 12))
    assert [one.colour for one in dominant_colours(Image.new("RGB", (3, 3), "#123456"))] == ["#123456"]


def test_groups_of_colours_are_those_of_k_means() -> None:
    from sklearn.cluster import KMeans

    picture = scene(5, 24, 18)
    shares = sorted(one.share for one in dominant_colours(picture))
    points = lab(np.asarray(picture).reshape(-1, 3).astype(float))
    best = KMeans(len(shares), n_init=30, random_state=0).fit(points)
    # A local optimum, but no bad one: its groups are as tight within a twentieth.
    from shoal.mine.image.colours import _groups

    group = _groups(points, np.ones(len(points)))
    spread = sum(((points[group == n] - points[group == n].mean(axis=0)) ** 2).sum() for n in np.unique(group))
    assert spread <= best.inertia_ * 1.2


def test_light_and_colour_by_hand() -> None:
    half = Image.new("RGB", (10, 10), "black")
    half.paste("white", (0, 0, 5, 10))
    luma = np.asarray(half.convert("L")).astype(float)
    found = features_of(half)
    assert (found["brightness"], found["contrast"]) == (0.5, 0.5)
    assert (contrast(luma * 0 + 7), saturation(half), colourfulness(half)) == (0.0, 0.0, 0.0)
    red = Image.new("RGB", (4, 4), (200, 100, 100))
    assert saturation(red) == pytest.approx(colorsys.rgb_to_hsv(200, 100, 100)[1] / 1, abs=0.003)
    # rg = 100, yb = 50 everywhere: .3 x the length of their means.
    assert colourfulness(red) == pytest.approx(0.3 * np.hypot(100, 50))
    assert histogram(Image.new("RGB", (4, 4), (255, 0, 0)))[8] == 1


def test_sharpness_falls_with_blur() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(float)
    from scipy.ndimage import laplace, uniform_filter

    assert sharpness(grey) == pytest.approx(laplace(grey)[1:-1, 1:-1].var())
    assert sharpness(uniform_filter(grey, 3)) < sharpness(grey) / 10


def test_local_patterns_by_hand() -> None:
    flat = local_patterns(np.full((5, 5), 9.0))
    # All eight neighbours are as light: code 255, the last uniform pattern.
    assert np.flatnonzero(flat).tolist() == [PATTERNS - 2] and flat.sum() == 1
    spot = np.zeros((3, 3))
    spot[1, 1] = 1
    assert np.flatnonzero(local_patterns(spot)).tolist() == [0]
    checker = np.indices((3, 3)).sum(axis=0) % 2.0
    checker[1, 1] = 1
    # Ones at every second place of the ring: eight changes, no uniform pattern.
    assert np.flatnonzero(local_patterns(checker)).tolist() == [PATTERNS - 1]
    assert local_patterns(np.random.default_rng(1).random((9, 11)) * 255, 3).reshape(9, -1).sum(axis=1) == pytest.approx(1)


def test_co_occurrence_by_hand() -> None:
    assert co_occurrence(np.full((4, 4), 200.0)) == (0.0, 1.0, 1.0, 1.0, 0.0)
    # Two columns of levels 0 and 1. Along a row 2 pairs differ, down 1 + 1 pairs are equal, and of each diagonal 1 differs.
    found = co_occurrence(np.array([[0.0, 16.0], [0.0, 16.0]]))
    assert found.contrast == pytest.approx(4 / 6)
    assert found.homogeneity == pytest.approx((2 + 4 / 2) / 6)
    assert found.energy == pytest.approx(((4 / 12) ** 2 * 2 + (2 / 12) ** 2 * 2) ** 0.5)
    assert found.correlation == pytest.approx(1 / 3 - 2 / 3)
    assert found.entropy == pytest.approx(-(2 * (1 / 3) * np.log2(1 / 3) + 2 * (1 / 6) * np.log2(1 / 6)))


def test_gradients_know_which_way_edges_run() -> None:
    upright = np.tile(np.arange(32) // 4 % 2 * 255.0, (32, 1))
    for turned, orientation in ((upright, 0), (upright.T, 4)):
        cells = gradients(turned, 4, 8)
        assert cells.shape == (4, 4, 8) and (cells[:, :, orientation] > 0).all()
        assert np.delete(cells, orientation, axis=2).sum() == 0
        assert edge_orientations(turned, 8)[orientation] == pytest.approx(1)
    assert not gradients(np.full((8, 8), 3.0), 2, 9).any() and not edge_orientations(np.full((8, 8), 3.0), 9).any()


@pytest.mark.parametrize("seed", range(20))
def test_hashes_are_those_of_the_package(seed: int, tmp_path: Path) -> None:
    scene(seed, 150 + seed, 90 + 3 * seed).save(tmp_path / "a.jpg")
    opened = open_file(str(tmp_path / "a.jpg"), LIMITS).picture
    assert opened is not None
    found = features_of(opened)
    with Image.open(tmp_path / "a.jpg") as picture:
        assert found["difference_hash"] == str(imagehash.dhash(picture))
        assert found["perceptual_hash"] == str(imagehash.phash(picture))


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_the_perceptual_hash_survives_what_people_do_to_pictures(data: Path, tmp_path: Path) -> None:
    files = sorted((data / "clothing_images" / "validation").glob("*/*.jpg"))
    if not files:
        pytest.skip(f"no pictures in {data / 'clothing_images'}")
    pictures = [open_file(str(file), LIMITS).picture for file in files]
    hashes = [perceptual_hash(one.convert("L")) for one in pictures if one is not None]
    near = {"resized": 0, "compressed": 0, "brighter": 0, "cropped": 0}
    for one, before in zip(pictures, hashes, strict=True):
        assert one is not None
        one.save(tmp_path / "a.jpg", quality=20)
        w, h = one.size
        made = {
            "resized": one.resize((w // 2, h // 2), Image.Resampling.BILINEAR), "compressed": Image.open(tmp_path / "a.jpg"),
            "brighter": ImageEnhance.Brightness(one).enhance(1.2),
            "cropped": one.crop((w // 40, h // 40, w - w // 40, h - h // 40)),
        }  # fmt: skip
        for name, other in made.items():
            near[name] += distance(before, perceptual_hash(other.convert("L"))) <= 10
    assert {name: near[name] for name in ("resized", "compressed", "brighter")} == dict.fromkeys(
        ("resized", "compressed", "brighter"), len(files)
    )
    assert near["cropped"] >= 0.95 * len(files)
    pairs = [distance(a, b) <= 10 for n, a in enumerate(hashes) for b in hashes[:n]]
    # One pair of white shoes; over all 500 pictures docs/pictures.md has the rate.
    assert sum(pairs) <= 1
    assert difference_hash(Image.new("L", (20, 20), 7)) == "0" * 16
