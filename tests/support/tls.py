"""Whom the HTTP clients of tests trust: made once a process, since it reads some hundred certificates."""

import httpx

TRUSTED = httpx.create_ssl_context(trust_env=False)
