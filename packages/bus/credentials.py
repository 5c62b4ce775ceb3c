"""What a connection signs on with, asked for anew before each one."""

import ssl
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from bus.accounts import CONTROL_JWT_S, Account, NatsKeys, control_jwt
from bus.jwt import new_seed, public_key
from wire.clock import utcnow


class Credentials(Struct, frozen=True):
    jwt: str
    seed: str
    """Signs the server's nonce; never leaves the process."""
    expires_at: datetime


GetCredentials = Callable[[], Awaitable[Credentials]]


def control_credentials(keys: NatsKeys, account: Account, ttl_s: int = CONTROL_JWT_S) -> GetCredentials:
    """The control plane signs for itself: a new user key and a short JWT for every connection."""

    async def get() -> Credentials:
        seed, now = new_seed("user"), utcnow()
        return Credentials(
            jwt=control_jwt(keys, account, public_key(seed), now, ttl_s),
            seed=seed,
            expires_at=now + timedelta(seconds=ttl_s),
        )

    return get


def tls_context(ca: Path, cert: Path, key: Path) -> ssl.SSLContext:
    """Trusts the fleet CA alone, and shows this process' own certificate."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(cert, key)
    return context
