"""`python -m stack.forward HOST PORT TO_PORT`: the S3 gateway as others reach it, where `--host` opens it.

SeaweedFS binds its gateway and the gateway's grpc port, which obeys anybody, to one address. So it stays on loopback,
and this passes bytes between the open port and it.
"""

import asyncio
import signal
import sys
from contextlib import suppress

INSIDE = "127.0.0.1"
CHUNK_BYTES = 256 * 1024
"""In each direction of a connection at most some of these are held: a slow reader slows its writer."""
CONNECT_S = 5.0
BACKLOG = 1024


async def forward(host: str, port: int, to_port: int) -> None:
    """Until SIGTERM."""
    leaving = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leaving.set)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                inner_reader, inner_writer = await asyncio.open_connection(INSIDE, to_port, limit=CHUNK_BYTES)
        except (OSError, TimeoutError):
            writer.transport.abort()
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, inner_writer))
            both.create_task(_pump(inner_reader, writer))

    await asyncio.start_server(serve, host, port, limit=CHUNK_BYTES, backlog=BACKLOG)
    await leaving.wait()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The end of one direction is passed on; the other may go on."""
    with suppress(OSError):
        while data := await reader.read(CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
            return
    writer.close()


if __name__ == "__main__":
    asyncio.run(forward(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
