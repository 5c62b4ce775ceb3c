"""The small pure parts: cursors, tokens, passwords, throttling, settings."""

import datetime as dt
import uuid
from collections.abc import Callable
from contextlib import suppress

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control import cursor
from control.accounts import passwords, throttle, tokens
from control.accounts.rates import Count, free_at, used
from control.errors import BadInput
from wire.ids import KeyId, OrgId, PersonId, SessionId, new_id

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
SECRET = b"s" * 32
CLAIMS = tokens.Claims(person=PersonId(new_id()), org=OrgId(new_id()), key=KeyId(new_id()), scopes=("jobs.read",))


@given(st.uuids(), st.integers(0, 2**31 - 1))
def test_a_cursor_comes_back_as_what_it_was(place: uuid.UUID, index: int) -> None:
    assert cursor.id_of(cursor.after_id(place)) == place
    assert cursor.index_of(cursor.after_index(index)) == index


@given(st.text())
@pytest.mark.parametrize("read", [cursor.id_of, cursor.index_of])
def test_a_cursor_of_somebody_elses_making_is_refused(read: Callable[[str], object], text: str) -> None:
    with suppress(BadInput):  # anything else is a bug; that a text is one of ours by chance is not
        read(text)


def test_a_cursor_of_one_list_is_none_of_another() -> None:
    with pytest.raises(BadInput):
        cursor.index_of(cursor.after_id(new_id()))


def test_a_token_is_good_for_ten_minutes() -> None:
    minted, until = tokens.mint(SECRET, CLAIMS, NOW)
    assert until == NOW + dt.timedelta(minutes=10)
    assert tokens.read([SECRET], minted, until - dt.timedelta(seconds=1)) == CLAIMS
    assert tokens.read([SECRET], minted, until) is None


def test_a_token_of_another_secret_or_algorithm_is_none() -> None:
    minted, _ = tokens.mint(SECRET, CLAIMS, NOW)
    assert tokens.read([b"t" * 32], minted, NOW) is None
    body = jwt.decode(minted, options={"verify_signature": False})
    named = {"kid": tokens.kid(SECRET)}
    assert tokens.read([SECRET], jwt.encode(body, "", algorithm="none", headers=named), NOW) is None
    bare = jwt.encode(body, SECRET, algorithm="HS256", headers=named)
    assert tokens.read([SECRET], bare, NOW) is None, "not the bare secret"
    for text in ("", "a.b.c", minted[:-2], minted + "x"):
        assert tokens.read([SECRET], text, NOW) is None


def test_a_token_is_read_with_the_secret_that_signed_it_and_no_other() -> None:
    """So that secrets can be changed: what the previous one signed is good until it ends."""
    before, after = b"b" * 32, b"a" * 32
    old, _ = tokens.mint(before, CLAIMS, NOW)
    assert tokens.read([after, before], old, NOW) == CLAIMS
    assert tokens.read([after], old, NOW) is None
    assert tokens.kid(before) != tokens.kid(after)
    forged = jwt.encode({}, b"x" * 32, algorithm="HS256", headers={"kid": tokens.kid(after)})
    assert tokens.read([after, before], forged, NOW) is None


def test_a_csrf_token_belongs_to_its_session() -> None:
    mine, other = SessionId(new_id()), SessionId(new_id())
    assert tokens.same(tokens.csrf(SECRET, mine), tokens.csrf(SECRET, mine))
    assert not tokens.same(tokens.csrf(SECRET, mine), tokens.csrf(SECRET, other))
    assert not tokens.same("ä", tokens.csrf(SECRET, mine))


def test_keys_have_one_shape() -> None:
    key = tokens.new_key()
    assert tokens.is_key(key.secret)
    assert len(key.secret) == 4 + 8 + 1 + 43
    assert tokens.key_prefix(key.secret) == key.prefix
    assert not tokens.is_key(key.secret[:-1])
    assert not tokens.is_key(key.secret + "\n")


async def test_a_password_matches_itself_alone_and_nobody_has_one() -> None:
    known = await passwords.hashed("correct horse")
    assert await passwords.matches("correct horse", known)
    assert not await passwords.matches("correct hors", known)
    assert not await passwords.matches("nobody has this password", None)


def test_a_window_counts_what_is_still_inside_of_the_one_before() -> None:
    full = Count(began=1000, hits=10, before=0)
    assert [used(full, 60, at) for at in (1000, 1059, 1060, 1090, 1120, 9999)] == [10, 10, 10, 5, 0, 0]
    assert used(Count(began=1000, hits=3, before=10), 60, 1030) == 8
    assert used(Count(began=1000, hits=3, before=10), 60, 990) == 13, "clocks differ a little"


@pytest.mark.parametrize(("hits", "before"), [(0, 0), (9, 0), (10, 0), (9, 1), (5, 10), (0, 10), (9, 10), (10, 10)])
def test_it_says_when_there_is_room_again(hits: int, before: int) -> None:
    count, times, window = Count(began=1000, hits=hits, before=before), 10, 60
    at = free_at(count, times, window)
    assert used(count, window, at) <= times - 1 + 1e-9
    assert at == 0 or used(count, window, at - 0.1) > times - 1


def test_what_is_taken_at_once_is_held_long_enough_to_be_used_by_who_is_half_as_fast_as_allowed() -> None:
    rule = throttle.ADD_JOB
    assert [rule.held_s(times) for times in (30, 300, 3000)] == [40, 4, 4]
    assert all(rule.at_once / rule.held_s(times) <= times / rule.window_s / 2 for times in (30, 300, 3000))


def test_no_rule_locks_an_account() -> None:
    assert throttle.FAIL_PASSWORD.times > throttle.TRY_PASSWORD.times


def test_an_ipv6_address_counts_with_its_whole_network() -> None:
    assert throttle.address("2001:db8::1") == throttle.address("2001:db8::ffff:1") == "2001:db8::/64"
    assert throttle.address("2001:db8:0:1::1") != throttle.address("2001:db8::1")
    assert throttle.address("::ffff:192.0.2.1") == throttle.address("192.0.2.1") == "192.0.2.1"
    assert throttle.address("fe80::1%eth0") == "fe80::/64"
    assert throttle.address("unknown") == "unknown"
