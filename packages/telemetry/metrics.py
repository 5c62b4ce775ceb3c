"""Metrics: the process' one Prometheus registry, its text, and a small server for processes that have none.

A metric is a module's own constant (`Counter`, `Gauge`, `Histogram` of prometheus-client), one per question an operator
asks, named `<room>_<what>_<unit>`.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest, start_http_server

FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Buckets for what a person waits for: a request, a query, a bus round trip."""
SLOW_S = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)
"""Buckets for work: a part, a file, a transfer."""
CONTENT_TYPE = CONTENT_TYPE_LATEST
JOIN_S = 2.0
"""The server thread answers in milliseconds; if it does not, it is a daemon and dies with us."""

_BUILD = Gauge("seedlift_build_info", "Always 1; what runs is in the labels.", ["service", "version", "python"])


def say_build(service: str, version: str) -> None:
    _BUILD.labels(service=service, version=version, python=platform.python_version()).set(1)


def render() -> bytes:
    return generate_latest(REGISTRY)


@contextmanager
def serve(port: int | None, host: str = "127.0.0.1") -> Iterator[int | None]:
    """`/metrics` on loopback while inside; gives the port it really has (0 asks for any), None serves nothing."""
    if port is None:
        yield None
        return
    server, thread = start_http_server(port, addr=host)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(JOIN_S)
