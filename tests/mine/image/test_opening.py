"""Each kind of bad and odd picture has its status; pictures are made in the test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shoal.mine.image.features import features_of
from shoal.mine.image.opening import Limits, open_bytes, open_file

LIMITS = Limits(max_pixels=2_000_000, max_file_bytes=1_000_000)


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def write_bad(folder: Path) -> dict[str, str]:
    """Name -> the status that the file of this name in `folder` must have."""
    noise(300, 200).save(folder / "cut.jpg")
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:3000])
    (folder / "words.jpg").write_text("no picture at all")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "folder.jpg").mkdir()
    # One colour: 36 million pixels in some 40 KB; noise of the same limit in megabytes.
    Image.new("1", (30_000, 1_200)).save(folder / "bomb.png")
    noise(2_000, 1_001).save(folder / "wide.jpg", quality=1)
    (folder / "heavy.bmp").write_bytes(b"BM" + bytes(1_000_000))
    return {
        "cut.jpg": "unreadable", "words.jpg": "unreadable", "empty.jpg": "unreadable", "folder.jpg": "unreadable",
        "bomb.png": "bomb", "wide.jpg": "too_large", "heavy.bmp": "too_large", "gone.jpg": "missing",
    }  # fmt: skip


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    expected = write_bad(tmp_path)
    found = {name: open_file(str(tmp_path / name), LIMITS) for name in expected}
    assert {name: one.status for name, one in found.items()} == expected
    assert all(one.picture is None for one in found.values())
    assert (found["bomb.png"].width, found["bomb.png"].height) == (30_000, 1_200)
    # Beyond what Pillow itself would open.
    Image.new("1", (30_000, 12_000)).save(tmp_path / "huge.png")
    assert open_file(str(tmp_path / "huge.png"), LIMITS).status == "bomb"
    assert open_file("no\0path.jpg", LIMITS).status in ("missing", "unreadable")


def test_odd_pictures_are_opened(tmp_path: Path) -> None:
    base = noise(40, 30)
    base.save(tmp_path / "plain.png")
    base.convert("CMYK").save(tmp_path / "cmyk.jpg")
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    grey = np.full((30, 40), 128 << 8, np.uint16)
    Image.fromarray(grey).save(tmp_path / "sixteen.png")
    Image.new("RGBA", (40, 30), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.new("L", (30_000, 2), 9).save(tmp_path / "thin.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    base.save(tmp_path / "turned.png", exif=exif)
    found = {path.name: open_file(str(path), LIMITS) for path in tmp_path.iterdir()}
    assert {one.status for one in found.values()} == {"ok"}
    pictures = {name: np.asarray(one.picture) for name, one in found.items()}
    assert pictures["moving.gif"][0, 0].tolist() == [255, 0, 0]
    assert np.unique(pictures["sixteen.png"]).tolist() == [128]
    assert np.unique(pictures["clear.png"]).tolist() == [255]
    # Orientation 6: the camera was turned; upright is a quarter turn to the right.
    np.testing.assert_array_equal(pictures["turned.png"], np.rot90(np.asarray(base), -1))
    assert (found["turned.png"].width, found["turned.png"].height) == (30, 40)
    assert (found["thin.png"].width, found["thin.png"].format) == (30_000, "PNG")
    for one in found.values():
        assert one.picture is not None and features_of(one.picture)["brightness"] >= 0


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    noise(8, 8).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert open_bytes(data, LIMITS).content_hash == open_file(str(tmp_path / "a.png"), LIMITS).content_hash
    assert open_bytes(data + b"\0", LIMITS).content_hash != open_bytes(data, LIMITS).content_hash
    assert open_bytes(data, Limits(63, 1000)).status == "too_large"


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 5), (3, 3)])
def test_the_smallest_pictures_have_features(size: tuple[int, int]) -> None:
    found = features_of(noise(*size))
    assert all(np.isfinite(value) for value in found.values() if isinstance(value, float))
