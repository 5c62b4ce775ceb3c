"""The bot check's challenges: solved by who works, and by nobody else; no part of one can be bent."""

import base64
import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control.accounts import bots
from control.config import Settings
from tests.support.bots import encoded, solve

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for name in ("secret", "previous"):
        (tmp_path / name).write_bytes(name.encode() * 8)
    required = [field.name for field in msgspec.structs.fields(Settings) if field.required]
    given: dict[str, Any] = dict.fromkeys(required, tmp_path) | {
        "secret_file": tmp_path / "secret",
        "bot_check_work": 50,
    }
    return Settings(**given)


def challenge(settings: Settings) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(bots.challenge(settings, NOW))
    return made


def test_who_works_solves_it_until_it_is_too_old(settings: Settings) -> None:
    made = challenge(settings)
    solution = solve(made)
    assert bots.solved(settings, solution, NOW) == made["challenge"]
    late = NOW + dt.timedelta(seconds=bots.LASTS_S)
    assert bots.solved(settings, solution, late - dt.timedelta(seconds=1)) is not None
    assert bots.solved(settings, solution, late) is None


def test_it_outlives_a_change_of_the_secret(settings: Settings) -> None:
    solution = solve(challenge(settings))
    folder = settings.secret_file.parent
    changed = msgspec.structs.replace(settings, secret_file=folder / "previous", previous_secret_file=folder / "secret")
    assert bots.solved(changed, solution, NOW) is not None
    assert bots.solved(msgspec.structs.replace(changed, previous_secret_file=None), solution, NOW) is None


@pytest.mark.parametrize(
    "bent",
    [
        {"number": 51},
        {"number": -1},
        {"number": 1.5},
        {"algorithm": "SHA-1"},
        {"signature": "0" * 64},
        {"signature": "é"},
        {"salt": "0" * 24},
        {"challenge": hashlib.sha256(b"x").hexdigest()},
    ],
)
def test_no_part_of_it_can_be_bent(settings: Settings, bent: dict[str, Any]) -> None:
    solution = challenge(settings) | {"number": 0}
    assert bots.solved(settings, encoded(solution | bent), NOW) is None


def test_a_digit_of_the_number_is_none_of_the_time(settings: Settings) -> None:
    """Else `…expires=17` with 63000 and `…expires=176` with 3000 would be one challenge, good for longer, twice."""
    made = msgspec.json.decode(base64.b64decode(solve(challenge(settings))))
    number = str(made["number"])
    longer = made | {"salt": made["salt"].rstrip("&") + number[0] + "&", "number": int(number[1:] or "0")}
    moved = made | {"salt": made["salt"] + number[0], "number": int(number[1:] or "0")}
    assert bots.solved(settings, encoded(longer), NOW) is None
    assert bots.solved(settings, encoded(moved), NOW) is None


@pytest.mark.parametrize("text", ["", "e30=", "é", "x" * 10_000, "bnVsbA==", "\x00"])
def test_nonsense_is_no_solution(settings: Settings, text: str) -> None:
    assert bots.solved(settings, text, NOW) is None
