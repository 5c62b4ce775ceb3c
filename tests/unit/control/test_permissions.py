"""The table of permissions, as people would say it; and that nothing gives more than its giver has."""

from itertools import product

import pytest
from litestar import Litestar, get

from control import auth
from control.accounts.permissions import (
    ANYBODY,
    BY_KEY,
    BY_SESSION,
    BY_TOKEN,
    FULL,
    IN_ORGANISATION,
    ON_PLATFORM,
    PRESETS,
    READ_ONLY,
    OrgRole,
    Permission,
    PlatformRole,
    expanded,
    granted,
    may_give,
    may_hand_on,
)

O, R, P = OrgRole, PlatformRole, Permission  # noqa: E741 - as in the table


def of(role: OrgRole) -> set[str]:
    return {str(each) for each in granted(role, R.USER, "session", None)} - {"profile.read", "profile.write"}


def test_each_role_of_an_organisation_adds_to_the_one_below() -> None:
    assert of(O.VIEWER) == {"jobs.read", "files.fetch", "organisation.read"}
    assert of(O.MEMBER) - of(O.VIEWER) == {"jobs.write", "keys.write"}
    administers = {"audit.read", "keys.manage", "members.write", "organisation.write"}
    assert of(O.ADMIN) - of(O.MEMBER) == administers | {"webhooks.read", "webhooks.write"}
    assert of(O.OWNER) - of(O.ADMIN) == {"organisation.delete"}
    assert of(O.VIEWER) < of(O.MEMBER) < of(O.ADMIN) < of(O.OWNER)


def test_who_runs_the_platform_has_no_say_in_anybodys_organisation() -> None:
    for role in PlatformRole:
        assert not granted(None, role, "session", None) & IN_ORGANISATION.keys()
    assert granted(None, R.USER, "session", None) == BY_SESSION
    assert P.FLEET_WRITE not in granted(None, R.SUPPORT, "session", None)
    assert P.ROLES_WRITE not in granted(None, R.OPERATOR, "session", None)


def test_every_permission_is_somebodys() -> None:
    assert set(Permission) == {*IN_ORGANISATION, *ON_PLATFORM, *BY_SESSION, *BY_KEY, *BY_TOKEN}
    assert IN_ORGANISATION.keys().isdisjoint(ON_PLATFORM)


@pytest.mark.parametrize("platform_role", PlatformRole)
@pytest.mark.parametrize("role", OrgRole)
def test_a_key_may_no_more_than_its_scopes_and_its_person(role: OrgRole, platform_role: PlatformRole) -> None:
    person = granted(role, platform_role, "session", None)
    for scopes in ((), (READ_ONLY,), (FULL,), ("jobs.write",), ("fleet.write", "no.such.thing")):
        key = granted(role, platform_role, "key", scopes)
        assert key - BY_KEY <= person & expanded(scopes)
        assert P.PROFILE_WRITE not in key, "a key belongs to one organisation"
        assert P.TOKENS_MAKE not in granted(role, platform_role, "token", scopes), "or it would never end"
    assert granted(role, platform_role, "key", (FULL,)) == person - BY_SESSION - {P.MAILS_READ} | BY_KEY


def test_what_only_reads_changes_nothing() -> None:
    assert not [each for each in PRESETS[READ_ONLY] if not each.endswith((".read", ".fetch"))]


def test_nobody_gives_or_takes_what_is_above_himself() -> None:
    for mine, new, present in product(OrgRole, OrgRole, (None, *OrgRole)):
        above = not of(new) <= of(mine) or (present is not None and not of(present) <= of(mine))
        assert may_give(mine, new, present) is not above
    assert may_give(R.SUPERADMIN, R.SUPERADMIN, R.ADMIN)
    assert not may_give(R.ADMIN, R.SUPERADMIN)
    assert not may_give(R.ADMIN, R.USER, R.SUPERADMIN)


def test_giving_a_role_on_the_platform_gives_nothing_that_one_does_not_have() -> None:
    for mine, new in product(ON_PLATFORM[P.ROLES_WRITE], PlatformRole):
        if may_give(mine, new):
            assert granted(None, new, "session", None) <= granted(None, mine, "session", None)


def test_a_key_hands_on_only_what_it_carries() -> None:
    may = granted(O.OWNER, R.USER, "session", None)
    assert may_hand_on(FULL, may, None)
    assert may_hand_on("jobs.write", may, None)
    assert not may_hand_on("fleet.write", may, None), "not even to grow into"
    for mine in ((READ_ONLY,), ("jobs.read", "keys.write")):
        held = granted(O.OWNER, R.USER, "key", mine)
        assert may_hand_on("jobs.read", held, mine)
        assert not may_hand_on("jobs.write", held, mine)
        assert not may_hand_on(FULL, held, mine)
    assert may_hand_on(READ_ONLY, granted(O.OWNER, R.USER, "key", (FULL,)), (FULL,))


def test_a_route_that_does_not_say_what_it_needs_is_found_at_the_start() -> None:
    @get("/open", permission=ANYBODY, sync_to_thread=False)
    def said() -> None: ...

    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> None: ...

    assert auth.declared(Litestar([said], openapi_config=None))["/open", "get"].needed == ANYBODY
    with pytest.raises(LookupError, match="GET /forgotten does not say which permission it needs"):
        auth.declared(Litestar([said, forgotten], openapi_config=None))
