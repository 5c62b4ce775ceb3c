"""The store, asked as the control plane asks it."""

import asyncio

from control.plane import Plane
from control.storage.keys import object_key, prefix
from control.storage.store import PAGE
from wire.ids import new_id

ABREAST = 16


async def test_a_listing_has_every_name_of_every_page_and_nothing_else(plane: Plane) -> None:
    scope, torrent = new_id(), new_id()
    keys = {object_key(scope, torrent, file, 1) for file in range(PAGE + 2)}
    odd = prefix(scope, torrent) + "not ours/+%41&<ü>"
    todo = iter([*keys, odd, object_key(scope, new_id(), 0, 1)])

    async def put_some() -> None:
        for key in todo:
            await plane.store.put_empty(key)

    async with asyncio.TaskGroup() as group:
        for _ in range(ABREAST):
            group.create_task(put_some())
    assert await plane.store.sizes(prefix(scope, torrent)) == dict.fromkeys([*keys, odd], 0)
    await plane.store.remove([*keys, odd])
    assert await plane.store.listed(prefix(scope, torrent)) == []
