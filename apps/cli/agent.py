"""`seedlift agent run` and `seedlift agent enrol`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.programs import become


def run(*, folder: Annotated[Path | None, Parameter(name="--dir")] = None) -> None:
    """Run the agent that was enrolled into a folder, until SIGTERM.

    Parameters
    ----------
    folder
        The agent's folder. Default: SEEDLIFT_AGENT_DIR.
    """
    become("agent", "run", env={} if folder is None else {"SEEDLIFT_AGENT_DIR": str(folder)})


def enrol(*, token: str, name: str, folder: Annotated[Path, Parameter(name="--dir")], again: bool = False) -> None:
    """Make an identity for a new agent and have it signed by the fleet.

    Parameters
    ----------
    token
        What `seedlift fleet token` printed; good for one agent.
    name
        What the operators shall call it.
    folder
        Identity, journals and data go here.
    again
        The folder's identity is no longer good (its certificate ended, its agent was retired): the new one takes its
        place, and goes on with what lies there.
    """
    arguments = ["--token", token, "--name", name, "--dir", str(folder), *(["--again"] if again else [])]
    become("agent", "enrol", *arguments)
