"""`seedlift fleet …`: an operator's verbs, over the public API."""

import json
import time
from contextlib import suppress
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from cyclopts import Parameter

from cli.operator import Where, call
from cli.programs import refuse

POLL_S = 0.5
AGENT_COLUMNS = ("name", "pool", "region", "state", "running", "slots", "disk_free_bytes", "version", "seen_at")
POOL_COLUMNS = ("name", "agents", "ready", "slots", "running", "waiting", "seeding", "description")


def token(
    *, name: str | None = None, pool: str | None = None, ttl_s: int | None = None, where: Where | None = None
) -> None:
    """Print a token with which one new agent may enrol.

    Parameters
    ----------
    name
        What the agent shall be called.
    pool
        The pool that it joins.
    ttl_s
        For how many seconds the token is good.
    """
    body = {"name": name, "pool": pool, "ttl_s": ttl_s}
    answer = call(
        where, "POST", "/api/v1/fleet/tokens", {key: value for key, value in body.items() if value is not None}
    )
    print(answer["token"])


def list_agents(*, as_json: Annotated[bool, Parameter(name="--json")] = False, where: Where | None = None) -> None:
    """List the agents: what they are, what they do, and when they were heard of last.

    A version with a * is another than the control plane's.

    Parameters
    ----------
    as_json
        Everything that the API says of them, ids too.
    """
    agents = call(where, "GET", "/api/v1/fleet/agents")["items"]
    if not as_json:
        agents = [each | {"version": each["version"] + " *" * (not each["is_current"])} for each in agents]
    _table(agents, AGENT_COLUMNS, as_json=as_json)


def show(
    agent: str, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False, where: Where | None = None
) -> None:
    """Show one agent: what it is, what it should do, and the transfers that it holds.

    Parameters
    ----------
    agent
        Its name or id, from `seedlift fleet list`.
    as_json
        As the API says it.
    """
    shown = call(where, "GET", _url(where, agent))
    if as_json:
        print(json.dumps(shown, indent=2))
        return
    for field, value in shown["agent"].items():
        print(f"{field:18} {_short(field, value)}")
    for each in shown["held"]:
        size = _bytes(each["size_bytes"])
        print(f"holds {each['id']} {each['state']} at epoch {each['epoch']}, {_bytes(each['stored_bytes'])} of {size}")


def cordon(agent: str, /, *, reason: str | None = None, where: Where | None = None) -> None:
    """Give an agent no new work; what it has goes on. At once, and until `seedlift fleet uncordon`, restarts included.

    Parameters
    ----------
    agent
        Its name or id.
    reason
        Stands in the log of audit.
    """
    _assign(where, agent, "cordon", {"reason": reason})


def uncordon(agent: str, /, *, reason: str | None = None, where: Where | None = None) -> None:
    """Give an agent work again, whether it was cordoned or drained.

    Parameters
    ----------
    agent
        Its name or id.
    reason
        Stands in the log of audit.
    """
    _assign(where, agent, "uncordon", {"reason": reason})


def drain(
    agent: str,
    /,
    *,
    hand_over: bool = False,
    wait_s: float = 0,
    reason: str | None = None,
    where: Where | None = None,
) -> None:
    """Empty an agent, before its machine is stopped or upgraded: no new work, and none left behind.

    It is `draining` until it holds nothing, then `drained`: it may be stopped, and nobody misses it. Give it work again
    with `seedlift fleet uncordon`. An upgrade of a fleet, one agent after the other:

    `seedlift fleet drain rack-1 --hand-over --wait-s 60`, restart it, `seedlift fleet uncordon rack-1`

    Parameters
    ----------
    agent
        Its name or id.
    hand_over
        Others go on with its transfers, from the parts that are stored: seconds. Else it ends them itself, however long
        that takes.
    wait_s
        Wait so long for `drained`; exit code 1 if it is not by then.
    reason
        Stands in the log of audit.
    """
    url = _assign(where, agent, "drain", {"hand_over": hand_over, "reason": reason})
    ends_at = time.monotonic() + wait_s
    while wait_s and call(where, "GET", url)["agent"]["state"] != "drained":
        if time.monotonic() > ends_at:
            refuse(f"{agent} is not drained within {wait_s:g} s; `seedlift fleet show {agent}` says what it holds.")
        time.sleep(POLL_S)
    if wait_s:
        print(f"{agent} is drained")


def rename(agent: str, name: str, /, *, where: Where | None = None) -> None:
    """Call an agent something else. It is known by its certificate: nothing else changes.

    Parameters
    ----------
    agent
        Its name or id.
    name
        The new one, which no other agent may have.
    """
    call(where, "PATCH", _url(where, agent), {"name": name})
    print(f"{agent} is now {name}")


def limit(agent: str, /, *, down: str | None = None, up: str | None = None, where: Where | None = None) -> None:
    """Limit the speed of an agent: all that it does shares it, fairly. At once, and until it is changed again.

    `seedlift fleet limit rack-1 --down 40M --up 5M`; `--up 0` takes the limit away.

    Parameters
    ----------
    agent
        Its name or id.
    down
        Bytes a second from peers, or with K, M or G behind it (1024 of the one before); 0 is no limit.
    up
        The same, to peers.
    """
    asked = {field: _speed(text) for field, text in (("down_max", down), ("up_max", up)) if text is not None}
    said = call(where, "PATCH", f"{_url(where, agent)}/speed", asked)
    down_max, up_max = (str(said[field] or "no limit") for field in ("down_max", "up_max"))
    print(f"{said['name']} down: {down_max}, up: {up_max}")


def _speed(text: str) -> int:
    number, factor = (text[:-1], 1024 ** (1 + "KMG".index(text[-1]))) if text[-1:] in ("K", "M", "G") else (text, 1)
    try:
        return int(float(number) * factor)
    except (ValueError, OverflowError):
        refuse(f"{text!r} is no speed: bytes a second, as 500K, 40M or 0.")


def retire(agent: str, /, *, reason: str | None = None, where: Where | None = None) -> None:
    """Cut an agent off at once and for good; its transfers go to others.

    Parameters
    ----------
    agent
        Its name or id, from `seedlift fleet list`.
    reason
        Stands in the log of audit.
    """
    call(where, "POST", f"{_url(where, agent)}/retire", {"reason": reason})
    print(f"{agent} is retired")


def pools(*, as_json: Annotated[bool, Parameter(name="--json")] = False, where: Where | None = None) -> None:
    """List the pools: sets of agents that take the same work.

    Parameters
    ----------
    as_json
        As the API says it.
    """
    _table(call(where, "GET", "/api/v1/fleet/pools")["items"], POOL_COLUMNS, as_json=as_json)


def pool(
    name: str,
    /,
    *,
    description: str | None = None,
    seeding: Literal["never", "downloading", "after"] | None = None,
    ratio: float | None = None,
    hours: float | None = None,
    where: Where | None = None,
) -> None:
    """Make a pool, or describe it anew; then `seedlift fleet token --pool NAME` lets agents into it.

    What is not said stays as it is. Seeding changes at once, for what is under way too.

    Parameters
    ----------
    name
        Letters, digits, - and _.
    description
        For people.
    seeding
        Whether peers are given what its agents have: `never`, while they are `downloading` more of it, or also `after`
        all is stored.
    ratio
        With `after`: until so many times what is stored was given.
    hours
        With `after`: for so long, at most 720.
    """
    body: dict[str, Any] = {} if description is None else {"description": description}
    if seeding is not None:
        seconds = None if hours is None else round(hours * 3600)
        body["seeding"] = {"when": seeding, "ratio": ratio, "seconds": seconds}
    elif ratio is not None or hours is not None:
        refuse("--ratio and --hours go with --seeding after.")
    call(where, "PUT", f"/api/v1/fleet/pools/{quote(name, safe='')}", body)
    print(f"pool {name} is there")


def _assign(where: Where | None, agent: str, verb: str, body: dict[str, Any]) -> str:
    url = _url(where, agent)
    said = call(where, "POST", f"{url}/{verb}", body)
    print(f"{said['name']} is {said['state']}")
    return url


def _url(where: Where | None, agent: str) -> str:
    """By id, or by the name of one that is not retired."""
    agents = "/api/v1/fleet/agents"
    with suppress(ValueError):
        return f"{agents}/{UUID(agent)}"
    items = call(where, "GET", agents)["items"]
    ids = [each["id"] for each in items if each["name"] == agent and each["retired_at"] is None]
    if not ids:
        refuse(f"there is no agent {agent!r}; `seedlift fleet list` shows them.")
    return f"{agents}/{ids[0]}"


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    titles = [column.removesuffix("_at").removesuffix("_bytes") for column in columns]
    lines = [titles, *([_short(column, row.get(column)) for column in columns] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _short(field: str, value: Any) -> str:
    if value is None:
        return ""
    if field.endswith("_bytes"):
        return _bytes(value)
    if field.endswith(("_at", "_until")):
        return str(value)[:19].replace("T", " ")
    if field == "seeding":
        return " ".join([value["when"], *(f"{value[key]:g} {key}" for key in ("ratio", "seconds") if value[key])])
    if isinstance(value, dict):
        return ",".join(f"{key}={each}" for key, each in value.items())
    return str(value)


def _bytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 2**30:.1f} GiB"
