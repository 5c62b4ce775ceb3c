"""Keeps one program running until told to stop: start, wait until ready, watch, start again.

starting ──ready──► running ──ended──► waiting (1 s … 30 s) ──► starting
    └── ended, first time: CannotStart             any ──stop──► stopped
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum

from stack import process
from stack.errors import CannotStart
from stack.process import Child, Command

BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 30.0
HEALTHY_S = 60.0
"""Who ran for so long starts over with the shortest pause."""

Ready = Callable[[Child], Awaitable[None]]


class Standing(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    STOPPING = "stopping"
    STOPPED = "stopped"


Show = Callable[[str, Standing, str], None]
"""Told the program's name, its standing, and a remark."""


class Service:
    """One program, and what is known of it."""

    def __init__(self, command: Command, ready: Ready, show: Show, *, pause_s: float = BACKOFF_FIRST_S) -> None:
        self.command = command
        self.up = asyncio.Event()
        """It has been ready once."""
        self.child: Child | None = None
        self._ready = ready
        self._show = show
        self._first_pause_s = pause_s
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until `stop`. The first start must succeed; every later end is followed by a new start."""
        pause_s = self._first_pause_s
        try:
            while not self._stop.is_set():
                began = time.monotonic()
                why = await self._once()
                if self._stop.is_set():
                    return
                if time.monotonic() - began > HEALTHY_S:
                    pause_s = self._first_pause_s
                self._show(
                    self.command.name, Standing.WAITING, f"{why}; again in {pause_s:g} s, see {self.command.log}"
                )
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, BACKOFF_MAX_S)
        finally:
            if self.child is not None:
                await process.stop(self.child)
            self._show(self.command.name, Standing.STOPPED, "")

    async def _once(self) -> str:
        """One life of the program; says how it ended."""
        began = time.monotonic()
        self._show(self.command.name, Standing.STARTING, "")
        self.child = child = await process.start(self.command)
        if self._stop.is_set():  # `stop` came while it was being started, and had nothing to stop
            await process.stop(child)
            return "stopped"
        try:
            await self._ready(child)
        except CannotStart as failed:
            if self._stop.is_set():
                return "stopped"
            if not self.up.is_set():
                raise
            await process.kill(child)
            return str(failed).partition("\n")[0]
        self.up.set()
        self._show(self.command.name, Standing.RUNNING, f"{time.monotonic() - began:.1f} s")
        return f"ended ({_exit(await child.process.wait())})"

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def stop(self) -> None:
        """Ask, wait for as long as it may take, insist."""
        self._stop.set()
        if self.child is None or not self.child.running:
            return
        self._show(self.command.name, Standing.STOPPING, "")
        if not await process.stop(self.child):
            self._show(self.command.name, Standing.STOPPED, f"killed after {self.command.stop_s:g} s")


def _exit(code: int) -> str:
    return f"exit {code}" if code >= 0 else f"signal {-code}"


async def at_once(child: Child) -> None:
    """For programs whose readiness is seen elsewhere."""


async def stop_together(services: list[Service]) -> None:
    async with asyncio.TaskGroup() as group:
        for service in services:
            group.create_task(service.stop())


async def run_to_end(command: Command, stdin: bytes = b"", *, within_s: float) -> bytes:
    """A program that does one thing and ends; gives what it printed, or refuses with what it complained."""
    child, printed = None, b""
    try:
        async with asyncio.timeout(within_s):
            child = await process.start(command, piped=True)
            printed, _ = await child.process.communicate(stdin)
    except TimeoutError:
        raise CannotStart(f"{command.name} took more than {within_s:.0f} s; see {command.log}.") from None
    finally:
        if child is not None:
            await process.kill(child)
    if child.process.returncode != 0:
        raise CannotStart(f"{command.name} failed ({_exit(child.process.returncode or 0)}). It said:\n{child.said()}")
    return printed
