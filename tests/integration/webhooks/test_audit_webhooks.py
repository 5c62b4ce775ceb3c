"""Whatever is changed of webhooks is told, each in its own transaction: see `tests.support.told`."""

from functools import partial

from control.loops import calls as loop
from tests.support.control import Api
from tests.support.receiver import Receiver
from tests.support.told import WEBHOOKS, somebody, telling
from wire.clock import utcnow


async def test_everything_that_is_changed_of_webhooks_is_told(own: Api, receiver: Receiver) -> None:
    async with telling(own.plane, own.databases) as told, somebody(own) as mine:
        call, at = partial(told.call, mine.http, by=mine.name), "/api/v1/webhooks/{webhook_id}"
        hook = (await call("POST /api/v1/webhooks", {"url": receiver.url()})).json()["webhook"]["id"]
        of_one = partial(call, webhook_id=hook)
        await of_one(f"PATCH {at}", {"description": "mine"})
        await of_one(f"POST {at}/secret")
        tested = (await of_one(f"POST {at}/test")).json()["id"]
        await loop.step(own.plane, utcnow())
        await of_one(f"POST {at}/calls/{{call_id}}/replay", call_id=tested)
        for enabled in (False, True):  # what waited is given up
            await of_one(f"PATCH {at}", {"enabled": enabled})
        again = await of_one(f"POST {at}/replay", {"since": "2020-01-01T00:00:00Z"})
        assert again.json() == {"replayed": 1, "left": 0}
        await of_one(f"DELETE {at}")
    assert told.done == WEBHOOKS.keys()
