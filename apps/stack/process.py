"""One child: how it is started so that it never outlives us, how it is stopped, what it said last."""

import asyncio
import ctypes
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from stack.accounts import Account

PR_SET_PDEATHSIG = 1
LOG_MAX_BYTES = 16 * 1024 * 1024
"""A larger log is put aside (one old one is kept) when its child starts."""
TAIL_LINES = 15
TAIL_BYTES = 16 * 1024
KILL_S = 5.0
"""What the kernel may take to reap a killed child that waits for its disk."""

_libc = ctypes.CDLL(None, use_errno=True)


class Command(Struct, frozen=True, kw_only=True):
    name: str
    argv: list[str]
    env: dict[str, str]
    log: Path
    cwd: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_s: float = 5.0
    """How long it may take to stop before it is killed."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """What it gets from the kernel when we die without stopping it."""


class Child(Struct, frozen=True):
    """A running process; its log is the file from `said_from` on."""

    command: Command
    process: asyncio.subprocess.Process
    said_from: int

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    def said(self) -> str:
        """Its last lines."""
        with self.command.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self.said_from, end - TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-TAIL_LINES:])


async def start(command: Command, *, piped: bool = False) -> Child:
    """Its output goes to its log; with `piped`, stdin and stdout are ours to talk through and the log has the rest."""
    with _opened(command.log) as log:
        said_from = log.tell()
        process = await spawn(
            command.argv,
            env=command.env,
            cwd=command.cwd or command.log.parent,
            stdin=PIPE if piped else DEVNULL,
            stdout=PIPE if piped else log,
            stderr=log,
            account=command.account,
            orphan_signal=command.orphan_signal,
        )
    return Child(command, process, said_from)


async def spawn(
    argv: list[str],
    *,
    env: dict[str, str],
    cwd: Path,
    stdin: int,
    stdout: int | BinaryIO,
    stderr: int | BinaryIO,
    account: Account | None = None,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *argv,
        env=env,
        cwd=cwd,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C reaches only us, who stop the children in order
        preexec_fn=tied_to_us(orphan_signal, account),
    )


def tied_to_us(orphan_signal: signal.Signals, account: Account | None = None) -> Callable[[], None]:
    """What it gives runs in a child between fork and exec."""
    parent = os.getpid()

    def tie() -> None:
        if account is not None:  # first: a change of account clears the other
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
        _libc.prctl(PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
        if os.getppid() != parent:  # we died between fork and prctl
            os._exit(1)

    return tie


async def stop(child: Child, *, within_s: float | None = None) -> bool:
    """Ask, wait, insist. True if asking was enough."""
    if not child.running:
        return True
    child.process.send_signal(child.command.stop_signal)
    try:
        async with asyncio.timeout(child.command.stop_s if within_s is None else within_s):
            await child.process.wait()
    except TimeoutError:
        await kill(child)
        return False
    return True


async def kill(child: Child) -> None:
    """The whole session, since a program may have children of its own."""
    if child.running:
        os.killpg(child.process.pid, signal.SIGKILL)
        async with asyncio.timeout(KILL_S):
            await child.process.wait()


def _opened(log: Path) -> BinaryIO:
    """To append to; what has grown too large is put aside first."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
