"""Metrics are served on loopback while asked for, and not a moment longer."""

import socket
from urllib.request import urlopen

import pytest

from telemetry import metrics


def test_metrics_are_served_until_the_block_ends() -> None:
    metrics.say_build("agent", "1.2.3")
    with metrics.serve(0) as port, urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'seedlift_build_info{python="' in text
    assert 'service="agent",version="1.2.3"} 1.0' in text
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port or 0), timeout=5):
        pass


def test_no_port_means_no_server() -> None:
    with metrics.serve(None) as port:
        assert port is None


def test_the_text_can_be_had_without_a_server() -> None:
    assert b"python_info" in metrics.render()
