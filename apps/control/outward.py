"""Whom we believe when we call others over TLS: made once, since it reads some hundred certificates."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """Of `SSL_CERT_FILE` or `SSL_CERT_DIR`, where the operator names his own."""
    return httpx.create_ssl_context()
