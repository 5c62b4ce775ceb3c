"""Supervision, with programs of two lines: started, watched, started again, stopped, and never left behind."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack import process
from stack.errors import CannotStart
from stack.process import Child, Command
from stack.supervise import Service, Standing, at_once, run_to_end

WAIT_S = 10.0
STAYS = "import signal; print('here', flush=True); signal.pause()"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); print('here', flush=True)\nwhile True: signal.pause()"
Said = list[tuple[Standing, str]]


def python(tmp_path: Path, script: str, **more: object) -> Command:
    env = {"PATH": os.environ["PATH"]}
    return Command(name="it", argv=[sys.executable, "-c", script], env=env, log=tmp_path / "it.log", **more)  # type: ignore[arg-type]


async def until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline, f"not seen within {WAIT_S:.0f} s: {what}"
        await asyncio.sleep(0.01)


async def says_here(child: Child) -> None:
    await until(lambda: "here" in child.said() or not child.running, "its first word")
    if not child.running:
        raise CannotStart(f"ended. It said:\n{child.said()}")


@asynccontextmanager
async def kept(command: Command) -> AsyncIterator[tuple[Service, Said]]:
    said: Said = []
    service = Service(command, says_here, lambda _, standing, remark: said.append((standing, remark)), pause_s=0.01)
    async with asyncio.TaskGroup() as group:
        group.create_task(service.run())
        await service.up.wait()
        yield service, said
        await service.stop()


def pid_of(service: Service) -> int:
    assert service.child is not None
    return service.child.process.pid


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    async with kept(python(tmp_path, STAYS)) as (service, said):
        first = pid_of(service)
        os.kill(first, signal.SIGKILL)
        await until(lambda: pid_of(service) != first and said[-1][0] is Standing.RUNNING, "a second life")
        assert any("signal 9" in remark for _, remark in said)
    assert said[-1][0] is Standing.STOPPED
    assert not is_alive(pid_of(service))


async def test_a_program_that_ends_at_its_first_start_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    service = Service(python(tmp_path, "raise SystemExit('no such planet')"), says_here, lambda *_: None)
    with pytest.raises(CannotStart, match="no such planet"):
        await service.run()


async def test_who_does_not_stop_when_asked_is_killed(tmp_path: Path) -> None:
    async with kept(python(tmp_path, STUBBORN, stop_s=0.1)) as (service, said):
        pass
    assert not is_alive(pid_of(service))
    assert any("killed after" in remark for _, remark in said)


async def test_stop_during_the_pause_before_the_next_start_ends_it(tmp_path: Path) -> None:
    marker = tmp_path / "once"
    script = f"import pathlib; pathlib.Path({str(marker)!r}).touch(); print('here')"
    service = Service(python(tmp_path, script), at_once, lambda *_: None, pause_s=600)
    async with asyncio.timeout(WAIT_S), asyncio.TaskGroup() as group:
        group.create_task(service.run())
        await until(lambda: marker.exists() and service.child and not service.child.running, "its end")
        await service.stop()


async def test_ctrl_c_at_the_terminal_does_not_reach_the_child(tmp_path: Path) -> None:
    child = await process.start(python(tmp_path, STAYS))
    try:
        assert os.getsid(child.process.pid) == child.process.pid
        assert os.getpgid(child.process.pid) != os.getpgid(0)
    finally:
        await process.kill(child)


async def test_no_child_outlives_us_however_we_end(tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from stack import process\n"
        "async def main():\n"
        f"    argv, log = [sys.executable, '-c', {STUBBORN!r}], Path({str(tmp_path / 'it.log')!r})\n"
        "    c = process.Command(name='it', argv=argv, env={}, log=log)\n"
        "    child = await process.start(c)\n"
        "    print(child.process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    await until(lambda: "here" in (tmp_path / "it.log").read_text(), "the child")
    parent.kill()
    await parent.wait()
    await until(lambda: not is_alive(child), "its end")


async def test_what_a_program_prints_is_given_and_what_it_complains_of_is_told(tmp_path: Path) -> None:
    echo = python(tmp_path, "import sys; print(sys.stdin.read().upper())")
    assert await run_to_end(echo, b"word", within_s=WAIT_S) == b"WORD\n"
    with pytest.raises(CannotStart, match="no such planet"):
        await run_to_end(python(tmp_path, "raise SystemExit('no such planet')"), within_s=WAIT_S)
    with pytest.raises(CannotStart, match="took more than"):
        await run_to_end(python(tmp_path, STAYS), within_s=0.1)


async def test_a_log_that_has_grown_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    with log.open("wb") as file:
        file.truncate(process.LOG_MAX_BYTES + 1)
    child = await process.start(python(tmp_path, STAYS))
    await until(lambda: "here" in child.said(), "its word")
    await process.kill(child)
    assert log.stat().st_size < 100
    assert (tmp_path / "it.log.1").stat().st_size > process.LOG_MAX_BYTES
