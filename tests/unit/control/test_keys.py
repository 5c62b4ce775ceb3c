"""Names of objects, and which of them a purge may remove."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control.loops.purge import EVERYTHING, is_due, is_last
from control.storage.keys import ObjectKey, object_key, parse_key, prefix
from control.transfers.leftovers import Spared, doomed
from control.transfers.model import Tombstone

SCOPE, TORRENT = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
GRANT_S = 900.0


@given(st.uuids(), st.uuids(), st.integers(0, 99_999), st.integers(0, 2**31))
def test_a_key_is_read_as_it_was_written(scope: UUID, torrent: UUID, file: int, epoch: int) -> None:
    key = object_key(scope, torrent, file, epoch)
    assert parse_key(key) == ObjectKey(scope, torrent, file, epoch)
    assert key.startswith(prefix(scope, torrent))


NOT_OURS = (
    "",
    "a",
    "a/b/c/d",
    f"{SCOPE}/{TORRENT}/1",
    f"{SCOPE}/{TORRENT}/01/1",
    f"{SCOPE}/{TORRENT}/1/-1",
    f"{SCOPE}/{TORRENT}/1/1/1",
    f"{SCOPE.hex}/{TORRENT}/1/1",
    f"{SCOPE}/{TORRENT}/\N{SUPERSCRIPT ONE}/1",
)


@pytest.mark.parametrize("key", NOT_OURS)
def test_what_we_did_not_name_is_no_key(key: str) -> None:
    assert parse_key(key) is None


def key(epoch: int) -> str:
    return object_key(SCOPE, TORRENT, 0, epoch)


def test_a_purge_spares_later_epochs_and_what_a_stored_transfer_names() -> None:
    keys = [key(1), key(2), key(3), "somebody/else's"]
    assert doomed(keys, Spared(through_epoch=2, named=frozenset({key(1)}))) == [key(2)]
    assert doomed(keys, Spared(EVERYTHING, frozenset())) == [key(1), key(2), key(3)]


def test_a_tombstone_is_swept_at_once_and_when_every_grant_has_expired() -> None:
    fresh = Tombstone(prefix="p", scope_id=SCOPE, created_at=NOW, last_sweep_at=NOW - timedelta(seconds=1))
    swept = Tombstone(prefix="p", scope_id=SCOPE, created_at=NOW, last_sweep_at=NOW + timedelta(seconds=1))
    soon, late = NOW + timedelta(seconds=5), NOW + timedelta(seconds=GRANT_S)
    assert is_due(fresh, soon, GRANT_S)
    assert not is_due(swept, soon, GRANT_S)
    assert is_due(swept, late, GRANT_S)
    assert (is_last(swept, soon, GRANT_S), is_last(swept, late, GRANT_S)) == (False, True)
