"""Health: small named checks, all at once, each within its limit."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct

from telemetry import logs

log = logs.get(__name__)

Check = Callable[[], Awaitable[None]]
"""Returns if all is well, raises if not."""
CHECK_S = 2.0
"""A probe usually gives up after three to five seconds; ours must have answered before."""


class Finding(Struct, frozen=True):
    ok: bool
    detail: str = ""


async def examine(checks: Mapping[str, Check], limit_s: float = CHECK_S) -> dict[str, Finding]:
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_one(name, check, limit_s)) for name, check in checks.items()}
    return {name: task.result() for name, task in tasks.items()}


def healthy(findings: Mapping[str, Finding]) -> bool:
    return all(finding.ok for finding in findings.values())


async def _one(name: str, check: Check, limit_s: float) -> Finding:
    try:
        async with asyncio.timeout(limit_s):
            await check()
    except TimeoutError:
        return Finding(ok=False, detail=f"no answer within {limit_s:g} s")
    except Exception as failure:
        # Whatever is wrong with what is checked is the answer; it must not take the other checks along.
        log.info("health.failed", check=name, exc_info=True)
        return Finding(ok=False, detail=type(failure).__name__)
    return Finding(ok=True)
