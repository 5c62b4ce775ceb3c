"""`python -m stack`: what `seedlift up` runs, configured by `SEEDLIFT_*` variables."""

import asyncio
import os
import sys

from stack.config import Settings
from stack.errors import CannotStart
from stack.up import up
from wire.settings import BadSettings, read


def main() -> int:
    try:
        asyncio.run(up(read(Settings, os.environ)))
    except (CannotStart, BadSettings) as refused:
        print(f"seedlift: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
