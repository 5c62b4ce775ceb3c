"""`seedlift fleet …`: an operator's verbs, over the public API."""

import json
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from cli.programs import ROOT, refuse

CALL_S = 30.0


@Parameter(name="*")
class Where:
    """Which API, and the key to it."""

    def __init__(self, *, url: str | None = None, key: str | None = None, data: Path = ROOT / ".seedlift") -> None:
        """
        Parameters
        ----------
        url
            The API. Default: SEEDLIFT_URL, else that of the local stack.
        key
            An operator's API key. Default: SEEDLIFT_API_KEY, else that of the local stack.
        data
            The local stack's data folder.
        """
        self.url = url
        self.key = key
        self.data = data


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
    answer = _call(
        where, "POST", "/api/v1/fleet/tokens", {key: value for key, value in body.items() if value is not None}
    )
    print(answer["token"])


def list_agents(*, as_json: Annotated[bool, Parameter(name="--json")] = False, where: Where | None = None) -> None:
    """List the agents and their states.

    Parameters
    ----------
    as_json
        Everything that the API says of them.
    """
    agents = _call(where, "GET", "/api/v1/fleet/agents")["items"]
    if as_json:
        print(json.dumps(agents, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    table.add_column("id", min_width=36)  # whole, however narrow the terminal: `retire` wants it
    for title in ("name", "pool", "state", "seen"):
        table.add_column(title)
    for agent in agents:
        table.add_row(*(str(agent.get(field) or "") for field in ("id", "name", "pool", "state", "seen_at")))
    Console().print(table)


def retire(agent: str, /, *, where: Where | None = None) -> None:
    """Cut an agent off at once and for good; its transfers go to others.

    Parameters
    ----------
    agent
        Its id, from `seedlift fleet list`.
    """
    _call(where, "POST", f"/api/v1/fleet/agents/{agent}/retire")
    print(f"{agent} is retired")


def _call(where: Where | None, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    import httpx  # only the verbs that talk pay for it

    url, key = _found(where or Where())
    try:
        answer = httpx.request(
            method, url + path, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=CALL_S
        )
    except httpx.TransportError as failed:
        refuse(f"{url} does not answer: {failed}")
    if answer.is_error:
        refuse(f"{url} answered {answer.status_code}: {answer.text[:500]}")
    return dict(answer.json()) if answer.content else {}


def _found(where: Where) -> tuple[str, str]:
    url = where.url or os.environ.get("SEEDLIFT_URL")
    key = where.key or os.environ.get("SEEDLIFT_API_KEY")
    local = where.data / "operator.json"
    if (url is None or key is None) and local.exists():
        try:
            known = json.loads(local.read_text())
        except PermissionError:
            refuse(f"{local} is its owner's alone: run as that account, or give --url and --key.")
        url, key = url or known["url"], key or known["api_key"]
    if url is None or key is None:
        refuse(
            "which API, and with which key? Give --url and --key (or SEEDLIFT_URL and SEEDLIFT_API_KEY), or --data DIR."
        )
    return url.rstrip("/"), key
