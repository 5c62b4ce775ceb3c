"""`seedlift up`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.programs import become


def up(
    *,
    data: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    agents: int | None = None,
    demo: bool = False,
    ready_file: Path | None = None,
    set: Annotated[list[str] | None, Parameter(negative="")] = None,  # noqa: A002 - the option's name
) -> None:
    """Run the whole system on this machine: PostgreSQL, NATS, an S3 store, api, work and agents. Ctrl-C stops it.

    Parameters
    ----------
    data
        Everything is kept here. Default: .seedlift in the project's folder.
    host
        Where the web app, the API and the S3 gateway listen; the rest stays on loopback. Default: 127.0.0.1.
    port
        First of a row of ports: N web and API, N+1 fleet, N+2 NATS, N+3 S3, N+4 and on internal. Kept in the
        data folder; 8000 at first.
    agents
        How many agents to run. Default: 1.
    demo
        Also run a swarm on loopback with a torrent of our own making.
    ready_file
        Once everything is ready, addresses and the first password are written to this file, as JSON.
    set
        Override a setting of the programs: control.NAME=VALUE or agent.NAME=VALUE. May be given several times.
    """
    given = {"DATA": data, "HOST": host, "PORT": port, "AGENTS": agents, "READY_FILE": ready_file}
    given |= {"DEMO": "true" if demo else None, "SETS": "\n".join(set) if set else None}
    become("stack", env={f"SEEDLIFT_{name}": str(value) for name, value in given.items() if value is not None})
