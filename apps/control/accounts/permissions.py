"""Who may do what: one table, permission by role, for organisations and for the platform. Pure.

    (role in the organisation + role on the platform + what everybody signed in may) ∩ what the credential carries

Every route names the one permission that it needs: `@get("/jobs", permission=Permission.JOBS_READ)`.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal, TypeVar

ANYBODY: Final = "anybody"
"""What a route names that nobody has to be signed in for."""

Kind = Literal["session", "key", "token"]
"""Of a credential: a browser's cookie, an API key, or a token made with one."""


class OrgRole(StrEnum):
    """Lowest first; each has what those before it have."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class PlatformRole(StrEnum):
    """Lowest first, for who may give which; what they may differs in kind."""

    USER = "user"
    SUPPORT = "support"
    OPERATOR = "operator"
    ADMIN = "admin"
    SUPERADMIN = "superadmin"


class Permission(StrEnum):
    PROFILE_READ = "profile.read"
    PROFILE_WRITE = "profile.write"
    TOKENS_MAKE = "tokens.make"
    JOBS_READ = "jobs.read"
    JOBS_WRITE = "jobs.write"
    FILES_FETCH = "files.fetch"
    KEYS_WRITE = "keys.write"
    KEYS_MANAGE = "keys.manage"
    ORGANISATION_READ = "organisation.read"
    ORGANISATION_WRITE = "organisation.write"
    ORGANISATION_DELETE = "organisation.delete"
    MEMBERS_WRITE = "members.write"
    WEBHOOKS_READ = "webhooks.read"
    WEBHOOKS_WRITE = "webhooks.write"
    FLEET_READ = "fleet.read"
    FLEET_WRITE = "fleet.write"
    AUDIT_READ = "audit.read"
    AUDIT_READ_ALL = "audit.read_all"
    DEAD_LETTERS_READ = "dead_letters.read"
    DEAD_LETTERS_WRITE = "dead_letters.write"
    MAILS_READ = "mails.read"
    PLANS_READ = "plans.read"
    PLANS_WRITE = "plans.write"
    STORAGE_READ = "storage.read"
    STORAGE_WRITE = "storage.write"
    BLOCKLIST_READ = "blocklist.read"
    BLOCKLIST_WRITE = "blocklist.write"
    SUSPENSIONS_WRITE = "suspensions.write"
    TERMS_WRITE = "terms.write"
    CASES_READ = "cases.read"
    CASES_WRITE = "cases.write"
    ROLES_READ = "roles.read"
    ROLES_WRITE = "roles.write"
    PLATFORM_READ = "platform.read"
    PEOPLE_READ = "people.read"
    PEOPLE_WRITE = "people.write"
    JOBS_TERMINATE = "jobs.terminate"
    FLAGS_WRITE = "flags.write"
    ANNOUNCEMENTS_WRITE = "announcements.write"


P, O, R = Permission, OrgRole, PlatformRole  # noqa: E741 - the table below is read by columns


def _from(lowest: OrgRole) -> frozenset[OrgRole]:
    roles = list(OrgRole)
    return frozenset(roles[roles.index(lowest) :])


IN_ORGANISATION: dict[Permission, frozenset[OrgRole]] = {
    P.JOBS_READ: _from(O.VIEWER),
    P.FILES_FETCH: _from(O.VIEWER),  # to look at a file is to fetch it
    P.ORGANISATION_READ: _from(O.VIEWER),  # and who is in it
    P.JOBS_WRITE: _from(O.MEMBER),
    P.KEYS_WRITE: _from(O.MEMBER),  # one's own
    P.KEYS_MANAGE: _from(O.ADMIN),  # everybody's
    P.AUDIT_READ: _from(O.ADMIN),
    P.MEMBERS_WRITE: _from(O.ADMIN),  # roles up to one's own, and invitations
    P.ORGANISATION_WRITE: _from(O.ADMIN),
    P.WEBHOOKS_READ: _from(O.ADMIN),  # their addresses may be secrets
    P.WEBHOOKS_WRITE: _from(O.ADMIN),
    P.ORGANISATION_DELETE: _from(O.OWNER),
}
ON_PLATFORM: dict[Permission, frozenset[PlatformRole]] = {
    P.FLEET_READ: frozenset({R.SUPPORT, R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.FLEET_WRITE: frozenset({R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.AUDIT_READ_ALL: frozenset({R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.DEAD_LETTERS_READ: frozenset({R.SUPPORT, R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.DEAD_LETTERS_WRITE: frozenset({R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.MAILS_READ: frozenset({R.ADMIN, R.SUPERADMIN}),  # without a server its links open other people's accounts
    P.PLANS_READ: frozenset({R.SUPPORT, R.OPERATOR, R.ADMIN, R.SUPERADMIN}),  # and what organisations use
    P.PLANS_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.STORAGE_READ: frozenset({R.SUPPORT, R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.STORAGE_WRITE: frozenset({R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.BLOCKLIST_READ: frozenset({R.SUPPORT, R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.BLOCKLIST_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.SUSPENSIONS_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.TERMS_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.CASES_READ: frozenset({R.SUPPORT, R.ADMIN, R.SUPERADMIN}),
    P.CASES_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.ROLES_READ: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.ROLES_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.PLATFORM_READ: frozenset({R.SUPPORT, R.OPERATOR, R.ADMIN, R.SUPERADMIN}),  # figures, organisations, jobs
    P.PEOPLE_READ: frozenset({R.SUPPORT, R.ADMIN, R.SUPERADMIN}),  # whoever runs machines need not know who is who
    P.PEOPLE_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.JOBS_TERMINATE: frozenset({R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
    P.FLAGS_WRITE: frozenset({R.ADMIN, R.SUPERADMIN}),
    P.ANNOUNCEMENTS_WRITE: frozenset({R.OPERATOR, R.ADMIN, R.SUPERADMIN}),
}
BY_SESSION = frozenset({P.PROFILE_READ, P.PROFILE_WRITE})
"""Whoever is signed in, in whatever organisation or none; a key belongs to one, and never writes a profile."""
BY_KEY = frozenset({P.PROFILE_READ, P.TOKENS_MAKE})
"""Every key, whatever its scopes."""
BY_TOKEN = frozenset({P.PROFILE_READ})
"""A token that makes tokens would never end."""

SCOPES = frozenset({*IN_ORGANISATION, *ON_PLATFORM} - {P.MAILS_READ})
"""What a key may carry. With mails it could ask for a new password of its owner, and read the link."""
READ_ONLY, FULL = "read-only", "full"
PRESETS: dict[str, frozenset[Permission]] = {
    READ_ONLY: frozenset(
        {
            P.JOBS_READ,
            P.FILES_FETCH,
            P.ORGANISATION_READ,
            P.WEBHOOKS_READ,
            P.FLEET_READ,
            P.DEAD_LETTERS_READ,
            P.PLANS_READ,
            P.STORAGE_READ,
            P.ROLES_READ,
            P.BLOCKLIST_READ,
        }
    ),
    FULL: SCOPES,
}
"""Scopes by a name that grows with the table."""


@lru_cache(maxsize=1024)
def granted(
    role: OrgRole | None, platform_role: PlatformRole, kind: Kind, scopes: tuple[str, ...] | None
) -> frozenset[Permission]:
    """What a principal may. `role` None: in no organisation; `scopes` None: no key is involved."""
    may = frozenset(permission for permission, roles in IN_ORGANISATION.items() if role in roles)
    may |= frozenset(permission for permission, roles in ON_PLATFORM.items() if platform_role in roles)
    match kind:
        case "session":
            return may | BY_SESSION
        case "key":
            return (may & expanded(scopes or ())) | BY_KEY
        case "token":
            return (may & expanded(scopes or ())) | BY_TOKEN


def expanded(scopes: Iterable[str]) -> frozenset[Permission]:
    """Of permissions and presets by name; what no table knows (any more) is nothing."""
    names = {str(each) for scope in scopes for each in PRESETS.get(scope, {scope})}
    return frozenset(permission for permission in SCOPES if permission in names)


def is_scope(name: str) -> bool:
    return name in PRESETS or name in SCOPES


def may_hand_on(scope: str, may: Collection[Permission], mine: Collection[str] | None) -> bool:
    """Into a new key goes what one has; and since presets grow, only those that one carries. `mine` None: a session."""
    if scope in PRESETS:
        return mine is None or FULL in mine or scope in mine
    return scope in may


Role = TypeVar("Role", OrgRole, PlatformRole)


def may_give(mine: Role, new: Role, present: Role | None = None) -> bool:
    """Nobody gives what is above himself, or takes from somebody who is."""
    order = list(type(mine))
    return all(order.index(each) <= order.index(mine) for each in (new, present) if each is not None)
