"""A bot check's other side: an ALTCHA challenge solved as its widget does, and a stand-in for Turnstile."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import httpx
import msgspec
import uvicorn

from control.serve import Server, bound

GOOD = "XXXX.DUMMY.TOKEN.XXXX"


def solve(challenge: dict[str, Any]) -> str:
    """The widget's answer: JSON, in base64."""
    for number in range(challenge["maxnumber"] + 1):
        if hashlib.sha256(f"{challenge['salt']}{number}".encode()).hexdigest() == challenge["challenge"]:
            told = {key: challenge[key] for key in ("algorithm", "challenge", "salt", "signature")}
            return encoded(told | {"number": number, "took": 12})
    raise AssertionError("no number solves it")


def encoded(said: dict[str, Any]) -> str:
    return base64.b64encode(msgspec.json.encode(said)).decode()


async def check(http: httpx.AsyncClient) -> str:
    return solve((await http.get("/api/v1/auth/bot-check/challenge")).json())


@asynccontextmanager
async def turnstile(asked: list[dict[str, str]]) -> AsyncIterator[str]:
    """A service of somebody else's: it says yes to one token. `asked` fills with what it was asked."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        form = {key: value[0] for key, value in parse_qs((await receive())["body"].decode()).items()}
        asked.append(form)
        good = form["response"] == GOOD
        body = msgspec.json.encode({"success": good, "error-codes": [] if good else ["invalid-input-response"]})
        head = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
        await send(head)
        await send({"type": "http.response.body", "body": body})

    with bound("127.0.0.1", 0) as listening:
        server = Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="none"))
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listening]))
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/turnstile/v0/siteverify"
            server.should_exit = True
