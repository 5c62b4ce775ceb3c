"""The bus of a running stack, as the control plane sees it; for tests that break it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from bus.accounts import CONTROL_INBOX, read_keys
from bus.connect import Bus, open_bus
from bus.credentials import control_credentials, tls_context
from tests.support.up import Up
from wire import subjects

CALL_S = 5


@asynccontextmanager
async def joined(stack: Up, account: Literal["FLEET", "APP", "SYSTEM"]) -> AsyncIterator[Bus]:
    secrets = stack.data / "secrets"
    keys = read_keys(secrets / "nats.json")
    tls = tls_context(secrets / "ca.pem", secrets / "control.pem", secrets / "control.key")
    async with open_bus(
        "test", stack.ready.nats, tls, control_credentials(keys, account), inbox_prefix=CONTROL_INBOX
    ) as bus:
        await bus.ready(CALL_S)
        yield bus


async def delete_streams(stack: Up) -> None:
    async with joined(stack, "FLEET") as fleet:
        await fleet.request(f"$JS.API.STREAM.DELETE.{subjects.WORK}", timeout=CALL_S)
    async with joined(stack, "APP") as app:
        await app.request(f"$JS.API.STREAM.DELETE.{subjects.EVENTS}", timeout=CALL_S)
