"""`python -m stack.demo make|swarm DIR HOST TRACKER_PORT SEEDER_PORT`, two of the programs that `up --demo` runs."""

import asyncio
import signal
import sys
from pathlib import Path

from stack.demo import content, seeder, torrent, tracker
from stack.paths import write_private


def make(folder: Path, host: str, tracker_port: int, seeder_port: int) -> None:
    """Prints the magnet. The content is made once; the torrent names this start's ports."""
    trackers = [f"http://{host}:{tracker_port}/announce"]
    file = folder / "demo.torrent"
    name = folder / "demo.magnet"
    data = torrent.create(content.make(folder), trackers=trackers)
    write_private(file, data)
    write_private(name, torrent.magnet(data, trackers=trackers, peers=[f"{host}:{seeder_port}"]))
    print(name.read_text())


async def swarm(folder: Path, host: str, tracker_port: int, seeder_port: int) -> None:
    """Until SIGTERM."""
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)
    async with tracker.serve(host, tracker_port):
        with seeder.seeding({folder / "demo.torrent": folder}, host, seeder_port):
            await leaving.wait()


if __name__ == "__main__":
    verb, where, address, first, second = sys.argv[1:]
    arguments = (Path(where), address, int(first), int(second))
    if verb == "make":
        make(*arguments)
    else:
        asyncio.run(swarm(*arguments))
