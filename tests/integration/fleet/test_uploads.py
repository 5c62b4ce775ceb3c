"""Multipart uploads that nobody will complete: aborted after a day, and no others."""

import datetime as dt

from control.loops import uploads
from control.plane import Plane
from control.storage import store
from control.storage.keys import object_key, prefix
from tests.support.fleet import claimed, content, wants_of
from wire.clock import utcnow
from wire.ids import OrgId, TorrentId, new_id
from wire.units import DAY_S, MIB

SIZE = 9 * MIB


async def test_what_is_open_for_a_day_and_named_by_nobody_is_aborted(plane: Plane) -> None:
    wanted, agent = await claimed(plane, SIZE)
    (want, _), *_ = wants_of(0, content(0, SIZE))
    await agent.grants(wanted.transfer, want)
    lost = [object_key(wanted.org, wanted.torrent, 0, 99), object_key(OrgId(new_id()), TorrentId(new_id()), 1, 1)]
    foreign = "not/ours"
    for key in (*lost, foreign):
        await plane.store.open_upload(key)
    day = dt.timedelta(seconds=plane.settings.wait(DAY_S))
    await uploads.step(plane, utcnow() + day / 2)
    assert all([await plane.store.uploads(key) for key in lost])
    later = utcnow() + day + dt.timedelta(minutes=1)
    await uploads.step(plane, later)
    assert not any([await plane.store.uploads(key) for key in lost])
    assert await plane.store.uploads(foreign)
    assert len(await plane.store.uploads(prefix(wanted.org, wanted.torrent))) == 1
    assert not await uploads.step(plane, later)


async def test_all_pages_of_open_uploads_are_read(plane: Plane) -> None:
    mine = f"{new_id()}/"
    for number in range(5):
        await plane.store.open_upload(f"{mine}{number}")
    before, store.PAGE = store.PAGE, 2
    try:
        found = await plane.store.uploads_before(utcnow() + dt.timedelta(minutes=1))
    finally:
        store.PAGE = before
    assert sorted(each.key for each in found if each.key.startswith(mine)) == [f"{mine}{n}" for n in range(5)]
