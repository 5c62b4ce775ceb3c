"""The processes as they are started: what they say when they cannot begin."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE, STDOUT

import msgspec
import pytest

from control.config import Settings
from tests.support.ports import free_ports
from wire.settings import PREFIX

LIMIT_S = 60.0


@pytest.mark.parametrize("taken", ["port", "fleet_port"])
async def test_an_api_whose_port_is_taken_says_so_in_a_sentence(settings: Settings, taken: str) -> None:
    ports = dict(zip(("port", "fleet_port"), free_ports(2), strict=True))
    with socket.create_server(("127.0.0.1", ports[taken])):
        given = msgspec.structs.asdict(settings) | ports
        env = {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}
        path = {"PYTHONPATH": ":".join(sys.path), "PATH": os.environ["PATH"]}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "control", "api", env=env | path, stdout=PIPE, stderr=STDOUT
        )
        async with asyncio.timeout(LIMIT_S):
            said, _ = await process.communicate()
    assert process.returncode == 2, said.decode()
    assert f"cannot listen on 127.0.0.1:{ports[taken]}: " in said.decode().splitlines()[-1]
