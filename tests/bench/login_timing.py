"""Bench `login_timing`: does the time of an answer tell whether an address has an account?

Signing in with a wrong password, forgetting one, registering: each for known and unknown addresses in turn, from an
address of its own each time.

The figure is Kolmogorov and Smirnov's: the largest distance between the two distributions. What two samples of the same
distribution exceed once in a hundred times is the target.
"""

import asyncio
import math
import secrets
import statistics
import time
from bisect import bisect_right
from collections.abc import Callable

import httpx
from msgspec import Struct

from tests.support import report, up
from tests.support.folders import open_folder
from tests.support.report import Figure

KNOWN = 20
"""Accounts that are asked about in turn."""
WARM_UP = 5
ONCE_IN_A_HUNDRED = 1.63
QUANTILES = (5, 25, 50, 75, 95)


class Case(Struct, frozen=True):
    name: str
    path: str
    rounds: int
    body: Callable[[str], dict[str, str]]


def _with_password(email: str) -> dict[str, str]:
    return {"email": email, "password": secrets.token_urlsafe(12)}


CASES = (
    Case("login", "login", 300, _with_password),
    Case("forgotten", "password/forgotten", 100, lambda email: {"email": email}),
    Case("register", "register", 60, _with_password),
)


def distance(one: list[float], other: list[float]) -> float:
    one, other = sorted(one), sorted(other)
    return max(abs(bisect_right(one, x) / len(one) - bisect_right(other, x) / len(other)) for x in one + other)


async def main() -> None:
    given = report.arguments("login_timing")
    figures, raw = [], {}
    with open_folder() as folder:
        async with (
            up.running(folder, sets=["control.trusted_proxies=127.0.0.1"]) as stack,
            httpx.AsyncClient(base_url=f"{stack.api}/api/v1/auth/", trust_env=False, timeout=30) as http,
        ):
            known = [_unknown() for _ in range(KNOWN)]
            for email in known:
                await _took_ms(http, "register", _with_password(email))
            for case in CASES:
                rounds = max(20, case.rounds // 10) if given.quick else case.rounds
                there, away = await _measured(http, case, known, rounds)
                target = ONCE_IN_A_HUNDRED * math.sqrt(2 / rounds)
                name = "login_timing.ks" if case.name == "login" else f"login_timing.{case.name}_ks"
                figures.append(Figure(name=name, value=distance(there, away), unit="", target=round(target, 3)))
                apart = statistics.median(there) - statistics.median(away)
                figures.append(Figure(name=f"login_timing.{case.name}_apart_ms", value=apart, unit="ms"))
                raw[case.name] = {"known_ms": _quantiles(there), "unknown_ms": _quantiles(away)}
    for case_name, each in raw.items():
        for who, quantiles in each.items():
            print(f"{case_name:10} {who:11} " + "  ".join(f"p{p}: {ms:7.1f}" for p, ms in quantiles.items()))
    report.tell("login_timing", figures, raw, given)


async def _measured(
    http: httpx.AsyncClient, case: Case, known: list[str], rounds: int
) -> tuple[list[float], list[float]]:
    there, away = [], []
    for n in range(rounds + WARM_UP):
        mine = await _took_ms(http, case.path, case.body(known[n % KNOWN]))
        nobodys = await _took_ms(http, case.path, case.body(_unknown()))
        if n >= WARM_UP:
            there.append(mine)
            away.append(nobodys)
    return there, away


async def _took_ms(http: httpx.AsyncClient, path: str, body: dict[str, str]) -> float:
    address = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
    began = time.perf_counter()
    answer = await http.post(path, json=body, headers={"X-Forwarded-For": address})
    took = time.perf_counter() - began
    if answer.status_code not in (201, 202, 401):
        raise RuntimeError(f"{path} answered {answer.status_code}: {answer.text}")
    return took * 1000


def _unknown() -> str:
    return f"{secrets.token_hex(6)}@example.org"


def _quantiles(times: list[float]) -> dict[int, float]:
    cuts = statistics.quantiles(times, n=100)
    return {p: round(cuts[p - 1], 1) for p in QUANTILES}


if __name__ == "__main__":
    asyncio.run(main())
