"""The door of the public listener: request ids, security headers, bodies within bounds, and every refusal as a problem.

Whatever goes wrong is answered as problem details (RFC 9457) with a stable `code` and the request's id; what a caller
sends can never make a 500.
"""

import datetime as dt
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import MutableScopeHeaders, UploadFile
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, Reference, RequestBody, Schema
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from msgspec import Struct
from prometheus_client import Counter, Histogram

from control import db
from control.errors import BadInput, Refusal, Shortage, TooLarge, Unavailable, UnsupportedMedia
from telemetry import logs
from telemetry.correlation import HTTP_HEADER, correlated, new_correlation_id
from telemetry.metrics import FAST_S
from wire.states import Priority
from wire.units import MIB

log = logs.get(__name__)

JSON_BYTES_MAX = MIB
"""The largest JSON that we ask for, a magnet with 200 trackers, is a tenth of it."""
TORRENT_BYTES_MAX = 33 * MIB
"""An info dict has at most 32 MiB; the rest is trackers and the form around it."""
RETRY_UNAVAILABLE_S = 2.0
"""A database that is restarted is back within seconds."""
PROBLEM = "application/problem+json"

TURNSTILE = "https://challenges.cloudflare.com"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
HSTS = "max-age=31536000"
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_SECONDS = Histogram("control_http_seconds", "How long answers took.", ["method", "route"], buckets=FAST_S)
_ANSWERS = Counter("control_http_answers_total", "Answers by status.", ["method", "route", "status"])
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

Asked = Request[Any, Any, Any]
T = TypeVar("T")


@dataclass
class TorrentOperation(Operation):
    """In the OpenAPI page: a body that may come in three wrappings."""

    def __post_init__(self) -> None:
        file = Schema(type=OpenAPIType.STRING, content_media_type="application/x-bittorrent")
        text = Schema(type=OpenAPIType.STRING)
        priority = Schema(type=OpenAPIType.STRING, enum=list(Priority), description="Among the organisation's jobs.")
        speed = Schema(type=OpenAPIType.INTEGER, description="Bytes a second; 0: no limit.")
        json = Schema(
            type=OpenAPIType.OBJECT,
            properties={
                "magnet": text,
                "torrent": Schema(type=OpenAPIType.STRING, content_encoding="base64"),
                "url": Schema(
                    type=OpenAPIType.STRING,
                    description="Of a file, or of a `.torrent`, on a web server: http or https.",
                ),
                "name": text,
                "files": Schema(
                    type=[OpenAPIType.ARRAY, OpenAPIType.NULL],
                    items=Schema(type=OpenAPIType.INTEGER),
                    description="Only these, by their index; null: all.",
                ),
                "paused": Schema(type=OpenAPIType.BOOLEAN, description="Fetch the metadata, then wait to be resumed."),
                "priority": priority,
                "sequential": Schema(type=OpenAPIType.BOOLEAN, description="From the front, in order."),
                "down_max": speed,
                "up_max": speed,
            },
            additional_properties=False,
        )
        texts = ("name", "files", "paused", "sequential", "down_max", "up_max")
        fields: dict[str, Schema | Reference] = {"torrent": file, "priority": priority, **dict.fromkeys(texts, text)}
        form_of = Schema(type=OpenAPIType.OBJECT, properties=fields, required=["torrent"])
        self.request_body = RequestBody(
            required=True,
            description="One of `magnet`, `torrent` and `url`.",
            content={
                "application/json": OpenAPIMediaType(schema=json),
                "multipart/form-data": OpenAPIMediaType(schema=form_of),
                "application/x-bittorrent": OpenAPIMediaType(schema=file),
            },
        )


class FieldError(Struct, frozen=True):
    field: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True):
    """What every refusal looks like: problem details, with a `code` that stays and the id to quote."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] = []
    quota: Shortage | None = None
    """Of the limit that was in the way."""


class About(Struct, frozen=True):
    """Whom a refusal is about, where who asks is not known: as an audit row's target, and whose log it belongs into."""

    target: str
    org: UUID | None = None


def policy(script_from: str | None = None) -> str:
    """Nothing but ours runs or is shown in a page; beside it a bot check's script and frame, where there is one."""
    scripts = f"script-src 'self' {script_from}; frame-src {script_from}" if script_from else "script-src 'self'"
    return (
        f"default-src 'none'; {scripts}; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
        " manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )


class Door:
    """Outermost: sees every request, also those that no route wants."""

    def __init__(self, app: ASGIApp, place: object = None, *, https: bool, script_from: str | None = None) -> None:
        """`place`: what the routes work with, where it comes with the request."""
        self._app = app
        self._place = place
        self._headers = HEADERS | {"Content-Security-Policy": policy(script_from)}
        self._headers |= {"Strict-Transport-Security": HSTS} if https else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:  # there are no websockets here
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(HTTP_HEADER.lower().encode(), b"").decode("latin-1")
        request_id = given if _SANE_ID.fullmatch(given) else new_correlation_id()
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "place": self._place}
        scope["path"] = scope["path"].replace("\0", "\ufffd")  # no file system takes it: there is nothing there
        method, status = scope["method"], 0
        if method == "HEAD":
            scope = scope.copy()  # the server goes by its own
            scope["method"] = "GET"

        async def hear() -> Any:
            message = await receive()
            if message["type"] == "http.disconnect":
                scope["state"]["gone"] = True
            return message

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(MutableScopeHeaders(message), scope, request_id)
                await send(message)
                if method == "HEAD":
                    await send(END)
            elif method != "HEAD":
                await send(message)

        began = time.perf_counter()
        with correlated(request_id):
            try:
                await self._app(scope, hear, answer)
            finally:
                _note(method, scope, status, time.perf_counter() - began)

    def _dress(self, headers: MutableScopeHeaders, scope: Scope, request_id: str) -> None:
        headers[HTTP_HEADER] = request_id
        for name, value in self._headers.items():
            headers.setdefault(name, value)
        for name, value in scope.get("state", {}).get("rate_limit", {}).items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value  # a refusal says its own
        if scope["path"].startswith("/api/"):
            headers.setdefault("Cache-Control", "no-store")


def _note(method: str, scope: HTTPScope, status: int, took_s: float) -> None:
    route = scope.get("path_template") or ("-" if status == HTTPStatus.NOT_FOUND else "/")
    method = method if method in _METHODS else "-"
    _SECONDS.labels(method, route).observe(took_s)
    _ANSWERS.labels(method, route, str(status)).inc()
    if route.startswith("/api/") or status >= HTTPStatus.BAD_REQUEST:
        log.info("http.answered", method=method, path=scope["path"], status=status, ms=round(took_s * 1000, 1))


def request_id(request: Asked) -> str:
    return str(request.scope["state"]["request_id"])


def utc(at: dt.datetime | None) -> dt.datetime | None:
    """A caller's time; one without an offset is UTC."""
    try:
        return at and (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)
    except OverflowError:
        raise BadInput("There is no such time.") from None


def tell_rate(request: Asked, headers: Mapping[str, str]) -> None:
    """RateLimit headers, on whatever will be answered; several rules make a list, the narrowest first."""
    told = request.scope["state"].setdefault("rate_limit", {})
    told |= {name: f"{value}, {told[name]}" if name in told else value for name, value in headers.items()}


def tell_about(request: Asked, about: About) -> None:
    request.scope["state"]["about"] = about


def client_ip(request: ASGIConnection[Any, Any, Any, Any]) -> str:
    """Of the socket; a proxy's word for it counts only if uvicorn was told to trust that proxy."""
    return request.client.host if request.client else "unknown"


async def check_body(request: Asked) -> None:
    """Before every handler: JSON comes as JSON, and its texts can be kept (PostgreSQL takes no NUL)."""
    if request.method not in ("POST", "PUT", "PATCH") or request.route_handler.opt.get("reads_own_body"):
        return
    body = await request.body()
    if body and request.content_type[0] != "application/json":
        raise UnsupportedMedia("Send JSON, with Content-Type: application/json.")
    if body:
        from_json(body, object)  # Litestar's own decoding answers nesting that is too deep with a 500


async def body_within(request: Asked, limit: int) -> bytes:
    """For routes that take several content types: each has a limit of its own."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"The body has more than {limit:,} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


async def form(request: Asked) -> dict[str, bytes]:
    """The parts of a multipart form, files and texts alike."""
    parts: dict[str, bytes] = {}
    try:
        items = (await request.form()).multi_items()
    except (UnicodeDecodeError, LookupError):
        raise BadInput("A text in the form is not in the encoding that it names; files need a filename.") from None
    for name, value in items:
        if name in parts:
            raise BadInput(f"The form has {name[:100]!r} twice.")
        parts[name] = await value.read() if isinstance(value, UploadFile) else str(value).encode("utf-8", "replace")
    return parts


def from_json(body: bytes, kind: type[T]) -> T:
    _no_nul(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as bad:
        raise BadInput(str(bad)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as bad:
        raise Refusal(f"The body is not JSON: {bad}", code="bad_json") from None


def _no_nul(body: bytes) -> None:
    if b"\\u0000" in body:
        raise BadInput("Text must not hold NUL characters.")


def refuse(request: Asked, failure: Exception) -> Response[Problem]:
    """The one exception handler."""
    if isinstance(failure, Refusal):
        return _problem(request, failure)
    if isinstance(failure, HTTPException):
        return _problem(request, *_from_litestar(request, failure), headers=failure.headers)
    if db.is_away(failure):
        log.warning("http.database_away", reason=repr(failure))
        return _problem(
            request, Unavailable("The database is away; try again in a moment.", retry_after_s=RETRY_UNAVAILABLE_S)
        )
    log.error("http.failed", exc_info=failure)
    broken = Refusal("Something is broken on our side; the request id finds it in the logs.", code="internal")
    broken.status = 500
    return _problem(request, broken)


def _from_litestar(request: Asked, failure: HTTPException) -> tuple[Refusal, list[FieldError]]:
    if isinstance(failure, ValidationException):
        extra = failure.extra if isinstance(failure.extra, list) else []
        errors = [FieldError(str(e.get("key", "")), str(e.get("message", ""))) for e in extra if isinstance(e, dict)]
        said = "; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors)
        return BadInput(said or failure.detail), errors
    refusal = Refusal(failure.detail, code=HTTPStatus(failure.status_code).name.lower())
    refusal.status = failure.status_code
    match failure.status_code:
        case 500 if request.scope["state"].get("gone"):
            return BadInput("The body ended before it was whole.", code="body_cut"), []  # nobody will read it
        case 404:
            refusal.detail = "There is nothing here."
        case 413:
            refusal.code = TooLarge.code
        case 500:
            log.error("http.failed", exc_info=failure)
            refusal.code, refusal.detail = "internal", "Something is broken on our side."
    return refusal, []


def _problem(
    request: Asked,
    refusal: Refusal,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response[Problem]:
    body = Problem(
        type=f"urn:seedlift:problem:{refusal.code}",
        title=HTTPStatus(refusal.status).phrase,
        status=refusal.status,
        detail=refusal.detail,
        code=refusal.code,
        request_id=request_id(request),
        errors=errors or [],
        quota=refusal.quota,
    )
    said = {**refusal.headers, **(headers or {})}
    if refusal.retry_after_s is not None:
        said["Retry-After"] = str(max(1, round(refusal.retry_after_s)))
    if refusal.status == HTTPStatus.UNAUTHORIZED:
        said["WWW-Authenticate"] = "Bearer"
    return Response(body, status_code=refusal.status, media_type=PROBLEM, headers=said)
