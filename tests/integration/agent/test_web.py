"""The web engine against web servers that behave, and ones that do not: what comes, what is asked, how it ends."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.config import Settings
from agent.engine.api import Add, Broke, Checked, EngineEvent, MetadataArrived, PieceVerified, Steering, TrackerSaid
from agent.engine.web import Web
from tests.integration.agent.swarm import new_transfer, settings
from tests.support.noise import Noise
from tests.support.site import HOST, Page, serving
from wire.remote import Remote, parse_remote
from wire.units import KIB, MIB

SIZE = 19 * MIB + 3
CONTENT = Noise(3).read(SIZE)
LIMIT_S = 60.0
PIECES = 20
ALL = set(range(PIECES))


class Ear:
    """A web engine, and all that it said."""

    def __init__(self, folder: Path, group: asyncio.TaskGroup, chosen: Settings) -> None:
        self.said: list[EngineEvent] = []
        self.folder = folder / "data"
        self.web = Web(chosen, group)
        self.transfer = new_transfer()
        self._more = asyncio.Event()
        self.web.listen(self._hear)
        self.web.allow([f"{HOST}/32"])

    def add(self, url: str, info: bytes | None = None, priorities: list[int] | None = None) -> Add:
        add = Add(self.transfer, self.folder, None, None, [], [], [], info=info, priorities=priorities or (), url=url)
        self.web.add(add)
        return add

    async def find(self, url: str) -> Remote:
        """As the first agent that asks finds it."""
        self.add(url)
        await self.until(lambda said: any(isinstance(event, MetadataArrived) for event in said))
        return parse_remote(self.raw)

    @property
    def raw(self) -> bytes:
        return next(event.info for event in self.said if isinstance(event, MetadataArrived))

    @property
    def verified(self) -> set[int]:
        return {event.piece for event in self.said if isinstance(event, PieceVerified)}

    async def broken(self) -> str:
        await self.until(lambda said: any(isinstance(event, Broke) for event in said))
        return next(event.code for event in self.said if isinstance(event, Broke))

    async def until(self, holds: Callable[[list[EngineEvent]], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds(self.said):
                self._more.clear()
                await self._more.wait()

    async def content(self) -> bytes:
        return b"".join([await self.web.read(self.transfer, piece) for piece in sorted(ALL)])

    def _hear(self, event: EngineEvent) -> None:
        self.said.append(event)
        self._more.set()


@asynccontextmanager
async def engine(folder: Path, **more: object) -> AsyncIterator[Ear]:
    async with asyncio.TaskGroup() as group:
        ear = Ear(folder, group, replace(settings(folder), **more))
        yield ear
        await ear.web.aclose()


def said(**more: object) -> bytes:
    """What an agent found, at another time."""
    known = Remote(name="f", size_bytes=SIZE, etag='"1"', ranges=True)
    return replace(known, **more).json()


async def test_pieces_come_by_ranges_in_the_order_in_which_they_are_asked_for(tmp_path: Path) -> None:
    async with serving({"/f": Page(CONTENT, etag='"1"')}) as site, engine(tmp_path) as ear:
        assert await ear.find(f"{site.url}/f") == Remote(name="f", size_bytes=SIZE, etag='"1"', ranges=True)
        ear.add(f"{site.url}/f", ear.raw, [0] * 5 + [7] + [0] * 14)
        assert Checked(ear.transfer, ()) in ear.said
        await ear.until(lambda _: ear.verified == {5})
        ear.web.ask(ear.transfer, [(piece, 1) for piece in ALL - {5}])
        await ear.until(lambda _: ear.verified == ALL)
        assert await ear.content() == CONTENT
        assert site.sent_bytes == SIZE + 16 * KIB, "nothing is fetched twice but the first bytes"
        assert site.busiest > 1


async def test_without_ranges_it_is_read_once_and_waits_for_what_is_not_asked_for(tmp_path: Path) -> None:
    async with serving({"/f": Page(CONTENT, ranges=False)}) as site, engine(tmp_path) as ear:
        assert not (await ear.find(f"{site.url}/f")).ranges
        ear.add(f"{site.url}/f", ear.raw, [0, 0, 7, 7] + [0] * 16)
        await ear.until(lambda _: ear.verified == {2, 3})
        ear.web.ask(ear.transfer, [(piece, 1) for piece in range(4, PIECES)])
        await ear.until(lambda _: ear.verified == ALL - {0, 1})
        assert len(site.asked) == 2
        ear.web.ask(ear.transfer, [(0, 1), (1, 1)])
        await ear.until(lambda _: ear.verified == ALL)
        assert await ear.content() == CONTENT


async def test_a_server_that_gives_no_ranges_any_more_is_read_from_the_beginning(tmp_path: Path) -> None:
    async with serving({"/f": Page(CONTENT, etag='"1"', ranges=False)}) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f", said(), [1] * PIECES)
        await ear.until(lambda _: ear.verified == ALL)
        assert await ear.content() == CONTENT


async def test_a_file_of_unknown_size_comes_before_it_is_known(tmp_path: Path) -> None:
    async with serving({"/f": Page(CONTENT, ranges=False, length=False)}) as site, engine(tmp_path) as ear:
        assert (await ear.find(f"{site.url}/f")).size_bytes == SIZE
        ear.add(f"{site.url}/f", ear.raw, [1] * PIECES)
        assert Checked(ear.transfer, tuple(sorted(ALL))) in ear.said
        assert await ear.content() == CONTENT
        assert len(site.asked) == 1


async def test_of_a_file_of_unknown_size_no_more_comes_than_the_budget(tmp_path: Path) -> None:
    async with serving({"/f": Page(CONTENT, ranges=False, length=False)}) as site:
        async with engine(tmp_path, agent_disk_bytes=4 * MIB) as ear:
            ear.add(f"{site.url}/f")
            assert await ear.broken() == "url_too_large"
            assert (ear.folder / "0").stat().st_size <= 4 * MIB


async def test_a_bug_that_a_server_brings_out_ends_its_transfer_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.engine.probe.part_of", lambda answer: 1 // 0)
    async with serving({"/f": Page(CONTENT)}) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f")
        assert await ear.broken() == "engine_error"


async def test_cuts_cost_what_had_not_come_whole(tmp_path: Path) -> None:
    page = Page(CONTENT, etag='"1"', cut_after=2 * MIB)
    async with serving({"/f": page}) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f", said(), [1] * PIECES)
        await ear.until(lambda _: len(ear.verified) >= 8)
        assert any(isinstance(event, TrackerSaid) and event.kind == "away" for event in ear.said)
        page.cut_after = None
        await ear.until(lambda _: ear.verified == ALL)
        assert await ear.content() == CONTENT


async def test_a_paused_file_asks_for_nothing_and_goes_on_where_it_was(tmp_path: Path) -> None:
    async with serving({"/f": Page(CONTENT, etag='"1"')}, rate_bytes=4 * MIB) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f", said(), [1] * PIECES)
        await ear.until(lambda _: len(ear.verified) >= 2)
        ear.web.pause(ear.transfer)
        site.bucket.rate = None
        there = ear.verified
        assert await ear.web.read(ear.transfer, min(there)) == CONTENT[min(there) * MIB :][:MIB]
        ear.web.resume(ear.transfer)
        await ear.until(lambda _: ear.verified == ALL)
        asked = [event.piece for event in ear.said if isinstance(event, PieceVerified)]
        assert len(asked) == PIECES, "none came twice"


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (Page(CONTENT, etag='"2"'), "url_changed"),
        (Page(CONTENT, etag='"2"', ranges=False), "url_changed"),
        (Page(CONTENT[:-1], etag='"1"'), "url_changed"),
        (Page(CONTENT[:MIB], etag='"1"'), "url_changed"),
        (Page(status=404), "url_refused"),
        (Page(status=302, location="/f"), "url_refused"),
        (Page(status=302, location="ftp://example.org/f"), "url_refused"),
        (Page(status=302, location="http://127.0.0.1:1/f"), "url_not_allowed"),
        (Page(status=302, location="http://169.254.169.254/latest/meta-data"), "url_not_allowed"),
        (Page(status=302, location="http://[::ffff:10.0.0.1]/f"), "url_not_allowed"),
        (Page(CONTENT + b"more", etag='"1"', ranges=False, length=False), "url_lies"),
        (Page(CONTENT, etag='"1"', fields={"Content-Encoding": "gzip"}), "url_refused"),
    ],
)
async def test_what_is_not_the_same_file_any_more_is_told_by_its_code(tmp_path: Path, page: Page, code: str) -> None:
    async with serving({"/f": page}) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f", said(), [1] * PIECES)
        assert await ear.broken() == code


@pytest.mark.parametrize(
    ("page", "modified"),
    [(Page(CONTENT, modified="Sat, 21 Nov 2026 10:00:00 GMT"), "Sat, 21 Nov 2026 09:00:00 GMT")],
)
async def test_without_an_etag_the_time_of_change_counts(tmp_path: Path, page: Page, modified: str) -> None:
    async with serving({"/f": page}) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f", said(etag="", modified=modified), [1] * PIECES)
        assert await ear.broken() == "url_changed"


async def test_what_ends_early_again_and_again_is_a_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.engine.download.BACKOFF_S", 0.01)
    page = Page(CONTENT[: 3 * MIB], etag='"1"', ranges=False, length=False)
    async with serving({"/f": page}) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f", said(ranges=False), [1] * PIECES)
        assert await ear.broken() == "url_lies"


async def test_a_server_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.engine.probe.BACKOFF_S", 0.01)
    async with serving({"/f": Page(status=503)}) as site, engine(tmp_path) as ear:
        ear.add(f"{site.url}/f")
        assert await ear.broken() == "url_away"
        assert any(isinstance(event, TrackerSaid) and event.text == "it answered 503" for event in ear.said)


async def test_redirects_are_followed_to_the_file(tmp_path: Path) -> None:
    pages = {"/a": Page(status=302, location="/b?x=1"), "/b": Page(status=307), "/c.bin": Page(CONTENT)}
    async with serving(pages) as site, engine(tmp_path) as ear:
        pages["/b"].location = f"{site.url}/c.bin"
        assert (await ear.find(f"{site.url}/a")).name == "c.bin"


async def test_a_file_keeps_to_its_speed_until_it_is_told_another(tmp_path: Path) -> None:
    async with serving({"/f": Page(CONTENT, etag='"1"')}) as site, engine(tmp_path) as ear:
        add = Add(ear.transfer, ear.folder, None, None, [], [], [], info=said(), priorities=[1] * PIECES)
        ear.web.add(replace(add, url=f"{site.url}/f", steering=Steering(down_max=16 * KIB)))
        await ear.until(lambda _: any(isinstance(each, Checked) for each in ear.said))
        ear.web.steer(ear.transfer, Steering())
        await ear.until(lambda _: ear.verified == ALL)
