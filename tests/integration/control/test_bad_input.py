"""Whatever a caller sends: a 4xx with a code and a sentence, never a 500."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from tests.support.control import Api, torrent_file
from tests.support.until import until
from wire.bencode import encode

MIB = 1024 * 1024
HASH = "0123456789abcdef0123456789abcdef01234567"
PART = b'--b\r\nContent-Disposition: form-data; name="torrent"'


def info(**more: Any) -> bytes:
    base: dict[bytes, Any] = {b"name": b"a", b"piece length": 16_384, b"pieces": b"\0" * 20, b"length": 10}
    return encode({b"info": base | {key.encode().replace(b"_", b" "): value for key, value in more.items()}})


def path_of(*parts: bytes) -> bytes:
    files: list[Any] = [{b"length": 10, b"path": list(parts)}]
    return encode({b"info": {b"name": b"a", b"piece length": 16_384, b"pieces": b"\0" * 20, b"files": files}})


WHOLE = torrent_file("whole")
REFUSED = {
    "empty": b"",
    "no bencode": b"<html>",
    "truncated": WHOLE[:-10],
    "more behind": WHOLE + b"x",
    "deep": b"d4:info" + b"l" * 10_000 + b"e" * 10_000 + b"e",
    "bomb": b"d4:infod5:filesl" + b"de" * 1_100_000 + b"eee",
    "twice": b"d4:infod4:name1:a4:name1:bee",
    "no info": b"de",
    "info is a list": b"d4:infolee",
    "negative size": info(length=-1),
    "overflowing size": b"d4:infod6:lengthi99999999999999999999e4:name1:a12:piece lengthi16384e6:pieces0:ee",
    "huge string": b"d4:info99999999999999999999:a",
    "no pieces": info(pieces=b""),
    "piece length zero": info(piece_length=0),
    "wrong types": info(name=[b"a"], length=b"ten"),
}
CLEANED = {
    "parent": path_of(b"..", b"..", b"etc", b"passwd"),
    "absolute": path_of(b"/etc/passwd"),
    "nul": path_of(b"a\0b"),
    "reserved": path_of(b"CON.txt"),
    "300 bytes": path_of(b"x" * 300),
    "surrogates": path_of(b"\xed\xa0\x80"),
    "not utf-8": path_of(b"\xff\xfe"),
    "name is a path": info(name=b"../../a"),
    "nul in the name": info(name=b"a\0b"),
    "direction mark": path_of("\u202etxt.exe".encode()),
}


def is_refusal(answer: httpx.Response) -> bool:
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == answer.status_code
    assert said["code"]
    assert said["code"] != "internal"
    assert len(said["detail"]) > 5
    assert said["request_id"] == answer.headers["X-Request-Id"]
    return True


@pytest.fixture(scope="module")
async def http(api: Api) -> Any:
    async with api.member() as member:
        yield member


@pytest.mark.parametrize("where", ["/api/v1/jobs", "/api/v1/torrents/inspect"])
@pytest.mark.parametrize("what", REFUSED)
async def test_a_torrent_that_is_none_is_refused(http: httpx.AsyncClient, what: str, where: str) -> None:
    form = await http.post(where, files={"torrent": ("a.torrent", REFUSED[what])})
    raw = await http.post(where, content=REFUSED[what], headers={"Content-Type": "application/x-bittorrent"})
    assert is_refusal(form)
    assert is_refusal(raw)


@pytest.mark.parametrize("what", CLEANED)
async def test_a_hostile_name_is_made_harmless(http: httpx.AsyncClient, what: str) -> None:
    made = await http.post("/api/v1/jobs", files={"torrent": ("a.torrent", CLEANED[what])})
    assert made.status_code == 201, made.text
    (file,) = (await http.get(f"/api/v1/jobs/{made.json()['id']}/files")).json()["items"]
    for name in (made.json()["name"], *file["path"].split("/")):
        assert name not in ("", ".", "..")
        assert len(name.encode()) <= 255
        assert not set(name) & set("\0/\\\u202e")


@pytest.mark.parametrize(
    "magnet",
    [
        "",
        "magnet:?",
        "magnet:?dn=x",
        "http://example.org",
        "magnet:?xt=urn:btih:" + "z" * 40,
        "magnet:?xt=urn:btih:" + "1" * 32,
        "magnet:?xt=urn:btih:" + "0" * 40,
        "magnet:?xt=urn:btmh:1220abcd",
        f"magnet:?xt=urn:btih:{HASH}&xt=urn:btih:{'f' * 40}",
        f"magnet:?xt=urn:btih:{HASH}&dn=" + "x" * 70_000,
        f"magnet:?xt=urn:btih:{HASH}&dn=a\0b",
        f"magnet:?xt=urn:btih:{HASH}&so=9-1",
    ],
)
async def test_a_magnet_that_is_none_is_refused(http: httpx.AsyncClient, magnet: str) -> None:
    assert is_refusal(await http.post("/api/v1/jobs", json={"magnet": magnet}))


@pytest.mark.parametrize(
    "where", ["/api/v1/jobs", "/api/v1/auth/register", "/api/v1/auth/keys", "/api/v1/torrents/inspect"]
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe",
        b'{"name": 1}',
        b'{"name": "x", "unknown": 1}',
        b'{"magnet": "\\ud800", "email": "\\ud800", "name": "\\ud800"}',
        b'{"magnet": "a", "email": "a", "name": "\\u0000"}',
        b'{"magnet": "a", "torrent": "b"}',
        b'{"torrent": "not base64!"}',
        b'{"magnet": null}',
    ],
)
async def test_json_that_was_not_asked_for_is_refused(http: httpx.AsyncClient, where: str, body: bytes) -> None:
    assert is_refusal(await http.post(where, content=body, headers={"Content-Type": "application/json"}))


@pytest.mark.parametrize(
    "where", ["/api/v1/jobs", "/api/v1/auth/login", "/api/v1/auth/keys", "/api/v1/torrents/inspect"]
)
async def test_ten_mebibytes_of_json_are_too_much(http: httpx.AsyncClient, where: str) -> None:
    body = b'{"magnet": "' + b"x" * (10 * MIB) + b'"}'
    answer = await http.post(where, content=body, headers={"Content-Type": "application/json"})
    assert is_refusal(answer)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_torrent_of_forty_mebibytes_is_too_large(http: httpx.AsyncClient) -> None:
    raw = await http.post("/api/v1/jobs", content=b"x" * 40 * MIB, headers={"Content-Type": "application/x-bittorrent"})
    form = await http.post("/api/v1/jobs", files={"torrent": ("a", b"x" * 40 * MIB)})
    assert (raw.status_code, form.status_code) == (413, 413)
    assert is_refusal(raw)
    assert is_refusal(form)


@pytest.mark.parametrize("where", ["/api/v1/jobs", "/api/v1/auth/register", "/api/v1/auth/keys"])
@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "nonsense"])
async def test_another_content_type_is_refused(http: httpx.AsyncClient, where: str, kind: str) -> None:
    answer = await http.post(where, content=b'{"name": "x"}', headers={"Content-Type": kind})
    assert is_refusal(answer)
    assert answer.status_code == 415


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=b", b"nonsense"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data; name=torrent\r\n\r\nabc"),
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nnothing\r\n\r\nabc\r\n--b--\r\n"),
        ("multipart/form-data; boundary=\xe4", b"--b--\r\n"),
        ("multipart/form-data; boundary=b", PART + b"\r\n\r\n\xff\xfe\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", PART + b"\r\nContent-Type: text/plain; charset=x\r\n\r\na\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", PART + b"\r\nX: " + b"x" * 99_999 + b"\r\n\r\na\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", (PART + b"\r\n\r\na\r\n") * 1_200 + b"--b--\r\n"),
    ],
)
async def test_a_broken_form_is_refused(http: httpx.AsyncClient, kind: str, body: bytes) -> None:
    answer = await http.post("/api/v1/jobs", content=body, headers=[(b"Content-Type", kind.encode("latin-1"))])
    assert is_refusal(answer)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/%00", 404),
        ("GET", "/" + "x" * 5000, 404),
        ("GET", "/index.html/x", 404),
        ("GET", "/%ff%fe", 404),
        ("PATCH", "/api/v1/jobs", 405),
        ("DELETE", "/api/v1/auth/me", 405),
        ("GET", "/api/v1/jobs/1", 404),
        ("GET", "/api/v1/jobs/%00", 404),
        ("GET", "/api/v1/jobs/01a1fdfc-4b8a-7ebe-ac17-960b4c865b7", 404),
        ("POST", "/api/v1/jobs/01a1fdfc-4b8a-7ebe-ac17-960b4c865b79/files/99999999999999999999/link", 404),
        ("POST", "/api/v1/jobs/01a1fdfc-4b8a-7ebe-ac17-960b4c865b79/files/x/link", 404),
        ("GET", "/api/v1/jobs?cursor=x", 422),
        ("GET", "/api/v1/jobs?cursor=%00", 422),
        ("GET", "/api/v1/jobs?cursor=%ff", 422),
        ("GET", "/api/v1/jobs?limit=0", 422),
        ("GET", "/api/v1/jobs?limit=x", 422),
        ("GET", "/api/v1/jobs?limit=99999999999999999999", 422),
        ("GET", "/api/v1/jobs?state=lost", 422),
    ],
)
async def test_a_place_that_is_not_there_is_said_so(
    http: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await http.request(method, path)
    assert is_refusal(answer)
    assert answer.status_code == status


async def test_odd_headers_break_nothing(http: httpx.AsyncClient, api: Api) -> None:
    magnet = f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"
    for key in (b"", b"x" * 256, b"\xff", b"a b"):
        asked = await http.post("/api/v1/jobs", json={"magnet": magnet}, headers=[(b"Idempotency-Key", key)])
        assert is_refusal(asked)
    for sent in (b"", b"x", b"a" * 100, b"\xff" * 10, b"<script>alert(1)</script>"):
        given = (await http.get("/healthz", headers=[(b"X-Request-Id", sent)])).headers["X-Request-Id"]
        assert given.encode("latin-1") != sent
    assert (await http.get("/healthz", headers={"X-Request-Id": "mine-12345"})).headers["X-Request-Id"] == "mine-12345"
    async with api.client() as nobody:
        for value in (b"Bearer", b"Basic YTpi", b"Bearer \xff", b"Bearer " + b"x" * 5000, b"Bearer a.b.c"):
            answer = await nobody.get("/api/v1/auth/me", headers=[(b"Authorization", value)])
            assert is_refusal(answer)
            assert answer.status_code == 401
        for value in (b"session=", b"session=\xff", b"session=" + b"x" * 6000, b'session="\\000"'):
            assert (await nobody.get("/api/v1/auth/me", headers=[(b"Cookie", value)])).status_code == 401


async def test_a_body_that_ends_too_soon_is_no_fault_of_ours(api: Api) -> None:
    address = httpx.URL(api.url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    async with api.member() as member:
        cookie = f"session={member.cookies['session']}\r\nX-CSRF-Token: {member.headers['X-CSRF-Token']}"
    head = f"POST /api/v1/jobs HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Type: application/json\r\n"
    before = _counted("422")
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    writer.close()
    assert await reader.read() == b""
    await until(lambda: _counted("422") == before + 1)


def _counted(status: str) -> float:
    labels = {"method": "POST", "route": "/api/v1/jobs", "status": status}
    return REGISTRY.get_sample_value("control_http_answers_total", labels) or 0.0


async def test_every_answer_wears_its_headers(http: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/api/v1/auth/me", "/nothing"):
        headers = (await http.get(path)).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
