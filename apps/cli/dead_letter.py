"""`seedlift dead-letter …`: what was given up, and another try; over the public API."""

import json
from typing import Annotated, Any
from urllib.parse import urlencode

from cyclopts import Parameter

from cli.operator import Where, call
from cli.programs import refuse

PATH = "/api/v1/admin/dead-letters"


def list_letters(
    *,
    code: str | None = None,
    org: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    where: Where | None = None,
) -> None:
    """List the transfers that were given up after five tries, and why.

    Parameters
    ----------
    code
        Only of this failure.
    org
        Only of this organisation.
    as_json
        Everything that the API says of them.
    """
    letters = _all(where, {"code": code, "org": org})
    if as_json:
        print(json.dumps(letters, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    table.add_column("id", min_width=36)  # whole, however narrow the terminal: `replay` wants it
    for title in ("name", "code", "tries", "agents", "at"):
        table.add_column(title)
    for letter in letters:
        agents = ", ".join(agent["name"] or agent["id"] for agent in letter["agents"])
        table.add_row(letter["id"], letter["name"] or "", letter["code"], str(letter["tries"]), agents, letter["at"])
    Console().print(table)


def replay(
    *ids: str,
    code: str | None = None,
    org: str | None = None,
    everything: bool = False,
    where: Where | None = None,
) -> None:
    """Give dead letters another five tries: some by id, or all that a filter leaves.

    Parameters
    ----------
    ids
        From `seedlift dead-letter list`.
    code
        All of this failure.
    org
        All of this organisation.
    everything
        All that there are.
    """
    if not ids and code is None and org is None and not everything:
        refuse("which? Give ids, --code, --org or --everything.")
    body: dict[str, Any] = {"ids": list(ids)} if ids else {"code": code, "org": org, "everything": everything}
    skipped: dict[str, str] = {}
    count, left = 0, 1
    while left:
        said = call(where, "POST", f"{PATH}/replay", body)
        count, left = count + len(said["replayed"]), said["left"]
        skipped |= {each["id"]: each["code"] for each in said["skipped"]}
    for transfer, why in skipped.items():
        print(f"{transfer} is left as it is: {why}")
    print(f"{count} replayed")


def _all(where: Where | None, chosen: dict[str, str | None]) -> list[dict[str, Any]]:
    letters: list[dict[str, Any]] = []
    asked = {name: value for name, value in chosen.items() if value is not None}
    while True:
        page = call(where, "GET", f"{PATH}?{urlencode(asked)}")
        letters += page["items"]
        if page["next_cursor"] is None:
            return letters
        asked["cursor"] = page["next_cursor"]
