"""Logs: structlog, configured once; the stdlib's loggers (uvicorn, litestar, alembic, nats) go the same way.

An event is named by its noun and what happened (`transfer.claimed`); everything else is a field.
Run uvicorn with `log_config=None`, or it takes its loggers back.
"""

import logging
import sys
from typing import Literal, TextIO

import msgspec
import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from telemetry.redact import redact

Format = Literal["json", "console"]

_FOREIGN = ("uvicorn", "uvicorn.error", "uvicorn.access", "litestar", "alembic", "sqlalchemy", "nats", "asyncio")
"""They bring handlers of their own, or may: cleared, so that each line is written once."""
_QUIET = ("httpx", "httpcore", "uvicorn.access", "nats")
"""They log every request at INFO; our own lines say what was done."""


_NO_NEWS = "returning true from eof_received()"
"""asyncio says so whenever the other side closes a connection that began plain and went on as TLS (nats-py's do)."""


def configure(service: str, form: Format = "json", level: str = "info", stream: TextIO | None = None) -> None:
    """`service` names the process (`api`, `work`, `agent`) in every line."""
    named = _service(service)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        named,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(lambda record: not record.getMessage().startswith(_NO_NEWS))
    handler.setFormatter(ProcessorFormatter(foreign_pre_chain=shared, processors=_last(form)))
    _take_over(handler, level.upper())


def get(name: str) -> BoundLogger:
    logger: BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def _service(service: str) -> Processor:
    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return name


def _last(form: Format) -> list[Processor]:
    """Redaction comes after exceptions were turned into text, and before anything is written."""
    common: list[Processor] = [
        ProcessorFormatter.remove_processors_meta,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redact,
    ]
    if form == "console":
        return [*common, structlog.dev.ConsoleRenderer()]
    return [*common, structlog.processors.JSONRenderer(serializer=_as_json)]


def _as_json(event: EventDict, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _take_over(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _FOREIGN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)
