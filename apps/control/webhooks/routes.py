"""Routes of webhooks: what an organisation's own servers are told, and how that went."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, structs

from control import cursor as cursors
from control.accounts.permissions import Permission
from control.accounts.throttle import Rule, Throttle
from control.auth import Principal, actor_of
from control.http import Asked, tell_rate, utc
from control.plane import Plane
from control.webhooks import service as webhooks
from control.webhooks.model import Call, CallState, Webhook
from control.webhooks.schemas import (
    AddWebhook,
    Attempt,
    CallDetail,
    CallPage,
    CallsReplayed,
    CallView,
    EditWebhook,
    ReplayCalls,
    Webhooks,
    WebhookSecret,
    WebhookView,
)
from control.webhooks.service import Wanted
from wire.clock import utcnow
from wire.units import MINUTE_S

TAG = ["webhooks"]
PAGE = 50
PAGE_MAX = 200
ASK = Rule("webhook-calls", 30, MINUTE_S)
"""One organisation, tests and replays: its receiver may be somebody who did not ask for them."""

InState = Annotated[CallState | None, QueryParameter(name="state", description="Only these.")]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="At most so many.")]


@get("/webhooks", permission=Permission.WEBHOOKS_READ, tags=TAG, summary="The organisation's webhooks")
async def list_webhooks(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Webhooks:
    async with plane.asking(who.asker) as tx:
        return Webhooks([_view(each) for each in await webhooks.listed(tx, who.org)])


@post(
    "/webhooks",
    permission=Permission.WEBHOOKS_WRITE,
    refuses=[409],
    status_code=201,
    tags=TAG,
    summary="Tell an address what happens, signed as Standard Webhooks says; the secret is shown once",
)
async def add_webhook(
    data: JSONBody[AddWebhook], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> WebhookSecret:
    wanted = Wanted(data.url, data.types, data.description)
    async with plane.asking(who.asker) as tx:
        made, secret = await webhooks.add(tx, who.org, wanted, plane.settings, actor_of(request, who), utcnow())
    return WebhookSecret(_view(made), secret)


@get("/webhooks/{webhook_id:uuid}", permission=Permission.WEBHOOKS_READ, tags=TAG, summary="One webhook")
async def get_webhook(
    webhook_id: FromPath[UUID], plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> WebhookView:
    async with plane.asking(who.asker) as tx:
        return _view(await webhooks.get(tx, who.org, webhook_id))


@patch(
    "/webhooks/{webhook_id:uuid}",
    permission=Permission.WEBHOOKS_WRITE,
    tags=TAG,
    summary="Change a webhook; enable or disable it",
)
async def edit_webhook(
    webhook_id: FromPath[UUID],
    data: JSONBody[EditWebhook],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
) -> WebhookView:
    changes = {name: value for name, value in structs.asdict(data).items() if value is not UNSET}
    async with plane.asking(who.asker) as tx:
        actor = actor_of(request, who)
        edited = await webhooks.edit(tx, who.org, webhook_id, changes, plane.settings, actor, utcnow())
    await plane.nudge("calls")
    return _view(edited)


@delete(
    "/webhooks/{webhook_id:uuid}",
    permission=Permission.WEBHOOKS_WRITE,
    status_code=204,
    tags=TAG,
    summary="Remove a webhook, and its log",
)
async def remove_webhook(
    webhook_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await webhooks.remove(tx, who.org, webhook_id, actor_of(request, who), utcnow())


@post(
    "/webhooks/{webhook_id:uuid}/secret",
    permission=Permission.WEBHOOKS_WRITE,
    status_code=200,
    tags=TAG,
    summary="A new secret, shown once; for a day the one before signs as well",
)
async def turn_secret(
    webhook_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> WebhookSecret:
    async with plane.asking(who.asker) as tx:
        actor = actor_of(request, who)
        turned, secret = await webhooks.turn_secret(tx, who.org, webhook_id, plane.settings, actor, utcnow())
    return WebhookSecret(_view(turned), secret)


@post(
    "/webhooks/{webhook_id:uuid}/test",
    permission=Permission.WEBHOOKS_WRITE,
    refuses=[429],
    status_code=202,
    tags=TAG,
    summary="Tell it `webhook.test` now; the call says how that went",
)
async def test_webhook(
    webhook_id: FromPath[UUID],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> CallView:
    now = utcnow()
    tell_rate(request, (await throttling.hit(ASK, str(who.org), now=now)).headers)
    async with plane.asking(who.asker) as tx:
        made = await webhooks.test(tx, who.org, webhook_id, actor_of(request, who), now)
    await plane.nudge("calls")
    return _call(made)


@get(
    "/webhooks/{webhook_id:uuid}/calls",
    permission=Permission.WEBHOOKS_READ,
    tags=TAG,
    summary="What it was told, newest first, and how that went",
)
async def list_calls(
    webhook_id: FromPath[UUID],
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    in_state: InState = None,
    cursor: FromQuery[str | None] = None,
    limit: Limit = PAGE,
) -> CallPage:
    before = cursors.id_of(cursor) if cursor else None
    async with plane.asking(who.asker) as tx:
        found = await webhooks.calls(tx, who.org, webhook_id, in_state, before, limit + 1)
    page = found[:limit]
    more = cursors.after_id(page[-1].id) if len(found) > limit else None
    return CallPage([_call(each) for each in page], more)


@get(
    "/webhooks/{webhook_id:uuid}/calls/{call_id:uuid}",
    permission=Permission.WEBHOOKS_READ,
    tags=TAG,
    summary="One call, with what is sent",
)
async def get_call(
    webhook_id: FromPath[UUID],
    call_id: FromPath[UUID],
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
) -> CallDetail:
    async with plane.asking(who.asker) as tx:
        found = await webhooks.call(tx, who.org, webhook_id, call_id)
    return CallDetail(_call(found), found.body.decode())


@post(
    "/webhooks/{webhook_id:uuid}/calls/{call_id:uuid}/replay",
    permission=Permission.WEBHOOKS_WRITE,
    refuses=[429],
    status_code=200,
    tags=TAG,
    summary="Tell it once more, under the same id",
)
async def replay_call(
    webhook_id: FromPath[UUID],
    call_id: FromPath[UUID],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> CallView:
    now = utcnow()
    tell_rate(request, (await throttling.hit(ASK, str(who.org), now=now)).headers)
    async with plane.asking(who.asker) as tx:
        again = await webhooks.replay(tx, who.org, webhook_id, call_id, actor_of(request, who), now)
    await plane.nudge("calls")
    return _call(again)


@post(
    "/webhooks/{webhook_id:uuid}/replay",
    permission=Permission.WEBHOOKS_WRITE,
    refuses=[429],
    status_code=200,
    tags=TAG,
    summary="Tell it once more all that failed since a time, the oldest first",
)
async def replay_calls(
    webhook_id: FromPath[UUID],
    data: JSONBody[ReplayCalls],
    request: Asked,
    plane: NamedDependency[Plane],
    who: NamedDependency[Principal],
    throttling: NamedDependency[Throttle],
) -> CallsReplayed:
    now, since = utcnow(), utc(data.since)
    assert since is not None  # the body has one
    tell_rate(request, (await throttling.hit(ASK, str(who.org), now=now)).headers)
    async with plane.asking(who.asker) as tx:
        done = await webhooks.replay_failed(tx, who.org, webhook_id, since, actor_of(request, who), now)
    await plane.nudge("calls")
    return CallsReplayed(*done)


def _view(webhook: Webhook) -> WebhookView:
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        types=webhook.types,
        description=webhook.description,
        enabled=webhook.disabled_at is None,
        disabled_at=webhook.disabled_at,
        disabled_why=webhook.disabled_why,
        failures=webhook.failures,
        failing_since=webhook.failing_since,
        previous_secret_until=webhook.previous_until,
        created_at=webhook.created_at,
    )


def _call(call: Call) -> CallView:
    return CallView(
        id=call.id,
        type=call.type,
        event=call.seq,
        state=call.state,
        tries=call.tries,
        next_try_at=call.not_before if call.state is CallState.QUEUED else None,
        attempts=msgspec.convert(call.attempts, list[Attempt]),
        created_at=call.created_at,
        ended_at=call.ended_at,
    )


ROUTES = [
    list_webhooks,
    add_webhook,
    get_webhook,
    edit_webhook,
    remove_webhook,
    turn_secret,
    test_webhook,
    list_calls,
    get_call,
    replay_call,
    replay_calls,
]
