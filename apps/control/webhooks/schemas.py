"""What the API takes and gives about webhooks and their calls."""

import datetime as dt
from typing import Annotated
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from control.feed.model import EventType
from control.webhooks.model import CallState, Disabled


class AddWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    url: str
    types: list[EventType] = []
    """None: everything."""
    description: Annotated[str, Meta(max_length=200)] = ""


class EditWebhook(Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out stays as it is."""

    url: str | UnsetType = UNSET
    types: list[EventType] | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    """False gives up what waits for it; true begins anew, whyever it was disabled."""


class WebhookView(Struct, frozen=True):
    id: UUID
    url: str
    types: list[str]
    description: str
    enabled: bool
    disabled_at: dt.datetime | None
    disabled_why: Disabled | None
    failures: int
    """Tries that failed since the last that did not."""
    failing_since: dt.datetime | None
    previous_secret_until: dt.datetime | None
    """Until then calls are signed with the secret before, too."""
    created_at: dt.datetime


class WebhookSecret(Struct, frozen=True):
    """Shown once."""

    webhook: WebhookView
    secret: str
    """`whsec_…`, as libraries of Standard Webhooks take it."""


class Webhooks(Struct, frozen=True):
    items: list[WebhookView]


class Attempt(Struct, frozen=True):
    at: dt.datetime
    took_ms: int
    status: int | None
    """Null: there was no answer."""
    failure: str | None
    """Null: it was taken."""
    answer: str | None
    """How it begins."""


class CallView(Struct, frozen=True):
    id: UUID
    """`webhook-id` is `msg_` and this."""
    type: str
    event: int | None
    """Its id in the feed; null for a test."""
    state: CallState
    tries: int
    next_try_at: dt.datetime | None
    attempts: list[Attempt]
    """The last ones, the newest last."""
    created_at: dt.datetime
    ended_at: dt.datetime | None


class CallDetail(Struct, frozen=True):
    call: CallView
    body: str
    """As it is sent."""


class CallPage(Struct, frozen=True):
    items: list[CallView]
    next_cursor: str | None


class ReplayCalls(Struct, frozen=True, forbid_unknown_fields=True):
    since: dt.datetime
    """What failed of what was written from then on."""


class CallsReplayed(Struct, frozen=True):
    replayed: int
    left: int
    """Ask again."""
