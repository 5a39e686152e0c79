"""Archives from strangers: what they name lands in their own folder or not at all."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from shoal.conf.loading import load
from shoal.conf.sections import IngestConf
from shoal.errors import InputError
from shoal.ingest.formats.archives import LABEL, archives_of, unpack


def conf(**sets: object) -> IngestConf:
    return load("local", [f"{key}={value}" for key, value in sets.items()], "ingest").ingest


def make(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return str(path)


def files_below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != LABEL)


def test_a_sound_archive_is_a_folder_below_the_lake(tmp_path: Path) -> None:
    given = make(tmp_path / "a.zip", ("me/likes.json", b"[]"), ("me/media/", b""), ("me/media/1.jpg", b"\xff\xd8"))
    folder = unpack(given, tmp_path / "lake", conf())
    assert folder.parent == tmp_path / "lake" / ".landing"
    assert files_below(folder) == ["me/likes.json", "me/media/1.jpg"]
    assert (folder / "me/media/1.jpg").read_bytes() == b"\xff\xd8"


def test_an_archive_is_labelled_with_its_own_name_whatever_it_holds(tmp_path: Path) -> None:
    given = make(tmp_path / "instagram-ann-2024-01-01.zip", (LABEL, b'{"archive": "another"}'))
    assert (unpack(given, tmp_path / "lake", conf()) / LABEL).read_text() == '{"archive": "instagram-ann-2024-01-01.zip"}'


def test_the_archives_of_a_folder_are_those_that_are_not_hidden(tmp_path: Path) -> None:
    for name in ("b.ZIP", "in/a.zip", ".c.zip", "_d/e.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        make(tmp_path / name, ("x.json", b"[]"))
    (tmp_path / "folder.zip").mkdir()
    assert archives_of(str(tmp_path)) == [str(tmp_path / "b.ZIP"), str(tmp_path / "in/a.zip")]
    assert archives_of(str(tmp_path / "b.ZIP")) == [str(tmp_path / "b.ZIP")]
    assert archives_of(str(tmp_path / "none")) == []


def test_the_same_archive_is_unpacked_once(tmp_path: Path) -> None:
    given = make(tmp_path / "a.zip", ("x.json", b"[]"))
    folder = unpack(given, tmp_path / "lake", conf())
    (folder / "x.json").write_bytes(b"as it was")
    assert unpack(given, tmp_path / "lake", conf()) == folder
    assert (folder / "x.json").read_bytes() == b"as it was"


def test_what_a_killed_run_left_is_cleared_and_done_again(tmp_path: Path) -> None:
    given = make(tmp_path / "a.zip", ("x.json", b"[]"))
    folder = unpack(given, tmp_path / "lake", conf())
    # A process of this number does not exist: the kernel's largest is 4194304.
    folder.rename(folder.with_name(f"{folder.name}.4999999.partial"))
    assert unpack(given, tmp_path / "lake", conf()) == folder
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def link(name: str) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system = 3
    made.external_attr = (stat.S_IFLNK | 0o777) << 16
    return made


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/etc/passwd", "'/etc/passwd': an absolute name"),
        ("C:/windows", "'C:/windows': an absolute name"),
        ("a/../../b", "'a/../../b': a name with '..' in it"),
        ("..", "'..': a name with '..' in it"),
        ("..\\b", "a name with '..' in it"),
        ("a\\b", "a name with a backslash"),
        ("a\x07b", "control character"),
        (link("a"), "'a': a symbolic link"),
    ],
)
def test_a_name_that_leads_outside_is_refused_and_nothing_lands(tmp_path: Path, name: str | zipfile.ZipInfo, says: str) -> None:
    given = make(tmp_path / "a.zip", ("good.json", b"[]"), (name, b"/etc/passwd"))
    with pytest.raises(InputError) as reported:
        unpack(given, tmp_path / "lake", conf())
    assert says in str(reported.value)
    assert "\n" not in str(reported.value)
    assert files_below(tmp_path) == ["a.zip"]


def test_a_bomb_is_refused_by_its_ratio_its_size_and_its_members(tmp_path: Path) -> None:
    given = make(tmp_path / "a.zip", ("ok.json", b"[]"), ("bomb.json", b"0" * (4 << 20)))
    with pytest.raises(InputError, match=r"member 'bomb\.json': .* more than zip_max_ratio=200 times"):
        unpack(given, tmp_path / "lake", conf())
    with pytest.raises(InputError, match=r"member 'bomb\.json': with it the archive unpacks to 4,194,306 bytes"):
        unpack(given, tmp_path / "lake", conf(zip_max_ratio=10000, zip_max_bytes=1000))
    with pytest.raises(InputError, match="2 members, more than zip_max_members=1"):
        unpack(given, tmp_path / "lake", conf(zip_max_members=1))
    assert files_below(tmp_path) == ["a.zip"]


def test_an_entry_that_lies_about_its_size_is_stopped(tmp_path: Path) -> None:
    given = Path(make(tmp_path / "a.zip", ("b.json", b"0" * 5000)))
    data = given.read_bytes()
    at = data.index(b"PK\x01\x02")
    given.write_bytes(data[: at + 24] + (10).to_bytes(4, "little") + data[at + 28 :])
    with pytest.raises(InputError, match=r"member 'b\.json': damaged"):
        unpack(str(given), tmp_path / "lake", conf())
    assert files_below(tmp_path) == ["a.zip"]


def test_a_damaged_or_doubled_member_is_named(tmp_path: Path) -> None:
    given = Path(make(tmp_path / "a.zip", ("a.json", b"[1, 2, 3]" * 100)))
    data = bytearray(given.read_bytes())
    data[45] ^= 0xFF
    given.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"member 'a\.json': damaged"):
        unpack(str(given), tmp_path / "lake", conf())
    with pytest.warns(UserWarning, match="Duplicate name"):
        twice = make(tmp_path / "b.zip", ("a", b"1"), ("a", b"2"))
    with pytest.raises(InputError, match="member 'a': the name is there twice"):
        unpack(twice, tmp_path / "lake", conf())
    both = make(tmp_path / "c.zip", ("a", b"1"), ("a/b", b"2"))
    with pytest.raises(InputError, match="member 'a/b': a file and a folder of one name"):
        unpack(both, tmp_path / "lake", conf())
    (tmp_path / "d.zip").write_bytes(b"not a zip")
    with pytest.raises(InputError, match=r"d\.zip: not a sound \.zip file"):
        unpack(str(tmp_path / "d.zip"), tmp_path / "lake", conf())
