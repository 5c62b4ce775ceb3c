"""The OpenAPI document: what Litestar finds out by itself, and how each operation may refuse."""

from collections.abc import Iterator, Mapping
from typing import Any

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPI,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Reference,
    Schema,
    SecurityScheme,
)  # fmt: skip

from control.accounts.permissions import ANYBODY
from control.auth import Declared, declared
from control.http import Asked
from wire.version import VERSION

CREDENTIALS = ("bearer", "session")
PROBLEM = "application/problem+json"
TEXT = Schema(type=OpenAPIType.STRING)
SAID_ALWAYS = ("type", "title", "detail", "code", "request_id")
SAID = {
    "400": "What was sent cannot be read.",
    "401": "Nobody is signed in, or what was shown is not good (any more).",
    "403": "Not allowed: the CSRF token is missing, a limit is reached, or it is for others.",
    "404": "There is nothing here, or not for this organisation.",
    "409": "It cannot be done in the state that it is in.",
    "413": "More bytes than are taken.",
    "415": "Of a content type that is not taken.",
    "422": "Read, and not accepted; `code` and `errors` say why.",
    "429": "Too often; `Retry-After` says when.",
    "503": "A server of ours is away; the same call may succeed in a moment.",
}


class Document(JsonRenderPlugin):
    """Made when somebody asks for it: it would be a third of the application's start."""

    _said: bytes | None = None

    def render(self, request: Asked, openapi_schema: dict[str, Any]) -> bytes:
        if self._said is None:
            complete(request.app.openapi_schema, declared(request.app))
            self._said = self.render_json(request, request.app.openapi_schema.to_schema())
        return self._said


def config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Seedlift",
        version=VERSION,
        description="Torrents into S3-compatible storage, as they arrive.",
        path="/api/schema",
        render_plugins=[Document(path="/")],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer", description="An API key, or a token from one."),
                "session": SecurityScheme(
                    type="apiKey",
                    name="session",
                    security_scheme_in="cookie",
                    description="A browser's; changes need X-CSRF-Token too. Over https its name is `__Host-session`.",
                ),
            },
        ),
    )


def complete(document: OpenAPI, said_of: Mapping[tuple[str, str], Declared]) -> None:
    """Says which permission each operation needs, and how it may refuse."""
    if document.components.schemas is not None:
        document.components.schemas["Problem"] = _problem()
    for path, item in (document.paths or {}).items():
        for method in ("get", "post", "put", "patch", "delete"):
            operation: Operation | None = getattr(item, method)
            if operation is None or operation.responses is None:
                continue
            operation.responses.pop("400", None)  # Litestar's guess; ours are 422, and problems
            if isinstance(nothing := operation.responses.get("204"), OpenAPIResponse):
                nothing.content = None  # Litestar's guess of a Response[None]
            said = said_of[path, method]
            operation.responses |= {status: _refusal(status) for status in _refusals(path, method, operation, said)}
            operation.security = [{}] if said.needed == ANYBODY else [{each: [said.needed]} for each in CREDENTIALS]


def _refusals(path: str, method: str, operation: Operation, said: Declared) -> Iterator[str]:
    if path == "/healthz":
        return
    if said.needed != ANYBODY:
        yield from ("401", "403")
    yield from (str(status) for status in said.refuses)
    if "{" in path:
        yield "404"
    if "{" in path and method != "get":
        yield "409"
    if operation.request_body is not None:
        yield from ("400", "413", "415")
    if operation.request_body is not None or operation.parameters:
        yield "422"
    if path.startswith("/api/v1/"):
        yield "429"
    yield "503"


def _refusal(status: str) -> OpenAPIResponse:
    schema = Reference(ref="#/components/schemas/Problem")
    return OpenAPIResponse(description=SAID[status], content={PROBLEM: OpenAPIMediaType(schema=schema)})


def _problem() -> Schema:
    field = Schema(type=OpenAPIType.OBJECT, properties={"field": TEXT, "message": TEXT}, required=["field", "message"])
    count = Schema(type=OpenAPIType.INTEGER)
    properties: dict[str, Schema | Reference] = dict.fromkeys(SAID_ALWAYS, TEXT)
    properties["status"] = count
    told: dict[str, Schema | Reference] = dict.fromkeys(("allowed", "left", "needed"), count)
    shortage = Schema(
        type=OpenAPIType.OBJECT,
        description="Which limit was in the way, how much of it is left, and which plans have room.",
        properties=told | {"limit": TEXT, "plans": Schema(type=OpenAPIType.ARRAY, items=TEXT)},
        required=["allowed", "left", "limit", "needed", "plans"],
    )
    return Schema(
        type=OpenAPIType.OBJECT,
        description="RFC 9457, with a `code` that stays and the id to quote.",
        properties=properties | {"errors": Schema(type=OpenAPIType.ARRAY, items=field), "quota": shortage},
        required=sorted(properties),
    )
