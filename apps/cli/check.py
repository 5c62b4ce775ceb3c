"""`seedlift check`: everything that can be said about the code without running it."""

import subprocess
import sys
import time
from pathlib import Path

from cli.programs import ROOT, refuse

BIN = Path(sys.executable).parent
CHECKS: dict[str, list[list[str]]] = {
    "lint": [[str(BIN / "ruff"), "check"], [str(BIN / "ruff"), "format", "--check"]],
    "types": [[str(BIN / "mypy")]],
    "contracts": [[str(BIN / "lint-imports")]],
    "map": [[sys.executable, "-m", "tests.support.archmap", "--check"]],
    "docs": [[sys.executable, "-m", "tests.support.docs"]],
    "lock": [[sys.executable, "-m", "cli", "lock", "--check"]],
}
"""By name, the programs that must all end with 0, in the project's folder."""


def check(name: str | None = None, /) -> None:
    """Check lint, types, import contracts, docs and lock; or only one of them. Exit code 1 if anything is wrong.

    Parameters
    ----------
    name
        lint, types, contracts, map, docs or lock. Default: all.
    """
    if name is not None and name not in CHECKS:
        refuse(f"there is no check {name!r}; there are: {', '.join(CHECKS)}.")
    good = [_passes(each) for each in CHECKS if name in (None, each)]
    sys.exit(0 if all(good) else 1)


def _passes(name: str) -> bool:
    began = time.monotonic()
    for argv in CHECKS[name]:
        result = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            print(result.stdout.rstrip())
            print(f"{name}: failed ({' '.join([Path(argv[0]).name, *argv[1:]])})", flush=True)
            return False
    print(f"{name}: ok ({time.monotonic() - began:.1f} s)", flush=True)
    return True
