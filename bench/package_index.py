"""A distribution's file from the person's own package index, as data: nothing of it runs.

pip does the talking, so that its settings hold: index, mirrors, certificates, proxies, passwords.
It asks a source distribution for its metadata, however, by running it. So here pip is given a
stand-in for the build system that copies what the file says of itself in PKG-INFO; `setup.py` is
never run. The hash is compared before that.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.errors import BenchError
from bench.inputs import printable

LIMIT_S = 900.0
STAND_IN = """
from pathlib import Path


class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None):
        return []

    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        said = Path("PKG-INFO").read_text(encoding="utf-8")
        fields = dict(line.split(": ", 1) for line in said.splitlines() if ": " in line)
        name = fields["Name"].replace("-", "_")
        folder = Path(metadata_directory) / f"{name}-{fields['Version']}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(said, encoding="utf-8")
        return folder.name


get_requires_for_build_wheel = __legacy__.get_requires_for_build_wheel
prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
"""
"""Build system in place of setuptools: the two questions that pip asks of a source distribution."""
SOURCE = ("--no-binary", ":all:", "--use-pep517", "--no-build-isolation")
WHEEL = ("--only-binary", ":all:")


def download(requirement: str, sha256: str, target: Path) -> None:
    """Put the file of one distribution, of this sha256, at `target`.

    Args:
        requirement: "name==version".
        sha256: Of the file.
        target: Its place; the name says whether it is a wheel or a source distribution.

    Raises:
        BenchError: If pip is not there or does not deliver it.
    """
    with tempfile.TemporaryDirectory(prefix="bench-fetch-") as name:
        folder = Path(name)
        stand_in = folder / "stand-in" / "setuptools"
        stand_in.mkdir(parents=True)
        (stand_in / "__init__.py").touch()
        (stand_in / "build_meta.py").write_text(STAND_IN, encoding="utf-8")
        wanted = folder / "wanted.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
        got = folder / "got"
        form = WHEEL if target.suffix == ".whl" else SOURCE
        _pip(requirement, stand_in.parent, [*form, "-r", str(wanted), "-d", str(got)])
        files = list(got.iterdir()) if got.is_dir() else []
        if len(files) != 1:
            raise BenchError(f"{requirement}: pip brought {len(files)} files, expected one")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(files[0].read_bytes())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def _pip(requirement: str, stand_in: Path, words: list[str]) -> None:
    """Run `pip download` on one requirement.

    Raises:
        BenchError: If it fails; with the last line that it wrote.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input"]
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(stand_in), *([before] if before else [])])
    try:
        done = subprocess.run(
            [*command, "--disable-pip-version-check", "--require-hashes", *words],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{requirement}: pip did not answer ({printable(error, 100)})") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or [done.stderr]
        raise BenchError(f"{requirement}: pip says: {printable(lines[-1].strip(), 200)}")
