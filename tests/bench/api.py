"""Bench `api`: what one api process answers, beside a Litestar that answers a constant and an asyncpg that inserts.

POST /jobs, a page of 50 of 100,000 jobs, one job, and signing in; by 1, 16 and 64 clients. All of `up` runs beside it
on the same machine (PostgreSQL, the loops, the load itself). The figures: POST /jobs at 100 a second, timed from when
each was due, and its rate at 64 clients to that of the bare insert: the six rows that a new job is (torrent, transfer,
job, event, message, log), by asyncpg, in one transaction. The job's row alone is shown beside it.
"""

import asyncio
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import asyncpg
import msgspec
import uvloop
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from control.accounts import passwords, tokens
from tests.support import load, report, up
from tests.support.folders import open_folder
from tests.support.load import Load, Request, request
from tests.support.ports import free_ports
from tests.support.report import Figure
from wire.ids import new_id

CLIENTS = (1, 16, 64)
PACE = 100
P99_TARGET_MS = 60
RATIO_TARGET = 0.12
ORGANISATIONS = 200
"""That ask for jobs in turn: each may have 1,000 that are open."""
ACCOUNTS = 50
LISTED = 100_000
CONNECTIONS = 16
"""Of the bare insert: as many as the api's pool may have."""
RATE_SCALE = 1000
"""Everything is counted as ever, and nobody refused: one key asks as often as the api can answer."""
START_S = 20

ORGANISATION = "INSERT INTO organisations (id, name, created_at) VALUES ($1, 'bench', now())"
PERSON = (
    "INSERT INTO people (id, email, password_hash, created_at, email_verified_at) VALUES ($1, $2, $3, now(), now())"
)
MEMBER = "INSERT INTO members (org_id, person_id, role, joined_at) VALUES ($1, $2, 'owner', now())"
KEY = """INSERT INTO api_keys (id, org_id, person_id, name, prefix, token_hash, scopes, created_at)
         VALUES ($1, $2, $3, 'bench', $4, $5, '["full"]', now())"""
TORRENT = "INSERT INTO torrents (id, scope_id, v1, created_at) VALUES ($1, $2, $3, now())"
TRANSFER = """INSERT INTO transfers (id, scope_id, torrent_id, pool, state, correlation_id, created_at, moved_at)
              VALUES ($1, $2, $3, 'bench', 'stored', 'bench', now(), now())"""
JOB = """INSERT INTO jobs (id, org_id, person_id, torrent_id, transfer_id, source, intent, state, version, name,
                           trackers, web_seeds, peers, correlation_id, created_at, updated_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, 'magnet', 'run', 'completed', 1, 'bench',
                 '[]', '[]', '[]', 'bench', now(), now(), now())"""


EVENT = """INSERT INTO job_events (job_id, version, org_id, to_state, who, why, at)
           VALUES ($1, 1, $2, 'completed', 'bench', 'added', now())"""
MESSAGE = """INSERT INTO outbox (subject, message_id, payload, correlation_id, created_at)
             VALUES ('bench', $1, '', 'bench', now())"""
LOGGED = """INSERT INTO audit (at, org_id, actor, action, target, severity, detail)
            VALUES (now(), $1, 'bench', 'job.added', $2, 'info', '{}')"""


class Owner(Struct, frozen=True):
    org: object
    person: object
    email: str
    authorization: str
    place: tuple[object, ...]
    """What a job of theirs refers to: organisation, person, torrent, transfer."""


class Bare(Struct, frozen=True):
    """Inserts a second, by asyncpg."""

    one_row: float
    same_rows: float


class Measured(Struct, frozen=True):
    what: str
    clients: int
    load: Load


async def owner(connection: asyncpg.Connection, password_hash: str) -> Owner:
    org, person, torrent, transfer, key = new_id(), new_id(), new_id(), new_id(), tokens.new_key()
    email = f"{secrets.token_hex(6)}@example.org"
    await connection.execute(ORGANISATION, org)
    await connection.execute(PERSON, person, email, password_hash)
    await connection.execute(MEMBER, org, person)
    await connection.execute(KEY, new_id(), org, person, key.prefix, tokens.digest(key.secret))
    await connection.execute(TORRENT, torrent, org, secrets.token_bytes(20))
    await connection.execute(TRANSFER, transfer, org, torrent)
    return Owner(org, person, email, f"Bearer {key.secret}", (org, person, torrent, transfer))


def creating(owners: list[Owner]) -> Request:
    def make(n: int) -> bytes:
        body = b'{"magnet": "magnet:?xt=urn:btih:%s&dn=bench"}' % secrets.token_hex(20).encode()
        return request("POST", "/api/v1/jobs", body, Authorization=owners[n % len(owners)].authorization)

    return make


def signing_in(owners: list[Owner], password: str) -> Request:
    def make(n: int) -> bytes:
        body = msgspec.json.encode({"email": owners[n % len(owners)].email, "password": password})
        address = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"
        return request("POST", "/api/v1/auth/login", body, X_Forwarded_For=address)

    return make


Insert = Callable[[asyncpg.Connection, Owner], Awaitable[None]]


async def one_row(connection: asyncpg.Connection, who: Owner) -> None:
    await connection.execute(JOB, new_id(), *who.place)


async def same_rows(connection: asyncpg.Connection, who: Owner) -> None:
    """As POST /jobs leaves them, and nothing else of what it does."""
    org, person, *_ = who.place
    torrent, transfer, job = new_id(), new_id(), new_id()
    async with connection.transaction():
        await connection.execute(TORRENT, torrent, org, secrets.token_bytes(20))
        await connection.execute(TRANSFER, transfer, org, torrent)
        await connection.execute(JOB, job, org, person, torrent, transfer)
        await connection.execute(EVENT, job, org)
        await connection.execute(MESSAGE, str(job))
        await connection.execute(LOGGED, org, f"job:{job}")


async def inserting(pool: asyncpg.Pool, clients: int, seconds: float, who: Sequence[Owner], insert: Insert) -> float:
    """A second."""
    loop, done = asyncio.get_running_loop(), 0
    began = loop.time()

    async def client() -> None:
        nonlocal done
        while loop.time() - began < seconds:
            async with pool.acquire() as connection:
                await insert(connection, who[done % len(who)])
            done += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return done / (loop.time() - began)


@contextmanager
def halted(stack: up.Up) -> Iterator[None]:
    """The loops: they would take the bare insert's messages for real ones, and its time."""
    for pid in stack.pids("work"):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in stack.pids("work"):
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def constant() -> AsyncIterator[int]:
    [port] = free_ports(1)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.support.constant", str(port))
    try:
        async with asyncio.timeout(START_S):
            while True:
                try:
                    (await load.connect(port)).close()
                    break
                except ConnectionError:
                    await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def measure(stack: up.Up, seconds: float, listed: int) -> tuple[list[Measured], Load, dict[int, Bare]]:
    password = secrets.token_urlsafe(12)
    async with stack.database() as connection:
        some_hash = await passwords.hashed(password)
        owners = [await owner(connection, some_hash) for _ in range(ORGANISATIONS)]
        lister = await owner(connection, some_hash)
        ids = [new_id() for _ in range(listed)]
        await connection.executemany(JOB, [(each, *lister.place) for each in ids])
        await connection.execute("ANALYZE jobs")
    asked: dict[str, Request] = {
        "POST /jobs": creating(owners),
        "GET /jobs": lambda _: request("GET", "/api/v1/jobs?limit=50", Authorization=lister.authorization),
        "GET /jobs/{id}": lambda n: request(
            "GET", f"/api/v1/jobs/{ids[n * 7919 % listed]}", Authorization=lister.authorization
        ),
        "login": signing_in(owners[:ACCOUNTS], password),
    }
    found, bare = [], {}
    await load.by_clients(stack.port, 16, 1, asked["POST /jobs"])  # plans are made, connections are open
    paced = await load.by_rate(stack.port, PACE, max(seconds, 5), asked["POST /jobs"])
    async with constant() as port, stack.pool(CONNECTIONS) as pool:
        for clients in CLIENTS:
            for what, make in asked.items():
                found.append(Measured(what, clients, await load.by_clients(stack.port, clients, seconds, make)))
            answered = await load.by_clients(port, clients, seconds, lambda _: request("GET", "/"))
            found.append(Measured("a constant", clients, answered))
            with halted(stack):
                one = await inserting(pool, clients, seconds, [lister], one_row)
                bare[clients] = Bare(one, await inserting(pool, clients, seconds, owners, same_rows))
                await pool.execute("DELETE FROM outbox WHERE subject = 'bench'")
    return found, paced, bare


def shown(found: list[Measured], paced: Load, bare: dict[int, Bare]) -> None:
    table = Table("what", "clients", "a second", "p50 ms", "p99 ms", "answers")
    for each in [*found, Measured(f"POST /jobs, {PACE} a second", 0, paced)]:
        said = " ".join(f"{status}: {times}" for status, times in sorted(each.load.statuses.items()))
        columns = (each.load.rate, each.load.p50_ms, each.load.p99_ms)
        table.add_row(each.what, str(each.clients or ""), *map(str, columns), said)
    for clients, rates in bare.items():
        table.add_row("a bare insert of one row", str(clients), f"{rates.one_row:.1f}", "", "", "")
        table.add_row("a bare insert of the same rows", str(clients), f"{rates.same_rows:.1f}", "", "", "")
    Console().print(table)


def check(found: list[Measured], paced: Load) -> None:
    """Refusals are quicker than answers: nothing is measured where there are any."""
    for each in [*found, Measured("POST /jobs", PACE, paced)]:
        if bad := {status for status in each.load.statuses if status not in (200, 201)}:
            raise RuntimeError(f"{each.what} was answered with {bad}")


async def main() -> None:
    given = report.arguments("api")
    with open_folder() as folder:
        sets = ["control.trusted_proxies=127.0.0.1", f"control.rate_scale={RATE_SCALE}"]
        async with up.running(folder, "--agents", "0", sets=sets) as stack:
            found, paced, bare = await measure(stack, *((2, LISTED // 10) if given.quick else (10, LISTED)))
    shown(found, paced, bare)
    check(found, paced)
    rates = {(each.what, each.clients): each.load.rate for each in found}
    figures = [
        Figure(name="api.create_p99_ms", value=paced.p99_ms, unit="ms", target=P99_TARGET_MS),
        Figure(
            name="api.create_rate_ratio",
            value=rates["POST /jobs", CLIENTS[-1]] / bare[CLIENTS[-1]].same_rows,
            unit="of the bare insert",
            target=RATIO_TARGET,
            better="higher",
        ),
    ]
    raw = {"loads": found, "paced": paced, "bare_inserts_a_second": {str(n): each for n, each in bare.items()}}
    report.tell("api", figures, raw, given)


if __name__ == "__main__":
    uvloop.run(main())
