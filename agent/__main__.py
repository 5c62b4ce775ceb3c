"""`python -m agent run` and `python -m agent enrol`."""

import argparse
import asyncio
import os
import socket
import sys
from contextlib import closing
from pathlib import Path

import uvloop

from agent.config import Settings
from agent.disk import AnotherAgent, Disk
from agent.engine.silence import NotSilent
from agent.identity import NotEnrolled, enrol
from agent.run import run
from telemetry import logs
from wire.settings import BadSettings, read
from wire.version import VERSION


def main() -> int:
    arguments = _arguments()
    try:
        if arguments.verb == "enrol":
            return _enrol(arguments)
        settings = read(Settings, os.environ)
        logs.configure("agent", "console" if settings.log_format == "console" else "json", settings.log_level)
        uvloop.run(run(settings))
    except (BadSettings, NotEnrolled, AnotherAgent, NotSilent) as failure:
        print(f"agent: {failure}", file=sys.stderr)
        return 2
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="agent", description="A machine that fetches torrents and stores them.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run", help="work until SIGTERM; settings come from SEEDLIFT_* variables")
    join = verbs.add_parser("enrol", help="trade a one-time token for an identity of this agent's own")
    join.add_argument("--token", required=True, help="as `seedlift fleet token` printed it")
    join.add_argument(
        "--name", default=socket.gethostname(), help="how operators see this agent (default: the host's name)"
    )
    join.add_argument(
        "--again", action="store_true", help="take the place of an identity that is no longer good; its work goes on"
    )
    join.add_argument("--dir", type=Path, help="the agent's folder (default: SEEDLIFT_AGENT_DIR)")
    return parser.parse_args()


def _enrol(arguments: argparse.Namespace) -> int:
    folder = arguments.dir or read(Settings, os.environ).agent_dir
    with closing(Disk(folder)):  # nobody works there meanwhile
        identity = asyncio.run(enrol(arguments.token, arguments.name, VERSION, folder, again=arguments.again))
    print(f"enrolled as agent {identity.agent} in pool {identity.pool}; run it with SEEDLIFT_AGENT_DIR={folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
