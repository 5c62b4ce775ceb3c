"""The few calls that `up` makes to its own public API: a token for each agent, and which agents are there."""

import asyncio
import http.client
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from stack.errors import CannotStart

CALL_S = 10.0
TOKEN_S = 120
"""The token goes from one child of ours to the next at once."""
ABSENT = frozenset({"enrolled", "lost"})
"""States of an agent that has not said anything yet; a cordoned or retired one is there, only not working."""

T = TypeVar("T")


class Operator(Struct, frozen=True):
    """Where the API is and the key to it, and the database for what goes past the API; in the data folder as
    `operator.json` for `seedlift fleet` and `seedlift audit`."""

    url: str
    api_key: str
    work_database_url: str


class Token(Struct, frozen=True):
    token: str


class Agent(Struct, frozen=True):
    name: str
    state: str


class Agents(Struct, frozen=True):
    items: list[Agent]


async def token(operator: Operator, name: str) -> str:
    body = msgspec.json.encode({"name": name, "ttl_s": TOKEN_S})
    return (await _call(operator, "POST", "/api/v1/fleet/tokens", Token, body)).token


async def present(operator: Operator) -> set[str]:
    """Names of the agents that have reported."""
    agents = await _call(operator, "GET", "/api/v1/fleet/agents", Agents)
    return {agent.name for agent in agents.items if agent.state not in ABSENT}


async def _call(operator: Operator, method: str, path: str, gives: type[T], body: bytes | None = None) -> T:
    """In a thread, with the standard library: an HTTP client would stay in memory, and we never call again."""
    status, answer = await asyncio.to_thread(_blocking_call, operator, method, path, body)
    if status not in (200, 201):
        raise CannotStart(f"the API answered {method} {path} with {status}: {answer[:500].decode(errors='replace')}")
    return msgspec.json.decode(answer, type=gives)


def _blocking_call(operator: Operator, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(operator.url).netloc, timeout=CALL_S)
    try:
        headers = {"Authorization": f"Bearer {operator.api_key}", "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError as failed:
        raise CannotStart(f"the API at {operator.url} does not answer: {failed}") from None
    finally:
        connection.close()
