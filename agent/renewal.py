"""Renewing: the next certificate in time, brought into use without dropping anything; the one before works till then.

The control plane says when (`Synced.renew`): it signs and checks certificates by its own clock, so ours may be wrong.
"""

import asyncio

from agent.config import Settings
from agent.fleet import Fleet, FleetError
from agent.identity import Identity, ask_for_next, keep_next
from bus.connect import Bus
from telemetry import logs

log = logs.get(__name__)

AGAIN_S = 60.0
"""Between two tries; there are ten days for them."""


async def run(settings: Settings, identity: Identity, fleet: Fleet, bus: Bus, due: asyncio.Event) -> None:
    """Until cancelled. A sync that was on its way under the old certificate may call once too often: no harm."""
    while True:
        await due.wait()
        try:
            identity = await _next(identity, fleet)
        except (FleetError, OSError) as failure:  # ssl's error is one
            log.warning("certificate.not_renewed", reason=repr(failure), until=str(identity.until()))
            await asyncio.sleep(settings.wait(AGAIN_S))
        else:
            bus.show(identity.tls())
            log.info("certificate.renewed", until=str(identity.until()))
        due.clear()


async def _next(identity: Identity, fleet: Fleet) -> Identity:
    key, renew = ask_for_next(identity)
    renewed = await fleet.renew(renew)
    fresh = await asyncio.to_thread(keep_next, identity, key, renewed)
    await fleet.show(fresh)
    return fresh
