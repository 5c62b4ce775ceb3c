"""The plain case of adding a job: a magnet that the organisation never asked for, and no wish but to have it.

It is what is asked for most, by scripts hundreds of times; so it takes four round trips, where `jobs.service.add` takes
nineteen. Whatever is not plain is nothing here, and goes that way: it also has the words for each refusal.
"""

import datetime as dt

from control.audit.service import Actor
from control.config import Settings
from control.db import Asker
from control.jobs import follow, service
from control.jobs.service import Whole
from control.plane import Plane
from control.straight import Clash, Straight
from control.together import insert
from control.torrents import service as torrents
from control.torrents.sent import Sent, Wishes
from wire.ids import OrgId, PersonId
from wire.states import JOB_ACTIVE

ROOM = "SELECT room_for_a_new_magnet($1, $2, $3, $4)"
_ACTIVE = sorted(state.value for state in JOB_ACTIVE)


async def add(
    plane: Plane,
    asker: Asker,
    org: OrgId,
    person: PersonId,
    sent: Sent,
    actor: Actor,
    correlation_id: str,
    now: dt.datetime,
) -> Whole | None:
    if sent.source != "magnet" or sent.wishes != Wishes():
        return None
    try:
        async with plane.db.straight(asker) as asked:
            made = await _made(asked, org, person, sent, plane.settings, actor, correlation_id, now)
    except Clash:  # an agent learned just now that another torrent has this hash, too
        return None
    if made is not None:
        await plane.told()
    return made


async def _made(
    asked: Straight,
    org: OrgId,
    person: PersonId,
    sent: Sent,
    settings: Settings,
    actor: Actor,
    correlation_id: str,
    now: dt.datetime,
) -> Whole | None:
    assert sent.hashes is not None
    if not await asked.fetchval(ROOM, org, sent.hashes.v1, sent.hashes.v2, _ACTIVE):
        return None
    torrent = torrents.named(org, sent.hashes, now)
    transfer = service.new_transfer(org, torrent, settings, correlation_id, now)
    job = service.new_job(org, person, sent, torrent, transfer, settings, correlation_id, now)
    event, message = follow.told(job, None, now=now, who=actor.name, why="added")
    entry = service.logged(actor, job, sent, now)
    await insert(asked, torrent, transfer, job, event, message, entry)
    return Whole(job, transfer, torrent)
