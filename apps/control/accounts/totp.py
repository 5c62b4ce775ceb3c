"""Time-based one-time passwords (RFC 6238: HMAC-SHA-1, 30 s, six digits), as authenticator apps make them. Pure."""

import base64
import hmac
import struct
from urllib.parse import quote

SECRET_BYTES = 20
"""RFC 4226's recommendation, and what every app takes."""
STEP_S = 30
DIGITS = 6
DRIFT = 1
"""Steps that a clock may be early or late."""


def code_at(secret: bytes, step: int) -> str:
    digest = hmac.digest(secret, struct.pack(">Q", step), "sha1")
    start = digest[-1] & 0xF
    (number,) = struct.unpack(">I", digest[start : start + 4])
    return str((number & 0x7FFF_FFFF) % 10**DIGITS).zfill(DIGITS)


def step_of(secret: bytes, code: str, at: float) -> int | None:
    """The step that the code belongs to, among those that count now."""
    now = int(at) // STEP_S
    steps = range(now - DRIFT, now + DRIFT + 1)
    return next((step for step in steps if hmac.compare_digest(code_at(secret, step).encode(), code.encode())), None)


def base32(secret: bytes) -> str:
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, email: str) -> str:
    """What the QR code says."""
    return f"otpauth://totp/Seedlift:{quote(email)}?secret={base32(secret)}&issuer=Seedlift"
