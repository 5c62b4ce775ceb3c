"""`seedlift lock`: writes requirements.lock anew from pyproject.toml."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from cli.programs import ROOT, refuse

LOCK = ROOT / "requirements.lock"
OPTIONS = [
    "--universal", "--python-version", "3.11", "--generate-hashes", "--all-extras",
    "--no-emit-index-url", "--no-emit-find-links", "--quiet", "--custom-compile-command", "./seedlift lock",
]  # fmt: skip
ADDRESSES = ("://", "--index-url", "--extra-index-url", "--find-links")


def lock(*, upgrade: bool = False, check: bool = False) -> None:
    """Resolve all packages and write requirements.lock.

    Parameters
    ----------
    upgrade
        Take the newest versions that fit, instead of keeping the locked ones where they still do.
    check
        Write nothing; say whether the lock fits pyproject.toml and names no index.
    """
    if check:
        wrong = complaints(LOCK.read_text(), (ROOT / "pyproject.toml").read_text())
        sys.exit("\n".join(wrong) or 0)
    argv = [_uv(), "pip", "compile", "pyproject.toml", "--output-file", LOCK.name, *OPTIONS]
    result = subprocess.run([*argv, *(["--upgrade"] if upgrade else [])], cwd=ROOT)
    if result.returncode != 0:
        sys.exit(result.returncode)
    if found := addresses(LOCK.read_text()):
        refuse(f"the lock names where packages came from, which is this machine's business: {found[0]}")


def addresses(text: str) -> list[str]:
    """Lines that name a package index."""
    return [line for line in text.splitlines() if any(each in line for each in ADDRESSES)]


def complaints(locked: str, project: str) -> list[str]:
    """Without the network: names and hashes are compared, versions are uv's business when it installs."""
    about = tomllib.loads(project)["project"]
    wanted = {_name(each) for each in about["dependencies"]}
    wanted |= {_name(each) for extra in about["optional-dependencies"].values() for each in extra}
    entries = re.split(r"\n(?=[a-z0-9])", locked)
    ours = {_name(entry) for entry in entries if f"{about['name']} (pyproject.toml)" in entry}
    return [
        *(f"the lock says where a package comes from: {line}" for line in addresses(locked)),
        *(f"{name} is in pyproject.toml and not in the lock: run ./seedlift lock" for name in sorted(wanted - ours)),
        *(f"{name} is locked and not in pyproject.toml: run ./seedlift lock" for name in sorted(ours - wanted)),
        *(
            f"{_name(entry)} is locked without a hash"
            for entry in entries
            if "==" in entry and "--hash=sha256:" not in entry
        ),
    ]


def _name(requirement: str) -> str:
    """As indexes spell it: lower case, one kind of dash."""
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")


def _uv() -> str:
    beside = Path(sys.executable).parent / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    return found or refuse("uv is not installed: run ./seedlift from a clean clone, which brings it.")
