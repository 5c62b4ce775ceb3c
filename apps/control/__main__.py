"""`python -m control api|work|db-upgrade|bootstrap|audit-verify`: the control plane's processes and chores."""

import gc
import sys
from collections.abc import Callable
from functools import partial

from wire.settings import BadSettings


def main(argv: list[str]) -> int:
    gc.disable()  # what is imported has come to stay: to look for garbage among it is a tenth of a start
    program = _program(argv)
    gc.freeze()
    gc.enable()
    try:
        return program()
    except BadSettings as refused:
        print(refused, file=sys.stderr)
        return 2


def _program(argv: list[str]) -> Callable[[], int]:
    """Each imports what it needs: Alembic is nothing for a server, a web framework nothing for a chore."""
    match argv:
        case ["api" as name]:
            from control import api, processes

            return partial(processes.run, name, api.serve)
        case ["work" as name]:
            from control import processes, work

            return partial(processes.run, name, work.serve)
        case _:
            from control import chores

            return partial(chores.run, argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
