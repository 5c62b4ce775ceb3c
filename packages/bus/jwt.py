"""The JWTs of NATS: an operator signs accounts, an account signs users. Keys are nkeys (ed25519, spelled in base32)."""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
import nkeys
from msgspec import Struct

Kind = Literal["operator", "account", "user"]

_PREFIX: dict[Kind, int] = {
    "operator": nkeys.PREFIX_BYTE_OPERATOR,
    "account": nkeys.PREFIX_BYTE_ACCOUNT,
    "user": nkeys.PREFIX_BYTE_USER,
}
_HEADER = b'{"typ":"JWT","alg":"ed25519-nkey"}'
NO_LIMIT = -1


class Permissions(Struct, frozen=True):
    """What one user may say and hear. An empty list means nothing (NATS itself would take it for everything)."""

    publish: Sequence[str]
    subscribe: Sequence[str]
    subscriptions_max: int = NO_LIMIT
    payload_max_bytes: int = NO_LIMIT


class _Subjects(Struct, frozen=True):
    allow: Sequence[str]
    deny: Sequence[str]


class _Operator(Struct, frozen=True, tag_field="type", tag="operator"):
    system_account: str
    version: int = 2


class _Limits(Struct, frozen=True):
    """Unlimited but for storage (none means no JetStream) and leaf nodes (none): the streams themselves are bounded."""

    mem_storage: int
    disk_storage: int
    streams: int
    consumer: int
    subs: int = NO_LIMIT
    data: int = NO_LIMIT
    payload: int = NO_LIMIT
    imports: int = NO_LIMIT
    exports: int = NO_LIMIT
    wildcards: bool = True
    conn: int = NO_LIMIT
    leaf: int = 0


class _Account(Struct, frozen=True, tag_field="type", tag="account"):
    limits: _Limits
    revocations: Mapping[str, int]
    version: int = 2


class _User(Struct, frozen=True, tag_field="type", tag="user"):
    pub: _Subjects
    sub: _Subjects
    subs: int
    data: int
    payload: int
    allowed_connection_types: tuple[str, ...] = ("STANDARD",)
    """Plain NATS clients: no websocket, no MQTT, no leaf node."""
    version: int = 2


class _Claims(Struct, frozen=True, omit_defaults=True):
    iat: int
    iss: str
    name: str
    sub: str
    nats: _Operator | _Account | _User
    exp: int = 0
    jti: str = ""


def new_seed(kind: Kind) -> str:
    seed: bytes = nkeys.encode_seed(os.urandom(32), _PREFIX[kind])
    return seed.decode()


def public_key(seed: str) -> str:
    """ValueError if it is no seed."""
    try:
        key: bytes = nkeys.from_seed(seed.encode()).public_key
    except nkeys.NkeysError as bad:
        raise ValueError(f"not an nkey seed: {bad!r}") from None
    return key.decode()


def operator_jwt(operator_seed: str, system_account: str, name: str, issued_at: datetime) -> str:
    body = _Operator(system_account=system_account)
    return _sign(operator_seed, public_key(operator_seed), name, body, issued_at)


def account_jwt(
    operator_seed: str, account: str, name: str, issued_at: datetime, *, jetstream: bool, revoked: Mapping[str, int]
) -> str:
    """`revoked`: a user's public key, and the Unix time up to which whatever was issued to it is void."""
    storage = NO_LIMIT if jetstream else 0
    limits = _Limits(mem_storage=storage, disk_storage=storage, streams=storage, consumer=storage)
    return _sign(operator_seed, account, name, _Account(limits=limits, revocations=revoked), issued_at)


def user_jwt(account_seed: str, user: str, name: str, permissions: Permissions, now: datetime, ttl_s: int) -> str:
    body = _User(
        pub=_subjects(permissions.publish),
        sub=_subjects(permissions.subscribe),
        subs=permissions.subscriptions_max,
        data=NO_LIMIT,
        payload=permissions.payload_max_bytes,
    )
    return _sign(account_seed, user, name, body, now, expires=int(now.timestamp()) + ttl_s)


def _subjects(allowed: Sequence[str]) -> _Subjects:
    return _Subjects(allow=allowed, deny=() if allowed else (">",))


def _sign(
    seed: str, subject: str, name: str, body: _Operator | _Account | _User, issued_at: datetime, *, expires: int = 0
) -> str:
    claims = _Claims(
        iat=int(issued_at.timestamp()), iss=public_key(seed), name=name, sub=subject, nats=body, exp=expires
    )
    claims = msgspec.structs.replace(claims, jti=_fingerprint(claims))
    signed = _b64(_HEADER) + b"." + _b64(msgspec.json.encode(claims))
    return (signed + b"." + _b64(nkeys.from_seed(seed.encode()).sign(signed))).decode()


def _fingerprint(claims: _Claims) -> str:
    """SHA-512/256 in base32, as NATS has it, but over the body too: with the outer claims alone two account JWTs signed
    in one second had the same id, and a full resolver takes the second for the first and drops it."""
    digest = hashlib.new("sha512_256", msgspec.json.encode(claims)).digest()
    return base64.b32encode(digest).rstrip(b"=").decode()


def _b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
