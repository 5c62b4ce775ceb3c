"""Ways to content beside peers that trackers name: web seeds, a proxy; and what private torrents never use."""

import asyncio
from pathlib import Path

import libtorrent as lt
import pytest
from msgspec.structs import replace

from agent.about import check
from agent.config import Settings
from agent.engine.api import Add
from agent.engine.web import Web
from tests.integration.agent.swarm import Listening, new_transfer, seed, settings
from tests.support.site import HOST, Page, serving
from tests.support.socks import socks
from tests.support.until import until
from wire.bencode import Encodable, encode
from wire.metainfo import parse_info
from wire.settings import BadSettings

SIZES = {"a/big.bin": 1_000_000, "a/empty": 0, "small.txt": 10}
ALL_WAYS = {"agent_dht": True, "agent_lsd": True, "agent_pex": True}
NEVER = lt.torrent_flags.disable_dht | lt.torrent_flags.disable_lsd | lt.torrent_flags.disable_pex
EXTRA = "http://extra.example.org/announce"


def torrent(folder: Path, *, private: bool) -> Add:
    info: dict[bytes, Encodable] = {
        b"name": b"a",
        b"piece length": 16_384,
        b"pieces": bytes(20),
        b"length": 10,
        b"private": int(private),
    }
    return Add(
        transfer=new_transfer(),
        folder=folder,
        v1=parse_info(encode(info)).hashes.v1_hex,
        v2=None,
        trackers=[["http://own.example.org/announce"]],
        web_seeds=[],
        peers=[],
        info=encode(info),
        priorities=[0],
        sizes=[(0, 10)],
    )


@pytest.mark.parametrize("private", [True, False])
async def test_a_private_torrent_knows_its_own_trackers_and_nothing_else(tmp_path: Path, private: bool) -> None:
    chosen = replace(settings(tmp_path), agent_trackers=f"{EXTRA}, ", **ALL_WAYS)
    async with Listening(tmp_path, chosen) as engine:
        engine.session.add(torrent(tmp_path / "data", private=private))
        (handle,) = engine.session._handles.values()
        assert (handle.flags() & NEVER == NEVER) is private
        assert not handle.flags() & NEVER or private
        urls = {tracker["url"] for tracker in handle.trackers()}
        assert urls == {"http://own.example.org/announce"} | (set() if private else {EXTRA})


async def test_what_an_agent_does_not_want_no_torrent_uses(tmp_path: Path) -> None:
    async with Listening(tmp_path, replace(settings(tmp_path), agent_pex=False)) as engine:
        engine.session.add(torrent(tmp_path / "data", private=False))
        (handle,) = engine.session._handles.values()
        assert handle.flags() & NEVER == NEVER


async def test_a_web_seed_alone_brings_a_torrent(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        pages = {
            "/files/torrent/" + "/".join(file.path): Page(seeded.content[file.index]) for file in seeded.info.content
        }
        async with serving(pages) as site, Listening(tmp_path) as engine:
            add = seeded.add(tmp_path / "data", new_transfer(), seeded.book())
            engine.session.add(replace(add, peers=[], web_seeds=[f"{site.url}/files/"]))
            whole = set(range(seeded.info.piece_count))
            await engine.until(lambda said: {getattr(event, "piece", None) for event in said} >= whole)
            row = b"".join([await engine.session.read(add.transfer, piece) for piece in sorted(whole)])
        assert row == b"".join(seeded.content[file.index] for file in seeded.info.content)


def proxied(folder: Path, port: int, sign_in: str = "") -> Settings:
    return replace(settings(folder), agent_proxy=f"socks5://{sign_in}{HOST}:{port}")


async def test_peers_are_met_through_the_proxy(tmp_path: Path) -> None:
    with seed(tmp_path / "seeder", SIZES) as seeded:
        async with socks() as proxy, Listening(tmp_path, proxied(tmp_path, proxy.port)) as engine:
            add = seeded.add(tmp_path / "data", new_transfer(), seeded.book())
            engine.session.add(add)
            whole = set(range(seeded.info.piece_count))
            await engine.until(lambda said: {getattr(event, "piece", None) for event in said} >= whole)
            assert ("127.0.0.1", seeded.port) in proxy.asked


async def test_web_servers_are_asked_through_the_proxy_and_private_ones_not_even_so(tmp_path: Path) -> None:
    async with serving({"/f": Page(b"abc", etag='"1"')}) as site, socks("me", "word") as proxy:
        async with asyncio.TaskGroup() as group:
            web, said = Web(proxied(tmp_path, proxy.port, "me:word@"), group), list[object]()
            web.listen(said.append)
            web.allow([f"{HOST}/32"])
            add = replace(torrent(tmp_path / "data", private=False), info=None, url=f"{site.url}/f")
            web.add(add)
            await until(lambda: any(b'"size_bytes":3' in getattr(event, "info", b"") for event in said))
            assert proxy.asked == [(HOST, int(site.url.rpartition(":")[2]))]
            web.allow([])
            web.add(replace(add, transfer=new_transfer()))
            await until(lambda: any(getattr(event, "code", "") == "url_not_allowed" for event in said))
            assert len(proxy.asked) == 1
            await web.aclose()


@pytest.mark.parametrize("wrong", [{"agent_proxy": "http://proxy:1"}, {"agent_outgoing": "eth0"}])
def test_ways_that_cannot_be_gone_are_refused_with_a_sentence(tmp_path: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(BadSettings):
        check(replace(settings(tmp_path), **wrong))
