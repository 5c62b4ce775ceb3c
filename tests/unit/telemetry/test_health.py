"""Health checks run side by side and always answer."""

import asyncio

from telemetry.health import Finding, examine, healthy


async def good() -> None:
    pass


async def hanging() -> None:
    await asyncio.Event().wait()


async def broken() -> None:
    raise ConnectionRefusedError("host=10.0.0.1 password=x")


async def test_each_check_says_how_it_is() -> None:
    found = await examine({"postgres": good, "bus": hanging, "store": broken}, limit_s=0.05)
    assert found == {
        "postgres": Finding(ok=True),
        "bus": Finding(ok=False, detail="no answer within 0.05 s"),
        "store": Finding(ok=False, detail="ConnectionRefusedError"),
    }
    assert not healthy(found)


async def test_all_well_is_healthy() -> None:
    assert healthy(await examine({"postgres": good}))
