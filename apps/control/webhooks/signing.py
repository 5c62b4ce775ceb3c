"""Signatures of Standard Webhooks 1.0: HMAC-SHA-256 over id, time and body, once for each secret that is good. Pure."""

import base64
import datetime as dt
import hmac
from collections.abc import Iterable, Mapping

PREFIX = "whsec_"
SECRET_BYTES = 32


def text_of(secret: bytes) -> str:
    """As its owner keeps it, and as every library of the standard reads it."""
    return PREFIX + base64.b64encode(secret).decode()


def headers(secrets: Iterable[bytes], message: str, at: dt.datetime, body: bytes) -> Mapping[str, str]:
    """`at` is the try's own: receivers refuse what is old, so that nobody can send it again."""
    seconds = str(int(at.timestamp()))
    signed = f"{message}.{seconds}.".encode() + body
    return {
        "webhook-id": message,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets),
    }


def _signature(secret: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
