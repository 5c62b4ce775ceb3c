"""The OpenAPI document: what Litestar finds out by itself, and how each operation may refuse."""

from collections.abc import Iterator

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

VERSION = "0.1.0"
SIGNING_IN = (
    "/api/v1/auth/login", "/api/v1/auth/login/code", "/api/v1/auth/login/passkey/begin", "/api/v1/auth/login/passkey",
)  # fmt: skip
BY_MAIL = (
    "/api/v1/auth/register", "/api/v1/auth/verify", "/api/v1/auth/verify/send", "/api/v1/auth/password/forgotten",
    "/api/v1/auth/password/reset", "/api/v1/auth/email/confirm", "/api/v1/auth/providers/{name}/begin",
)  # fmt: skip
PROVED = (
    "/api/v1/auth/password", "/api/v1/auth/email", "/api/v1/auth/leave", "/api/v1/auth/second-factor",
    "/api/v1/auth/second-factor/confirm", "/api/v1/auth/second-factor/recovery-codes", "/api/v1/auth/second-factor/end",
    "/api/v1/auth/passkeys/begin", "/api/v1/auth/passkeys", "/api/v1/auth/identities",
)  # fmt: skip
"""They want the password once more, or meet what was changed elsewhere."""
ELSEWHERE = ("/api/v1/auth/providers", "/api/v1/auth/providers/{name}/callback")
PUBLIC = ("/healthz", "/readyz", *SIGNING_IN, *BY_MAIL, *ELSEWHERE)
"""Nobody has to be signed in."""
THROTTLED = (*SIGNING_IN, *BY_MAIL, *PROVED, "/api/v1/torrents/inspect", "/api/v1/jobs")
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


def config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Seedlift",
        version=VERSION,
        description="Torrents into S3-compatible storage, as they arrive.",
        path="/api/schema",
        render_plugins=[JsonRenderPlugin(path="/")],
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
        security=[{"bearer": []}, {"session": []}],
    )


def complete(document: OpenAPI) -> None:
    """Says how each operation may refuse."""
    if document.components.schemas is not None:
        document.components.schemas["Problem"] = _problem()
    for path, item in (document.paths or {}).items():
        for method in ("get", "post", "patch", "delete"):
            operation: Operation | None = getattr(item, method)
            if operation is None or operation.responses is None:
                continue
            operation.responses.pop("400", None)  # Litestar's guess; ours are 422, and problems
            operation.responses |= {status: _refusal(status) for status in _refusals(path, method, operation)}
            if path in PUBLIC:
                operation.security = [{}]


def _refusals(path: str, method: str, operation: Operation) -> Iterator[str]:
    if path == "/healthz":
        return
    if path not in PUBLIC:
        yield from ("401", "403")
    if path in SIGNING_IN:
        yield from ("401", "403")
    if path in BY_MAIL:
        yield "403"
    if "{" in path:
        yield "404"
    if ("{" in path and method != "get") or path in (*PROVED, "/api/v1/auth/keys"):
        yield "409"
    if operation.request_body is not None:
        yield from ("400", "413", "415")
    if operation.request_body is not None or operation.parameters:
        yield "422"
    if path in THROTTLED and method == "post":
        yield "429"
    yield "503"


def _refusal(status: str) -> OpenAPIResponse:
    schema = Reference(ref="#/components/schemas/Problem")
    return OpenAPIResponse(description=SAID[status], content={PROBLEM: OpenAPIMediaType(schema=schema)})


def _problem() -> Schema:
    field = Schema(type=OpenAPIType.OBJECT, properties={"field": TEXT, "message": TEXT}, required=["field", "message"])
    properties: dict[str, Schema | Reference] = dict.fromkeys(SAID_ALWAYS, TEXT)
    properties["status"] = Schema(type=OpenAPIType.INTEGER)
    return Schema(
        type=OpenAPIType.OBJECT,
        description="RFC 9457, with a `code` that stays and the id to quote.",
        properties=properties | {"errors": Schema(type=OpenAPIType.ARRAY, items=field)},
        required=sorted(properties),
    )
