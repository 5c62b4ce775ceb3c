"""Nobody gets as far as signing on without a certificate of the fleet CA."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

from bus.accounts import CONTROL_INBOX
from bus.connect import open_bus
from bus.credentials import Credentials, control_credentials
from tests.support.certs import new_authority
from tests.support.nats import NatsServer
from tests.support.until import LIMIT_S, until
from wire.clock import utcnow

TRIES = 2


async def is_refused(nats: NatsServer, tls: ssl.SSLContext) -> None:
    """Good credentials, and only the certificate wrong."""
    good, tries = control_credentials(nats.keys, "FLEET"), 0

    async def counted() -> Credentials:
        nonlocal tries
        tries += 1
        return await good()

    async with open_bus("stranger", nats.url, tls, counted, inbox_prefix=CONTROL_INBOX) as bus:
        await until(lambda: tries > TRIES)
        assert not bus.connected


async def test_no_certificate_is_refused(nats: NatsServer) -> None:
    await is_refused(nats, ssl.create_default_context(cafile=nats.authority.ca))


async def test_a_foreign_cas_certificate_is_refused(nats: NatsServer, tmp_path: Path) -> None:
    foreign = new_authority(tmp_path).client("spiffe://test/control")
    context = ssl.create_default_context(cafile=nats.authority.ca)
    context.load_cert_chain(foreign.cert, foreign.key)
    await is_refused(nats, context)


async def test_an_expired_certificate_is_refused(nats: NatsServer) -> None:
    expired = nats.authority.client("spiffe://test/expired", utcnow() - timedelta(days=10))
    await is_refused(nats, expired.context())


async def test_a_servers_certificate_is_no_clients(nats: NatsServer) -> None:
    await is_refused(nats, nats.authority.server().context())


async def test_we_do_not_talk_to_a_server_of_another_ca(nats: NatsServer, tmp_path: Path) -> None:
    await is_refused(nats, new_authority(tmp_path).client("spiffe://test/control").context())


async def test_a_plain_connection_hears_nothing(nats: NatsServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", nats.port)
    writer.write(b"CONNECT {}\r\nPING\r\n")
    async with asyncio.timeout(LIMIT_S):
        try:
            said = await reader.read()
        except ConnectionResetError:
            said = b""
    assert b"INFO" not in said
    writer.close()


async def test_the_right_certificate_is_taken(nats: NatsServer) -> None:
    async with nats.control_bus("FLEET") as bus:
        await bus.ready(LIMIT_S)
        assert bus.connected
