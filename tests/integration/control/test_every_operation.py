"""Every operation of the OpenAPI document, with everything hostile that fits into it: never a 5xx, always a problem."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
from msgspec import Struct

from control.plane import Plane
from tests.support.control import Api, serving, unhurried
from wire.ids import new_id

T = TypeVar("T")
METHODS = ("get", "post", "put", "patch", "delete")
VERBS = ["HEAD", "OPTIONS", "TRACE", "PUT", "PATCH", "DELETE", "PROPFIND"]
ABREAST = 8
SHARES = 4
ENDLESS = "/events"
"""Of what it answers only the head is read."""

TEXTS: list[Any] = [
    "",
    " ",
    "\n",
    "a" * 100_000,
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "CON",
    "x" * 300,
    "\u202etxt.exe",
    "ß\u0130ŉ",
    "\U0001f4a9" * 400,
    "' OR 1=1 --",
    "%00",
    "{}",
    "slk_" + "a" * 8,
    None,
    True,
    -1,
    2**31,
    2**63,
    2**64,
    1e400,
    [],
    {},
]
RAW = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"0",
    b'""',
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b'{"unknown": 1}',
    b'{"email": "a\\u0000b", "name": "\\u0000", "magnet": "\\u0000", "reason": "\\u0000"}',
    b'{"email": "\\ud800", "name": "\\udfff", "magnet": "\\ud800", "reason": "\\ud800", "password": "\\ud800aaaaaaaa"}',
    b'{"name": "a", "name": "b"}',
    b'{"ttl_s": 1e3}',
    b'{"ttl_s": -1}',
    b'{"ttl_s": 99999999999999999999999}',
    b'{"name": "x"} trailing',
    b"d4:infod6:lengthi-1eee",
    b"x" * 1_100_000,
]
KINDS = [
    "application/json",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=b",
    "text/plain",
    "",
    "application/x-bittorrent",
    "\xff",
    ";;;",
    "multipart/form-data",
]
PATHS = [
    "0",
    "-1",
    "%00",
    "%ff",
    "..",
    "a" * 3000,
    "99999999999999999999",
    "00000000-0000-0000-0000-000000000000",
    "%2f",
]
QUERIES = [
    "limit=-1",
    "limit=0",
    "limit=99999999999999999999",
    "limit=x",
    "limit=1&limit=2",
    "cursor=%00",
    "cursor=%ff",
    "cursor=" + "A" * 5000,
    "cursor=aQ",
    "cursor=bv____8",
    "cursor=bn__f38",
    "state=",
    "state=%00",
    "&".join(["state=queued"] * 300),
    "state[]=x",
    "%00=%00",
    "a=" + "b" * 20_000,
    "&&&===",
]
HEADERS = [
    ("Idempotency-Key", b"\xff"),
    ("Idempotency-Key", b"x" * 5000),
    ("User-Agent", b"\xff\xfe" * 500),
    ("X-Request-Id", b"\xff"),
    ("X-CSRF-Token", b"\xff"),
    ("Cookie", b"session=%00; session=\xff"),
    ("Cookie", b";;;==="),
    ("Authorization", b"\xff"),
    ("Authorization", b"Bearer"),
    ("Authorization", b"Bearer \xff"),
    ("Accept", b"\xff"),
    ("Authorization", b"Bearer eyJhbGciOiJub25lIn0.e30."),
    ("Host", b"\xff"),
    ("Range", b"bytes=x"),
    ("Origin", b"null"),
    ("Content-Encoding", b"gzip"),
    ("Last-Event-ID", b"\xff"),
    ("X-Forwarded-For", b"\xff, 1"),
    ("If-None-Match", b"\xff"),
    ("If-Modified-Since", b"x"),
    ("Accept-Encoding", b"\xff"),
    ("X-HTTP-Method-Override", b"DELETE"),
]


class Operation(Struct, frozen=True):
    method: str
    path: str
    fields: tuple[str, ...]
    """Of the JSON body, if it takes one."""

    def at(self, value: str) -> str:
        """The path, with every parameter in it set to the same."""
        return "/".join(value if part.startswith("{") else part for part in self.path.split("/"))


@pytest.fixture(scope="module")
async def own(plane: Plane, api: Api) -> AsyncIterator[Api]:
    """A listener of its own, that throttles nobody."""
    async with serving(unhurried(plane)) as url:
        yield msgspec.structs.replace(api, url=url)


@pytest.fixture(scope="module")
async def operations(own: Api) -> list[Operation]:
    async with own.client() as http:
        said = (await http.get("/api/schema")).json()
    return [
        Operation(method.upper(), path, tuple(fields_of(said, operation)))
        for path, item in said["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def fields_of(said: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for one in (schema, *schema.get("oneOf", [])):
        named = said["components"]["schemas"].get(one.get("$ref", "").rpartition("/")[2], one)
        yield from named.get("properties", {})


@pytest.fixture(scope="module")
async def http(own: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with own.member() as member:
        # With a key and not a cookie, so that ending the session ends nothing for the next case.
        key = (await member.post("/api/v1/auth/keys", json={"name": "x"})).json()["secret"]
        async with own.client() as client:
            client.headers["Authorization"] = f"Bearer {key}"
            yield client


class Case(Struct, frozen=True):
    method: str
    url: str
    content: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


async def sent(http: httpx.AsyncClient, cases: list[Case]) -> list[str]:
    """What was wrong with the answers."""
    abreast = asyncio.Semaphore(ABREAST)

    async def one(case: Case) -> str | None:
        async with abreast:
            headers = [(name.encode(), value) for name, value in case.headers]
            async with http.stream(case.method, case.url, content=case.content, headers=headers) as answer:
                body = b"" if answer.is_success and case.url.endswith(ENDLESS) else await answer.aread()
            wrong = _wrong(answer, body)
            return (
                f"{case.method} {case.url[:100]} {(case.content or b'')[:60]!r} {headers}: {wrong}" if wrong else None
            )

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(case)) for case in cases]
    return [wrong for task in tasks if (wrong := task.result())]


def _wrong(answer: httpx.Response, body: bytes) -> str | None:
    if answer.status_code >= 500:
        return f"{answer.status_code} {body[:200]!r}"
    if answer.status_code < 400:
        return None
    if answer.headers.get("Content-Type") != "application/problem+json":
        return f"no problem document: {answer.status_code} {body[:200]!r}"
    if answer.request.method == "HEAD":
        return None if not body else "a body where none belongs"
    said = msgspec.json.decode(body)
    whole = said["status"] == answer.status_code and said["code"] and len(said["detail"]) > 5
    return None if whole else f"half a problem: {body[:200]!r}"


def odd(operation: Operation) -> list[bytes]:
    """Each field with each odd value, the others with a harmless one."""
    return [
        msgspec.json.encode(dict.fromkeys(operation.fields, "harmless") | {field: value})
        for field in operation.fields
        for value in TEXTS
    ]


def share(all_of_them: list[T], number: int) -> list[T]:
    """Of what hits every operation in the same place: each gets some, and some operations get each."""
    return all_of_them[number % SHARES :: SHARES]


async def test_hostile_bodies(http: httpx.AsyncClient, operations: list[Operation]) -> None:
    cases = [
        Case(op.method, op.at(str(new_id())), body, (("Content-Type", b"application/json"),))
        for number, op in enumerate(operations)
        if op.method != "GET"
        for body in [*odd(op), *share(RAW, number)]
    ]
    cases += [
        Case(op.method, op.at(str(new_id())), body, (("Content-Type", kind.encode("latin-1")),))
        for number, op in enumerate(operations)
        if op.method != "GET"
        for kind in share(KINDS, number)
        for body in (b"{}", b"--b--\r\n", b"d4:infodee")
    ]
    assert await sent(http, cases) == []


async def test_hostile_places_and_headers(http: httpx.AsyncClient, operations: list[Operation]) -> None:
    cases = [Case(op.method, op.at(value)) for op in operations if "{" in op.path for value in PATHS]
    cases += [
        Case("GET", f"{op.at(str(new_id()))}?{query}") for op in operations if op.method == "GET" for query in QUERIES
    ]
    cases += [
        Case(op.method, op.at(str(new_id())), None, (header,))
        for number, op in enumerate(operations)
        for header in share(HEADERS, number)
    ]
    cases += [
        Case(method, op.at(str(new_id()))) for number, op in enumerate(operations) for method in share(VERBS, number)
    ]
    assert await sent(http, cases) == []
