"""A real nats-server for tests: TLS with client certificates, operator mode, full resolver, JetStream on disk."""

import asyncio
import signal
import sysconfig
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from string import Template

from bus.accounts import CONTROL_INBOX, Account, NatsKeys, agent_inbox, agent_jwt, new_keys, server_preload
from bus.connect import Bus, open_bus
from bus.credentials import Credentials, GetCredentials, control_credentials
from bus.jwt import new_seed, public_key
from tests.support.certs import Authority, Signed, new_authority
from tests.support.ports import free_ports
from wire.clock import utcnow
from wire.ids import AgentId

START_S = 15.0
STOP_S = 10.0

_CONFIG = Template("""
server_name: test
listen: "127.0.0.1:$port"
tls {
  cert_file: "$cert", key_file: "$key", ca_file: "$ca"
  verify: true
  handshake_first: true
}
jetstream { store_dir: "$folder/jetstream", max_memory_store: 16MB, max_file_store: 1GB }
operator: $operator
system_account: $system
resolver { type: full, dir: "$folder/accounts", allow_delete: false, interval: "2m" }
resolver_preload: {
$accounts
}
""")


class NatsServer:
    """One server on one port; `kill` and `restart` keep its folder."""

    def __init__(self, folder: Path, keys: NatsKeys) -> None:
        self.folder = folder
        self.keys = keys
        self.port = free_ports(1)[0]
        self.url = f"tls://127.0.0.1:{self.port}"
        self.authority: Authority = new_authority(folder / "certs")
        self.control: Signed = self.authority.client("spiffe://test/control")
        self._process: Process | None = None

    async def start(self) -> None:
        config = self._write_config(self.authority.server())
        program = Path(sysconfig.get_path("scripts")) / "nats-server"
        with (self.folder / "nats.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(program, "-c", config, stdout=log, stderr=log)
        await self._until_listening()

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def control_bus(self, account: Account, ttl_s: int = 3600) -> AbstractAsyncContextManager[Bus]:
        credentials = control_credentials(self.keys, account, ttl_s)
        return open_bus("control", self.url, self.control.context(), credentials, inbox_prefix=CONTROL_INBOX)

    def agent_bus(self, agent: AgentId, credentials: GetCredentials) -> AbstractAsyncContextManager[Bus]:
        signed = self.authority.client(f"spiffe://test/agent/{agent}")
        return open_bus(f"agent {agent}", self.url, signed.context(), credentials, inbox_prefix=agent_inbox(agent))

    def agent_credentials(
        self, agent: AgentId, pool: str = "default", seed: str | None = None, ttl_s: int = 3600
    ) -> GetCredentials:
        own = seed or new_seed("user")

        async def get() -> Credentials:
            now = utcnow()
            jwt = agent_jwt(self.keys, public_key(own), agent, pool, now, ttl_s)
            return Credentials(jwt=jwt, seed=own, expires_at=now + timedelta(seconds=ttl_s))

        return get

    def log(self) -> str:
        return (self.folder / "nats.log").read_text()

    def _write_config(self, server: Signed) -> Path:
        preload = server_preload(self.keys)
        path = self.folder / "nats.conf"
        path.write_text(
            _CONFIG.substitute(
                port=self.port,
                cert=server.cert,
                key=server.key,
                ca=server.ca,
                folder=self.folder,
                operator=preload.operator_jwt,
                system=preload.system_account,
                accounts="\n".join(f"  {account}: {jwt}" for account, jwt in preload.accounts.items()),
            )
        )
        return path

    async def _until_listening(self) -> None:
        assert self._process is not None
        async with asyncio.timeout(START_S):
            while True:
                assert self._process.returncode is None, self.log()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running_nats(folder: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(folder, new_keys())
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
