"""`seedlift lock`: writes requirements.lock anew from pyproject.toml."""

import shutil
import subprocess
import sys
from pathlib import Path

from cli.programs import ROOT, refuse

LOCK = ROOT / "requirements.lock"
OPTIONS = [
    "--universal", "--python-version", "3.11", "--generate-hashes", "--all-extras",
    "--no-emit-index-url", "--no-emit-find-links", "--quiet", "--custom-compile-command", "./seedlift lock",
]  # fmt: skip
ADDRESSES = ("://", "--index-url", "--extra-index-url", "--find-links")


def lock(*, upgrade: bool = False) -> None:
    """Resolve all packages and write requirements.lock.

    Parameters
    ----------
    upgrade
        Take the newest versions that fit, instead of keeping the locked ones where they still do.
    """
    argv = [_uv(), "pip", "compile", "pyproject.toml", "--output-file", LOCK.name, *OPTIONS]
    result = subprocess.run([*argv, *(["--upgrade"] if upgrade else [])], cwd=ROOT)
    if result.returncode != 0:
        sys.exit(result.returncode)
    if found := addresses(LOCK.read_text()):
        refuse(f"the lock names where packages came from, which is this machine's business: {found[0]}")


def addresses(text: str) -> list[str]:
    """Lines that name a package index."""
    return [line for line in text.splitlines() if any(each in line for each in ADDRESSES)]


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    return found or refuse("uv is not installed: run ./seedlift from a clean clone, which brings it.")
