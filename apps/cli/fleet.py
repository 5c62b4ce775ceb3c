"""`seedlift fleet …`: an operator's verbs, over the public API."""

import json
from typing import Annotated

from cyclopts import Parameter

from cli.operator import Where, call


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
    """List the agents and their states.

    Parameters
    ----------
    as_json
        Everything that the API says of them.
    """
    agents = call(where, "GET", "/api/v1/fleet/agents")["items"]
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
    call(where, "POST", f"/api/v1/fleet/agents/{agent}/retire")
    print(f"{agent} is retired")
