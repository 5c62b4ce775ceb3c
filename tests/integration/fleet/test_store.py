"""The store, asked as the control plane asks it."""

import asyncio

import pytest
from msgspec.structs import replace

from control.config import Settings
from control.plane import Plane
from control.storage.errors import StoreDown
from control.storage.keys import object_key, prefix
from control.storage.store import PAGE, STRETCHES, open_store
from tests.support.ports import free_ports
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
    below = prefix(scope, torrent)
    assert await plane.store.sizes(below) == dict.fromkeys([*keys, odd], 0)
    many = {object_key(scope, torrent, file, 1) for file in range(STRETCHES * PAGE + 1)}
    assert await plane.store.sizes(below, many) == dict.fromkeys([*keys, odd], 0), "though most are not there"
    await plane.store.remove([*keys, odd])
    assert await plane.store.listed(prefix(scope, torrent)) == []


async def test_of_a_long_listing_too_it_is_said_that_the_store_is_away(fleet_settings: Settings) -> None:
    away = replace(fleet_settings, store_url=f"http://127.0.0.1:{free_ports(1)[0]}")
    async with open_store(away) as store:
        with pytest.raises(StoreDown):
            await store.sizes("a/b/", [f"a/b/{number}/1" for number in range(STRETCHES * PAGE + 1)])
