"""Settings are read once, from `SEEDLIFT_*` variables, into one frozen Struct; an unknown name is refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)
PREFIX = "SEEDLIFT_"
FOR_THE_BOOTSTRAP = frozenset({"SEEDLIFT_ROOT"})
"""Set by the `seedlift` script itself, for the command only."""


class BadSettings(Exception):
    """A variable is unknown, missing or unreadable; the message names it."""


def read(kind: type[S], environ: Mapping[str, str]) -> S:
    given = {k: v for k, v in environ.items() if k.startswith(PREFIX) and k not in FOR_THE_BOOTSTRAP}
    fields = {PREFIX + f.name.upper(): f for f in msgspec.structs.fields(kind)}
    if unknown := sorted(given.keys() - fields.keys()):
        raise BadSettings(f"unknown setting {', '.join(unknown)}; known are {', '.join(sorted(fields))}")
    missing = sorted(name for name, f in fields.items() if f.required and name not in given)
    if missing:
        raise BadSettings(f"missing setting {', '.join(missing)}")
    values = {}
    for name, text in given.items():
        try:
            values[fields[name].name] = msgspec.convert(text, fields[name].type, strict=False, dec_hook=_path)
        except msgspec.ValidationError as bad:
            raise BadSettings(f"{name}={text!r}: {bad}") from None
    return kind(**values)


def _path(kind: type[Any], text: str) -> Path:
    """The one type of ours that msgspec does not know."""
    if kind is not Path:
        raise NotImplementedError(kind)
    return Path(text)
