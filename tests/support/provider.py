"""A real OpenID provider on loopback: `oidc-provider-mock`, which is Authlib's server, here with Authlib's PKCE too.

`python -m tests.support.provider PORT` serves; `running()` is that as a child.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from msgspec import Struct

from stack import process
from tests.support.ports import free_ports
from tests.support.servers import ENV
from tests.support.tls import TRUSTED

READY_S = 30
ROOT = Path(__file__).resolve().parents[2]


class Client(Struct, frozen=True):
    """Us, as the provider has registered us."""

    issuer: str
    id: str
    secret: str

    async def knows(self, subject: str, **claims: Any) -> None:
        async with httpx.AsyncClient(base_url=self.issuer, verify=TRUSTED, trust_env=False, timeout=30) as http:
            assert (await http.put(f"/users/{subject}", json=claims)).status_code == 204

    async def consents(self, url: str, subject: str) -> dict[str, str]:
        """What the person does there; gives what the provider sends back with the browser."""
        async with httpx.AsyncClient(verify=TRUSTED, trust_env=False, timeout=30) as http:
            assert (await http.get(url)).status_code == 200
            answer = await http.post(url, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


@asynccontextmanager
async def running(folder: Path, callback: str) -> AsyncIterator[Client]:
    port = free_ports(1)[0]
    issuer = f"http://127.0.0.1:{port}"
    python_path = os.pathsep.join(str(ROOT / each) for each in (".", "apps", "packages"))
    command = process.Command(
        name="provider",
        argv=[sys.executable, "-m", "tests.support.provider", str(port)],
        env=ENV | {"AUTHLIB_INSECURE_TRANSPORT": "1", "PYTHONPATH": python_path},
        log=folder / "provider.log",
        cwd=ROOT,
    )
    child = await process.start(command)
    try:
        async with httpx.AsyncClient(base_url=issuer, verify=TRUSTED, trust_env=False) as http:
            await _until_up(http, child)
            made = (await http.post("/oauth2/clients", json={"redirect_uris": [callback]})).json()
        yield Client(issuer, made["client_id"], made["client_secret"])
    finally:
        await process.stop(child)


async def _until_up(http: httpx.AsyncClient, child: process.Child) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            assert child.running, child.said()
            try:
                await http.get("/jwks")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.05)


def serve(port: int) -> None:
    from authlib.oauth2.rfc7636 import CodeChallenge
    from oidc_provider_mock import _app
    from werkzeug.serving import run_simple

    asked: dict[str, tuple[str | None, str | None]] = {}

    class Pkce(CodeChallenge):  # type: ignore[misc] # Authlib is not typed
        def get_authorization_code_challenge(self, code: Any) -> str | None:
            return asked[code.code][0]

        def get_authorization_code_challenge_method(self, code: Any) -> str | None:
            return asked[code.code][1]

    class Grant(_app.AuthorizationCodeGrant):  # type: ignore[misc] # as it says of itself
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            Pkce(required=True)(self)

        def save_authorization_code(self, code: str, request: Any) -> None:
            data = request.payload.data
            asked[code] = data.get("code_challenge"), data.get("code_challenge_method")
            super().save_authorization_code(code, request)

    _app.AuthorizationCodeGrant = Grant
    run_simple("127.0.0.1", port, _app.app(require_client_registration=True, require_nonce=True), threaded=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
