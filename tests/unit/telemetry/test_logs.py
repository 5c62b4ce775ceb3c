"""One line per event, the stdlib's too, with the correlation id and without secrets."""

import io
import logging
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from telemetry import logs
from telemetry.correlation import correlated, correlation_id


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    text = io.StringIO()
    logs.configure("api", "json", "info", text)
    try:
        yield text
    finally:
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_its_fields(stream: io.StringIO) -> None:
    with correlated("c1"):
        logs.get("x").info("transfer.claimed", transfer="t", epoch=2)
    (line,) = lines(stream)
    assert line.pop("at")
    assert line == {
        "event": "transfer.claimed",
        "transfer": "t",
        "epoch": 2,
        "level": "info",
        "service": "api",
        "correlation_id": "c1",
    }


def test_a_stdlib_logger_goes_the_same_way(stream: io.StringIO) -> None:
    with correlated("c2"):
        logging.getLogger("uvicorn.error").info("started %s", "here", extra={"port": 1})
    (line,) = lines(stream)
    assert (line["event"], line["correlation_id"], line["port"]) == ("started here", "c2", 1)


def test_an_exception_is_a_field_and_its_secrets_are_hidden(stream: io.StringIO) -> None:
    try:
        raise ValueError("https://t.example/0123456789abcdef/announce")
    except ValueError:
        logs.get("x").exception("transfer.failed")
    (line,) = lines(stream)
    assert "ValueError" in str(line["exception"])
    assert "0123456789abcdef" not in stream.getvalue()


def test_what_is_below_the_level_is_not_written(stream: io.StringIO) -> None:
    logs.get("x").debug("transfer.looked_at")
    logging.getLogger("nats").info("chatter")
    assert lines(stream) == []


def test_the_console_form_is_for_eyes() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    text = io.StringIO()
    try:
        logs.configure("agent", "console", "debug", text)
        logs.get("x").debug("agent.ready", slots=3)
    finally:
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
    assert "agent.ready" in text.getvalue()


def test_a_correlation_ends_with_its_block() -> None:
    with correlated("outer"):
        with correlated("inner"):
            assert correlation_id() == "inner"
        with correlated(None):
            assert correlation_id() == "outer"
    assert correlation_id() is None
