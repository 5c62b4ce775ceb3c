"""The audit log of a running stack, as its operator sees it from the command line."""

import asyncio
import sys

from tests.support.member import Member
from tests.support.up import Up

SEALED_S = 60


async def verified(stack: Up) -> tuple[int | None, str]:
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "audit", "verify", "--data", str(stack.data)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await command.communicate()
    return command.returncode, said.decode()


async def test_what_a_member_does_is_sealed_within_seconds_and_the_log_is_whole(stack: Up, member: Member) -> None:
    async with asyncio.timeout(SEALED_S):
        while "unsealed  0 rows" not in (found := await verified(stack))[1]:
            assert found[0] == 0, found[1]
    code, said = found
    assert code == 0, said
    assert said.endswith("the log is whole\n")
    assert not said.startswith("sealed    0")
