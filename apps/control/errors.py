"""Refusals: what a caller can do something about. Each has a status and a stable code.

    Refusal
    ├── NotFound 404          ├── BadInput 422        ├── TooLarge 413
    ├── NotSignedIn 401       ├── Forbidden 403       ├── TooMany 429
    ├── TermsNotAccepted 403  │   │
    ├── Conflict 409          │   ├── Denied 403      └── Unavailable 503
    └── UnsupportedMedia 415  ├── Suspended 403
                              └── QuotaSpent 403

Any other exception is a bug (500) and is never caught to be hidden.
"""

from collections.abc import Mapping

from msgspec import Struct


class Shortage(Struct, frozen=True):
    """Which limit was in the way, and who would not have it."""

    limit: str
    needed: int
    left: int
    allowed: int
    plans: list[str] = []
    """Those that have room."""


class Refusal(Exception):
    status = 400
    code = "refused"
    quota: Shortage | None = None

    def __init__(self, detail: str, *, code: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.retry_after_s = retry_after_s
        self.headers: Mapping[str, str] = {}


class NotFound(Refusal):
    status = 404
    code = "not_found"


class NotSignedIn(Refusal):
    status = 401
    code = "not_signed_in"


class Forbidden(Refusal):
    status = 403
    code = "forbidden"


class Denied(Forbidden):
    """The table of permissions says no; the sentence names the permission."""

    code = "permission_denied"

    def __init__(self, permission: str, why: str) -> None:
        super().__init__(f"This needs the permission {permission}: {why}")


class Suspended(Forbidden):
    """Somebody, or an organisation, is kept from everything until an admin lets it in again."""

    code = "suspended"


class TermsNotAccepted(Refusal):
    """Nothing that is amiss: there is a new version to read first."""

    status = 403
    code = "terms_not_accepted"


class QuotaSpent(Refusal):
    status = 403
    code = "quota_spent"

    def __init__(self, detail: str, quota: Shortage) -> None:
        super().__init__(detail, code=quota.limit)
        self.quota = quota


class Conflict(Refusal):
    status = 409
    code = "conflict"


class TooLarge(Refusal):
    status = 413
    code = "too_large"


class UnsupportedMedia(Refusal):
    status = 415
    code = "unsupported_media_type"


class BadInput(Refusal):
    status = 422
    code = "bad_input"


class TooMany(Refusal):
    status = 429
    code = "too_many_requests"


class Unavailable(Refusal):
    """A server of ours is away; nothing was lost, and the same call may go through later."""

    status = 503
    code = "unavailable"
