"""`seedlift storage …`: the store held against the rows; over the public API."""

import time

from cli.operator import Where, call
from cli.programs import refuse

PATH = "/api/v1/admin/storage/sweeps"
POLL_S = 0.5
WAIT_S = 3600.0
"""Some millions of names."""


def sweep(*, dry_run: bool = False, where: Where | None = None) -> None:
    """Find what is in the store and in no row, and what is in a row and not in the store; and clean up.

    Parameters
    ----------
    dry_run
        Only say what there is.
    """
    said = call(where, "POST", PATH, {"dry_run": dry_run})
    ends = time.monotonic() + WAIT_S
    while said["ended_at"] is None:
        if time.monotonic() > ends:
            refuse(f"it goes on: ask again with GET {PATH}/{said['id']}")
        time.sleep(POLL_S)
        said = call(where, "GET", f"{PATH}/{said['id']}")
    for example in said["examples"]:
        print(example)
    removed, aborted, forgotten = ("found", "found", "found") if dry_run else ("removed", "aborted", "forgotten")
    print(f"{said['looked_at']} names in the store, {said['strange']} of them not ours")
    print(f"{said['orphans']} objects without a row ({said['orphan_bytes']} bytes) {removed}")
    print(f"{said['uploads']} uploads without a row {aborted}")
    print(f"{said['lost']} rows without an object {forgotten}")
