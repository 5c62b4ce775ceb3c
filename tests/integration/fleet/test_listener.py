"""The fleet listener: who may speak, and as whom; over real TLS, with real certificates."""

import asyncio
import base64
import ssl
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct
from sqlalchemy import select

from bus.accounts import agent_inbox
from bus.connect import open_bus
from bus.credentials import Credentials, tls_context
from bus.errors import BusDown
from bus.jwt import new_seed, public_key
from control.audit.model import Entry, Severity
from control.audit.service import Actor
from control.config import Settings
from control.fleet import pools, service
from control.loops import revoke
from control.plane import Plane
from tests.support.certs import Signed, new_authority
from tests.support.fleet import add_transfer, new_pool, read_agent, read_transfer
from tests.support.nats import NatsServer
from tests.support.until import until
from wire.clock import utcnow
from wire.ids import AgentId, BootId, ClaimId, new_id
from wire.messages import BusCredentials, Claim, Enrol, Enrolled, Sync, Synced, TokenBody
from wire.states import AgentState, TransferState

OPERATOR = Actor(name="person:tests")
CUT_S = 2.0
"""A retired agent is off the bus within this."""


class Enrolment(Struct, frozen=True):
    agent: AgentId
    pool: str
    signed: Signed
    seed: str


async def new_token(plane: Plane, *, name: str | None = None, pool: str | None = None, age_s: int = 0) -> TokenBody:
    async with plane.working() as tx:
        if pool is not None:
            await pools.describe(tx, pool, None, None, OPERATOR, utcnow())
        made = await service.make_token(
            tx, plane.settings, name=name, pool=pool, ttl_s=60, actor=OPERATOR, now=utcnow() - timedelta(seconds=age_s)
        )
    return _read(made.token)


def _read(token: str) -> TokenBody:
    return msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=TokenBody)


def ask_to_enrol(secret: str, key: ec.EllipticCurvePrivateKey, seed: str, name: str) -> Enrol:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    return Enrol(secret, pem, public_key(seed), name, "test")


async def post(url: str, path: str, body: object, tls: ssl.SSLContext) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url, verify=tls, trust_env=False, timeout=10) as http:
        headers = {"Content-Type": "application/json"}
        return await http.post(path, content=msgspec.json.encode(body), headers=headers)


def trusting(settings: Settings) -> ssl.SSLContext:
    """Shows no certificate."""
    return ssl.create_default_context(cafile=settings.ca_cert_file)


async def enrolled(plane: Plane, url: str, folder: Path, pool: str | None = None) -> Enrolment:
    token = await new_token(plane, pool=pool)
    key, seed = ec.generate_private_key(ec.SECP256R1()), new_seed("user")
    asked = ask_to_enrol(token.secret, key, seed, f"agent-{new_id()}")
    answer = await post(url, "/fleet/enrol", asked, trusting(plane.settings))
    assert answer.status_code == 200, answer.text
    got = msgspec.json.decode(answer.content, type=Enrolled)
    return Enrolment(got.agent, got.pool, save(folder, plane.settings.ca_cert_file, key, got.certificate_pem), seed)


def save(folder: Path, ca: Path, key: ec.EllipticCurvePrivateKey, certificate_pem: str) -> Signed:
    signed = Signed(ca, folder / "agent.pem", folder / "agent.key")
    signed.cert.write_text(certificate_pem)
    signed.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return signed


def first_sync(boot: BootId, rev: int = 1) -> Sync:
    return Sync(boot=boot, rev=rev, version="test", slots=2, held=[])


async def test_an_enrolled_agent_syncs_claims_and_gets_credentials(plane: Plane, url: str, tmp_path: Path) -> None:
    pool = new_pool()
    wanted = await add_transfer(plane, 10, pool=pool)
    agent = await enrolled(plane, url, tmp_path, pool)
    tls, boot = agent.signed.context(), BootId(new_id())
    synced = await post(url, "/fleet/sync", first_sync(boot), tls)
    assert msgspec.json.decode(synced.content, type=Synced).verdicts == []
    claim = await post(url, "/fleet/claim", Claim(wanted.transfer, boot, ClaimId(new_id())), tls)
    assert (claim.json()["type"], claim.json()["spec"]["epoch"]) == ("claimed", 1)
    again = await post(url, "/fleet/claim", Claim(wanted.transfer, boot, ClaimId(new_id())), tls)
    assert again.json() == {"type": "refused", "code": "taken"}
    grants = await post(url, "/fleet/grants", {"transfer": wanted.transfer, "epoch": 1, "wants": [[0, 0, 10, 1]]}, tls)
    assert len(grants.json()["grants"]) == 1
    credentials = await post(url, "/fleet/credentials", {}, tls)
    assert msgspec.json.decode(credentials.content, type=BusCredentials).expires_at > utcnow()
    assert (await read_agent(plane, agent.agent)).state is AgentState.READY


async def test_without_a_certificate_only_enrolment_answers(plane: Plane, url: str) -> None:
    for path in ("/fleet/sync", "/fleet/claim", "/fleet/grants", "/fleet/credentials"):
        answer = await post(url, path, {}, trusting(plane.settings))
        assert (answer.status_code, answer.json()["code"]) == (401, "no_certificate")
    answer = await post(url, "/fleet/enrol", {}, trusting(plane.settings))
    assert answer.status_code in (400, 422)


async def test_a_foreign_or_expired_certificate_fails_in_tls(
    plane: Plane, url: str, fleet_nats: NatsServer, tmp_path: Path
) -> None:
    agent = f"spiffe://test/agent/{new_id()}"
    foreign = new_authority(tmp_path / "foreign").client(agent)
    expired = fleet_nats.authority.client(agent, utcnow() - timedelta(days=30))
    for signed in (Signed(plane.settings.ca_cert_file, foreign.cert, foreign.key), expired):
        with pytest.raises(httpx.TransportError):
            await post(url, "/fleet/sync", first_sync(BootId(new_id())), signed.context())


async def test_a_certificate_of_our_ca_that_is_no_agents_is_refused(
    plane: Plane, url: str, fleet_nats: NatsServer, tmp_path: Path
) -> None:
    known = await enrolled(plane, url, tmp_path)
    shown = [
        (fleet_nats.control.context(), "no_certificate"),
        (fleet_nats.authority.client(f"spiffe://test/agent/{new_id()}").context(), "unknown_agent"),
        (fleet_nats.authority.client(f"spiffe://elsewhere/agent/{known.agent}").context(), "no_certificate"),
        (fleet_nats.authority.client(f"spiffe://test/agent/{known.agent}").context(), "unknown_agent"),  # other serial
    ]
    for tls, code in shown:
        answer = await post(url, "/fleet/sync", first_sync(BootId(new_id())), tls)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
    async with plane.working() as tx:
        refused = select(Entry.severity, Entry.ip).where(
            Entry.action == "agent.refused", Entry.target == f"agent:{known.agent}"
        )
        assert (await tx.execute(refused)).all() == [(Severity.WARNING, "127.0.0.1")]


async def test_a_token_is_good_once(plane: Plane, url: str) -> None:
    token, tls = await new_token(plane), trusting(plane.settings)
    asked = [
        ask_to_enrol(token.secret, ec.generate_private_key(ec.SECP256R1()), new_seed("user"), f"agent-{new_id()}")
        for _ in range(8)
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(post(url, "/fleet/enrol", each, tls)) for each in asked]
    answers = [task.result() for task in tasks]
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7
    assert {answer.json()["code"] for answer in answers if answer.status_code == 401} == {"token_used"}


async def test_a_wrong_or_expired_token_is_refused(plane: Plane, url: str) -> None:
    key, seed, tls = ec.generate_private_key(ec.SECP256R1()), new_seed("user"), trusting(plane.settings)
    old = await new_token(plane, age_s=3600)
    for secret, code in (("guessed", "token_unknown"), (old.secret, "token_expired")):
        answer = await post(url, "/fleet/enrol", ask_to_enrol(secret, key, seed, "a"), tls)
        assert (answer.status_code, answer.json()["code"]) == (401, code)


async def test_bad_enrolments_are_refused_and_the_token_stays_good(plane: Plane, url: str) -> None:
    key, seed, tls = ec.generate_private_key(ec.SECP256R1()), new_seed("user"), trusting(plane.settings)
    token = await new_token(plane)
    good = ask_to_enrol(token.secret, key, seed, f"agent-{new_id()}")
    p384 = ask_to_enrol(token.secret, ec.generate_private_key(ec.SECP384R1()), seed, "a")
    bad = {
        "bad_csr": msgspec.structs.replace(good, csr_pem="-----BEGIN nonsense"),
        "bad_nkey": msgspec.structs.replace(good, nats_user="A" * 56),
        "bad_name": msgspec.structs.replace(good, name="\n"),
    }
    for code, asked in [*bad.items(), ("bad_csr", p384)]:
        answer = await post(url, "/fleet/enrol", asked, tls)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    unknown_field = msgspec.to_builtins(good) | {"more": 1}
    assert (await post(url, "/fleet/enrol", unknown_field, tls)).status_code in (400, 422)
    assert (await post(url, "/fleet/enrol", good, tls)).status_code == 200


async def test_bodies_are_bounded(plane: Plane, url: str, tmp_path: Path) -> None:
    agent = await enrolled(plane, url, tmp_path)
    tls = agent.signed.context()
    answer = await post(url, "/fleet/claim", {"transfer": "x" * 2_000_000}, tls)
    assert answer.status_code == 413
    async with httpx.AsyncClient(base_url=url, verify=tls, trust_env=False, timeout=30) as http:
        path = f"/fleet/transfers/{new_id()}/info"
        answer = await http.put(path, params={"epoch": 1}, content=bytes(33 * 1024 * 1024))
        assert answer.status_code == 413
        answer = await http.put(path, params={"epoch": 1}, content=b"de")
        assert (answer.status_code, answer.json()["code"]) == (409, "stale_epoch")
        answer = await http.put(path, params={"epoch": "x"}, content=b"de")
        assert answer.status_code in (400, 422)


@pytest.mark.parametrize(
    "about",
    [
        {"region": "a b"},
        {"region": "a\n"},
        {"labels": {"": "x"}},
        {"labels": {"k": "ü"}},
        {"labels": {str(n): "x" for n in range(33)}},
        {"disk_free_bytes": -1},
        {"more": 1},
    ],
)
async def test_what_an_agent_says_of_itself_is_bounded(
    plane: Plane, url: str, tmp_path: Path, about: dict[str, object]
) -> None:
    agent = await enrolled(plane, url, tmp_path)
    said = msgspec.to_builtins(first_sync(BootId(new_id()))) | {"about": about}
    assert (await post(url, "/fleet/sync", said, agent.signed.context())).status_code in (400, 422)


async def test_a_retired_agent_is_cut_and_cannot_return(
    plane: Plane, url: str, fleet_nats: NatsServer, tmp_path: Path
) -> None:
    pool = new_pool()
    wanted = await add_transfer(plane, 10, pool=pool)
    agent = await enrolled(plane, url, tmp_path, pool)
    tls, boot = agent.signed.context(), BootId(new_id())
    await post(url, "/fleet/sync", first_sync(boot), tls)
    await post(url, "/fleet/claim", Claim(wanted.transfer, boot, ClaimId(new_id())), tls)

    async def credentials() -> Credentials:
        answer = await post(url, "/fleet/credentials", {}, tls)
        got = msgspec.json.decode(answer.content, type=BusCredentials)
        return Credentials(got.jwt, agent.seed, got.expires_at)

    kept = await credentials()

    async def keep() -> Credentials:
        return kept

    own = tls_context(plane.settings.ca_cert_file, agent.signed.cert, agent.signed.key)
    async with open_bus("agent", fleet_nats.url, own, keep, inbox_prefix=agent_inbox(agent.agent)) as bus:
        await bus.ready(10)
        await service.retire(plane, agent.agent, "tests", OPERATOR, utcnow())
        await until(lambda: not bus.connected, CUT_S)
        answer = await post(url, "/fleet/sync", first_sync(boot, 2), tls)
        assert (answer.status_code, answer.json()["code"]) == (401, "agent_retired")
        transfer = await read_transfer(plane, wanted.transfer)
        assert (transfer.state, transfer.agent_id) == (TransferState.WAITING, None)
        await service.retire(plane, agent.agent, "again", OPERATOR, utcnow())
        await revoke.step(plane, utcnow())
        assert not bus.connected
    async with open_bus("again", fleet_nats.url, own, keep, inbox_prefix=agent_inbox(agent.agent)) as bus:
        with pytest.raises(BusDown):
            await bus.ready(1)
