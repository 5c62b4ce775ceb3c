"""The demo: the same bytes from the same seed, and a tracker that says who is there."""

import hashlib
import struct
import wave
import zlib
from pathlib import Path
from typing import Any

import libtorrent as lt
import pytest

from stack.demo import content, torrent, tracker
from stack.demo.tracker import Swarms
from wire.units import MIB

SMALL = {"total_bytes": 24 * MIB, "small_files": 40}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return content.make(tmp_path_factory.mktemp("demo"), **SMALL)


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    assert digest(content.make(tmp_path, **SMALL)) == digest(made)


def test_another_seed_gives_others(made: Path, tmp_path: Path) -> None:
    assert digest(content.make(tmp_path, seed=2, **SMALL)) != digest(made)


def test_it_is_as_large_as_was_asked(made: Path) -> None:
    assert sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) == 24 * MIB


def test_half_written_content_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / f"{content.NAME}.new"
    half.mkdir()
    (half / "rest").touch()
    assert not (content.make(tmp_path, **SMALL) / "rest").exists()


def test_there_is_something_of_every_kind(made: Path) -> None:
    assert (made / "empty").stat().st_size == 0
    assert len(list((made / "small").rglob("*.dat"))) == 40
    assert max(len(path.relative_to(made).parts) for path in made.rglob("*")) > 10
    with wave.open(str(made / "music" / "tune.wav")) as tune:
        assert tune.getnframes() > tune.getframerate()
    for picture in (made / "pictures").iterdir():
        data = picture.read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        length = struct.unpack(">I", data[33:37])[0]
        assert len(zlib.decompress(data[41 : 41 + length])) == height * (1 + 3 * width)


def test_the_torrent_is_the_same_for_the_same_content_and_its_magnet_names_it(made: Path) -> None:
    trackers = ["http://127.77.0.1:1/announce"]
    data = torrent.create(made, trackers=trackers)
    assert data == torrent.create(made, trackers=trackers)
    read = lt.parse_magnet_uri(torrent.magnet(data, trackers=trackers, peers=["127.77.0.1:2"]))
    info = lt.torrent_info(data)
    assert (read.info_hashes, read.name) == (info.info_hashes(), content.NAME)
    assert read.trackers == trackers
    assert read.peers == [("127.77.0.1", 2)]


def test_a_hybrid_has_both_hashes(made: Path) -> None:
    hashes = lt.torrent_info(torrent.create(made, trackers=[], kind="hybrid")).info_hashes()
    assert hashes.has_v1()
    assert hashes.has_v2()


def announced(swarms: Swarms, host: str, port: int, extra: str = "") -> dict[Any, Any]:
    said = tracker.reply(swarms, f"/announce?info_hash={'%01' * 20}&peer_id={'p' * 20}&port={port}&left=0{extra}", host)
    answer = lt.bdecode(said)
    assert isinstance(answer, dict)
    return answer


def test_who_announces_hears_of_the_others_and_not_of_himself() -> None:
    swarms = Swarms()
    assert announced(swarms, "127.0.0.1", 1)[b"peers"] == b""
    assert announced(swarms, "127.0.0.2", 2)[b"peers"] == bytes([127, 0, 0, 1, 0, 1])
    assert announced(swarms, "127.0.0.2", 2)[b"peers"] == bytes([127, 0, 0, 1, 0, 1])


def test_peers_are_also_told_at_length() -> None:
    swarms = Swarms()
    announced(swarms, "127.0.0.1", 1)
    answer = announced(swarms, "127.0.0.2", 2, "&compact=0")
    assert answer[b"peers"] == [{b"ip": b"127.0.0.1", b"peer id": b"p" * 20, b"port": 1}]


def test_who_leaves_is_forgotten() -> None:
    swarms = Swarms()
    announced(swarms, "127.0.0.1", 1)
    announced(swarms, "127.0.0.1", 1, "&event=stopped")
    assert announced(swarms, "127.0.0.2", 2)[b"peers"] == b""


@pytest.mark.parametrize("target", ["/", "/announce", "/announce?info_hash=short&port=1", "/scrape"])
def test_anything_else_is_a_bad_request(target: str) -> None:
    assert b"failure reason" in tracker.reply(Swarms(), target, "127.0.0.1")
