"""How a verb becomes another program: this process is replaced, so signals and exit code are the program's own."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
OURS_ALONE = ("SEEDLIFT_URL", "SEEDLIFT_API_KEY")
"""Read by `fleet` here; the programs would refuse them as unknown."""


def become(module: str, *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> NoReturn:
    """`python -m <module> …`"""
    environ = {name: value for name, value in os.environ.items() if name not in OURS_ALONE} | dict(env or {})
    if cwd is not None:
        os.chdir(cwd)
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", module, *arguments], environ)


def refuse(sentence: str, code: int = 1) -> NoReturn:
    print(f"seedlift: {sentence}", file=sys.stderr)
    sys.exit(code)
