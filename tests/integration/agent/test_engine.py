"""The engine against a real seeder: metadata, pieces, reading through the cache, and what is on disk."""

from datetime import timedelta
from pathlib import Path

import libtorrent as lt
import pytest
from msgspec.structs import replace

from agent.engine.api import Checked, EngineEvent, MetadataArrived, MetadataMismatch, NotThere, PieceVerified, Steering
from agent.engine.settings import ip_filter
from tests.integration.agent.swarm import Listening, Seeded, new_transfer, seed
from tests.support.until import until
from wire.parts import PART_MIN_BYTES
from wire.units import MIB

SIZES = {"a/big.bin": 1_000_000, "a/empty": 0, "small.txt": 10}
RATE_BYTES = 16 * MIB
"""A second: all of it is not there at once."""
LONG_ENOUGH = timedelta(seconds=2)
"""Twice as long as libtorrent waits before it connects to a peer."""


def verified(said: list[EngineEvent]) -> set[int]:
    return {event.piece for event in said if isinstance(event, PieceVerified)}


def all_of(seeded: Seeded) -> set[int]:
    return set(range(seeded.info.piece_count))


async def test_a_magnet_gives_its_info_dict_and_downloads_nothing(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with Listening(tmp_path) as engine:
            transfer = new_transfer()
            engine.session.add(seeded.add(tmp_path / "data", transfer))
            await engine.until(lambda said: MetadataArrived(transfer, seeded.raw_info) in said)
            assert engine.session.known_peers(transfer) == [("127.0.0.1", seeded.port)]
    assert list((tmp_path / "data").iterdir()) == []


async def test_content_arrives_under_numbers_after_the_metadata_of_the_same_torrent(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with Listening(tmp_path) as engine:
            transfer = new_transfer()
            engine.session.add(seeded.add(tmp_path / "data", transfer))
            await engine.until(lambda said: MetadataArrived(transfer, seeded.raw_info) in said)
            engine.session.add(seeded.add(tmp_path / "data", transfer, seeded.book()))
            await engine.until(lambda said: verified(said) == all_of(seeded))
            row = b"".join([await engine.session.read(transfer, piece) for piece in sorted(all_of(seeded))])
    assert row == b"".join(seeded.content[file.index] for file in seeded.info.content)
    names = {path.name for path in (tmp_path / "data").iterdir()}
    assert names <= {str(file.index) for file in seeded.info.files}
    assert names


async def test_a_second_session_finds_what_the_first_left_on_disk(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with Listening(tmp_path) as engine:
            engine.session.add(seeded.add(tmp_path / "data", new_transfer(), seeded.book()))
            await engine.until(lambda said: verified(said) == all_of(seeded))
        async with Listening(tmp_path) as engine:
            transfer = new_transfer()
            alone = replace(seeded.add(tmp_path / "data", transfer, seeded.book()), peers=[])
            engine.session.add(alone)
            await engine.until(lambda said: Checked(transfer, tuple(sorted(all_of(seeded)))) in said)


async def test_only_wanted_pieces_are_fetched_and_more_can_be_asked_for(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with Listening(tmp_path) as engine:
            transfer, book = new_transfer(), seeded.book()
            add = seeded.add(tmp_path / "data", transfer, book)
            engine.session.add(replace(add, priorities=[7, *[0] * (seeded.info.piece_count - 1)]))
            await engine.until(lambda said: verified(said) == {0})
            with pytest.raises(NotThere):
                await engine.session.read(transfer, 3)
            engine.session.ask(transfer, [(3, 7)])
            await engine.until(lambda said: verified(said) == {0, 3})


async def test_first_and_last_part_of_a_film_come_before_all_else(tmp_path: Path) -> None:
    """Some of the rest is on its way when these are all asked for, and no more."""
    sizes = {"a.bin": 2 * PART_MIN_BYTES, "film.mkv": 6 * PART_MIN_BYTES}
    with seed(tmp_path / "seeder", sizes, rate_bytes=RATE_BYTES) as seeded:
        async with Listening(tmp_path) as engine:
            book = seeded.book()
            units = [book.layout.units[index] for ends in book.layout.media for index in ends]
            early = {piece for unit in units for piece in book.layout.pieces_of(unit)}
            engine.session.add(seeded.add(tmp_path / "data", new_transfer(), book))
            await engine.until(lambda said: verified(said) >= early)
            arrived = [event.piece for event in engine.said if isinstance(event, PieceVerified)]
    before = max(map(arrived.index, early)) + 1 - len(early)
    assert [unit.part for unit in units] == [1, 6]
    assert before < (seeded.info.piece_count - len(early)) / 4


@pytest.mark.parametrize("gives", [True, False])
async def test_who_wanted_nothing_for_a_while_is_brought_what_he_wants_then(tmp_path: Path, gives: bool) -> None:
    """Of two sessions only the one that gives has looked for peers meanwhile, and its seed has hung up."""
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with Listening(tmp_path, gives=gives) as engine:
            transfer = new_transfer()
            add = seeded.add(tmp_path / "data", transfer, seeded.book())
            engine.session.add(replace(add, priorities=[0] * seeded.info.piece_count))
            (handle,) = engine.session._handles.values()
            await until(lambda: handle.status().finished_duration >= LONG_ENOUGH)
            await until(lambda: (handle.status().list_seeds, handle.status().num_peers) == (gives, 0))
            engine.session.ask(transfer, [(piece, 7) for piece in all_of(seeded)])
            await engine.until(lambda said: verified(said) == all_of(seeded))


async def test_metadata_that_the_engine_reads_otherwise_is_refused(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with Listening(tmp_path) as engine:
            add = seeded.add(tmp_path / "data", new_transfer(), seeded.book())
            with pytest.raises(MetadataMismatch):
                engine.session.add(replace(add, sizes=[*add.sizes, (99, 1)]))
            with pytest.raises(MetadataMismatch):
                engine.session.add(replace(add, info=b"d4:name1:xe"))


async def test_reading_ends_when_the_torrent_is_removed(tmp_path: Path) -> None:
    async with Listening(tmp_path) as engine:
        with pytest.raises(NotThere):
            await engine.session.read(new_transfer(), 0)


def test_refused_space_is_filtered_but_for_what_the_pool_allows() -> None:
    assert ip_filter(()).access("127.0.0.1")
    assert ip_filter(()).access("169.254.169.254")
    assert not ip_filter(()).access("8.8.8.8")
    allowed = ip_filter(["127.0.0.0/8"])
    assert not allowed.access("127.0.0.1")
    assert allowed.access("10.0.0.1")


async def test_a_paused_torrent_is_read_from_and_goes_on_at_once_when_it_is_resumed(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with Listening(tmp_path) as engine:
            transfer, book = new_transfer(), seeded.book()
            add = seeded.add(tmp_path / "data", transfer, book)
            engine.session.add(replace(add, priorities=[7, *[0] * (seeded.info.piece_count - 1)]))
            await engine.until(lambda said: verified(said) == {0})
            engine.session.pause(transfer)
            engine.session.ask(transfer, [(piece, 7) for piece in all_of(seeded)])
            whole = b"".join(seeded.content[file.index] for file in seeded.info.content)
            assert await engine.session.read(transfer, 0) == whole[: seeded.info.piece_length]
            assert verified(engine.said) == {0}
            engine.session.resume(transfer)
            await engine.until(lambda said: verified(said) == all_of(seeded))


async def test_a_torrent_keeps_to_its_speed_until_it_is_told_another(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", {"big.bin": 4_000_000}) as seeded:
        async with Listening(tmp_path) as engine:
            transfer = new_transfer()
            slow = Steering(sequential=True, down_max=2_000_000)
            add = replace(seeded.add(tmp_path / "data", transfer, seeded.book()), steering=slow)
            engine.session.add(add)
            (handle,) = engine.session._handles.values()
            assert handle.download_limit() == 2_000_000
            assert handle.flags() & lt.torrent_flags.sequential_download
            engine.session.steer(transfer, Steering(up_max=100_000))
            assert (handle.download_limit(), handle.upload_limit()) == (0, 100_000)
            assert not handle.flags() & lt.torrent_flags.sequential_download
            engine.session.announce(transfer, at_once=True)
            await engine.until(lambda said: verified(said) == all_of(seeded))
