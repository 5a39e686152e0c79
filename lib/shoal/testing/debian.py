"""Programs of Debian that tests run beside Shoal (Prometheus and what belongs to it), unpacked into the virtual environment.

Nothing is installed and no daemon starts: `apt-get download` fetches the packages, `dpkg -x` unpacks them into a folder. They are
static but for the C library. On a machine without apt-get, or without lists of packages, the tests that need them are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from shoal.errors import TransientError

PACKAGES = ("prometheus", "prometheus-alertmanager", "prometheus-pushgateway")
PROGRAMS = ("promtool", "prometheus", "prometheus-alertmanager", "amtool", "prometheus-pushgateway")
FOLDER = Path(sys.prefix) / "share" / "shoal-debian"


def program(name: str) -> str | None:
    """The path of one of PROGRAMS: that of the PATH, else the one that `bring` has unpacked; None where there is neither."""
    unpacked = FOLDER / "usr" / "bin" / name
    return shutil.which(name) or (str(unpacked) if unpacked.is_file() else None)


def command(name: str, *arguments: str) -> list[str] | None:
    """The command that runs one of PROGRAMS; None where it, or what it needs, is not there.

    Alertmanager reads its templates below /usr/share: where it is not installed, it sees the unpacked folder there, in a mount
    namespace of its own.
    """
    found = program(name)
    if found is None:
        return None
    share = FOLDER / "usr" / "share"
    if name != "prometheus-alertmanager" or not found.startswith(str(FOLDER)):
        return [found, *arguments]
    apart = ["unshare", "--map-root-user", "--mount", "sh", "-c", 'mount --bind "$0" /usr/share && exec "$@"', str(share)]
    if shutil.which("unshare") is None or _run([*apart, "true"], FOLDER).returncode:
        return None
    return [*apart, found, *arguments]


def bring() -> None:
    """Fetch and unpack PACKAGES, where a program of them is missing; the lists of packages are fetched where they are not there and
    the user may. Raises TransientError, one line, where they cannot be had."""
    if all(program(name) for name in PROGRAMS):
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise TransientError(f"no apt-get: install {', '.join(PACKAGES)} by hand to run the tests that need them")
    with tempfile.TemporaryDirectory(prefix="shoal-debian-") as name:
        place = Path(name)
        place.chmod(0o755)
        done = _run(["apt-get", "download", "-qq", *PACKAGES], place)
        if done.returncode and os.geteuid() == 0:
            _run(["apt-get", "update", "-qq"], place)
            done = _run(["apt-get", "download", "-qq", *PACKAGES], place)
        packages = sorted(place.glob("*.deb"))
        if done.returncode or not packages:
            raise TransientError(f"apt-get download {' '.join(PACKAGES)}: {' '.join(done.stderr.split())[-300:]}")
        for package in packages:
            _run(["dpkg", "-x", str(package), str(place / "tree")], place).check_returncode()
        FOLDER.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(FOLDER, ignore_errors=True)
        shutil.move(place / "tree", FOLDER)


def _run(command: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=180)


def main() -> int:
    """Bring them. What cannot be had is one line and no failure: the tests say that they were skipped."""
    try:
        bring()
    except (TransientError, subprocess.SubprocessError, OSError) as error:
        sys.stderr.write(f"shoal: Debian's programs for tests are not there: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
