"""What callers present: session tokens, API keys, JWTs and CSRF tokens; how each is made and checked. Pure.

Only hashes of session tokens and keys are kept: they are 256 random bits, so a plain SHA-256 is enough.
"""

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from uuid import UUID

import jwt
from msgspec import Struct

from wire.ids import KeyId, OrgId, PersonId, SessionId
from wire.units import MINUTE_S

JWT_S = 10 * MINUTE_S
"""Short, because nothing but its end takes it back from whoever has read it in a log."""
JWT_ISSUER = "seedlift"
JWT_AUDIENCE = "seedlift-api"
_KEY = re.compile(r"slk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


class NewKey(Struct, frozen=True):
    secret: str
    """Shown once."""
    prefix: str
    """Kept, to tell keys apart."""


class Claims(Struct, frozen=True):
    person: PersonId
    org: OrgId
    key: KeyId
    """Revoking it ends its JWTs too."""
    scopes: tuple[str, ...]


def new_session_token() -> str:
    return secrets.token_urlsafe(32)


def new_key() -> NewKey:
    prefix = f"slk_{secrets.token_hex(4)}"
    return NewKey(secret=f"{prefix}_{secrets.token_urlsafe(32)}", prefix=prefix)


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def key_prefix(secret: str) -> str:
    return secret[:12]


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def csrf(secret: bytes, session: SessionId) -> str:
    """Bound to the session: a token of one is worth nothing in another."""
    tag = hmac.digest(derived(secret, b"csrf"), session.bytes, "sha256")
    return base64.urlsafe_b64encode(tag).rstrip(b"=").decode()


def same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def mint(secret: bytes, claims: Claims, now: dt.datetime) -> tuple[str, dt.datetime]:
    until = now.replace(microsecond=0) + dt.timedelta(seconds=JWT_S)
    body = {
        "iss": JWT_ISSUER,
        "aud": JWT_AUDIENCE,
        "sub": str(claims.person),
        "org": str(claims.org),
        "key": str(claims.key),
        "scope": " ".join(claims.scopes),
        "iat": int(now.timestamp()),
        "exp": int(until.timestamp()),
    }
    return jwt.encode(body, derived(secret, b"jwt"), algorithm="HS256", headers={"kid": kid(secret)}), until


def kid(secret: bytes) -> str:
    """Which secret signed it; says nothing of the secret."""
    return hashlib.sha256(derived(secret, b"kid")).hexdigest()[:16]


def read(ours: Sequence[bytes], token: str, now: dt.datetime) -> Claims | None:
    """None for whatever is not ours, not whole or not fresh."""
    try:
        named = jwt.get_unverified_header(token).get("kid")
        signed_by = next(secret for secret in ours if kid(secret) == named)
        body = jwt.decode(
            token,
            derived(signed_by, b"jwt"),
            algorithms=["HS256"],
            issuer=JWT_ISSUER,
            audience=JWT_AUDIENCE,
            options={"require": ["exp", "iat", "iss", "aud", "sub"], "verify_exp": False, "verify_iat": False},
        )
        if not int(body["exp"]) > now.timestamp():
            return None
        return Claims(
            person=PersonId(UUID(body["sub"])),
            org=OrgId(UUID(body["org"])),
            key=KeyId(UUID(body["key"])),
            scopes=tuple(body["scope"].split()),
        )
    except (jwt.InvalidTokenError, StopIteration, KeyError, ValueError, TypeError, AttributeError):
        return None


def derived(secret: bytes, purpose: bytes) -> bytes:
    """One key per purpose, so that a tag of one is never a tag of the other."""
    return hmac.digest(secret, b"seedlift " + purpose, "sha256")
