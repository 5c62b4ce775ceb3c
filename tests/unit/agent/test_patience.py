"""How long is waited for whom, what is told meanwhile, and what is said in the end."""

from typing import Literal

import pytest
from msgspec.structs import replace

from agent.engine.api import Checked, Figures, MetadataArrived, TrackerSaid
from agent.patience import Waits, asks_again, failure_of, stuck
from agent.running import Counted, Entered, Event, InEngine, Looked, Paused, Resumed, Run, Steered, begin, fold
from tests.unit.agent.specs import spec
from wire.ids import TransferId

WAITS = Waits(told_s=30, metadata_s=300, refused_s=120, stall_s=900, store_s=600)
ASKED = replace(spec(), trackers=[["http://one/a"], ["http://two/b"]])
T = ASKED.transfer
ALONE = Figures(T, down_rate=0, up_rate=0, peers=0, seeds=0)
SOMEBODY = replace(ALONE, peers=3)


def happen(run: Run, *events: Event) -> Run:
    for event in events:
        run = fold(run, event)
    return run


def looked(
    now_s: float,
    *,
    there: int = 0,
    stored: int = 0,
    putting: bool = False,
    shut: bool = False,
    word: str = "",
    heard: bool = True,
) -> Looked:
    return Looked(
        T,
        now_s=now_s,
        there_bytes=there,
        stored_bytes=stored,
        putting=putting,
        shut=shut,
        store_word=word,
        heard=heard,
    )


def said(url: str, kind: Literal["ok", "refused", "away"], text: str = "", peers: int = 0) -> TrackerSaid:
    return TrackerSaid(T, url, kind, text, peers)


def magnet() -> Run:
    return happen(begin(ASKED), Entered(T, InEngine.METADATA), looked(0))


def fetching() -> Run:
    entered = (Entered(T, InEngine.CONTENT), Checked(T, ()), Counted(T, unready=5, unstored=5))
    return happen(begin(ASKED), MetadataArrived(T, b"de"), *entered, looked(0))


def code(run: Run, now_s: float) -> str | None:
    failed = failure_of(run, WAITS, now_s)
    return failed.code if failed else None


def test_a_magnet_that_nobody_knows_times_out() -> None:
    run = happen(magnet(), SOMEBODY, looked(299))
    assert code(run, 299) is None
    assert code(run, 300) == "metadata_timeout"
    assert stuck(run, WAITS, 29) is None
    told = stuck(run, WAITS, 60)
    assert told is not None
    assert (told.code, told.for_s) == ("no_metadata", 60)


def test_metadata_that_came_ends_the_wait() -> None:
    assert code(happen(magnet(), MetadataArrived(T, b"de"), looked(299)), 10_000) is None


def test_trackers_that_all_refuse_are_not_waited_for_so_long() -> None:
    run = happen(magnet(), said("http://one/a", "refused", "unregistered torrent"), looked(150))
    assert code(run, 150) is None, "the other one has not answered"
    run = happen(run, said("http://two/b", "refused", "no"), looked(151))
    assert code(run, 151) == "tracker_refused"
    assert code(happen(run, SOMEBODY), 151) is None, "peers are there all the same"
    told = stuck(run, WAITS, 151)
    assert told is not None
    assert told.sentence == "No peers for 2 min: http://one says “unregistered torrent”; http://two says “no”."


@pytest.mark.parametrize(
    ("peers", "words"),
    [
        (0, "knows of nobody else"),
        (1, "names one address, which could not be connected to"),
        (2, "names 2 addresses, none of which could be connected to"),
    ],
)
def test_a_tracker_is_not_said_to_know_of_nobody_when_it_named_somebody(peers: int, words: str) -> None:
    told = stuck(happen(fetching(), said("http://one/a", "ok", peers=peers)), WAITS, 31)
    assert told is not None
    assert told.sentence == f"No peers for 31 s: http://one {words}."


def test_who_is_alone_asks_the_trackers_again_and_more_and_more_seldom() -> None:
    def asked_at(run: Run) -> list[int]:
        return [second for second in range(1, 300) if asks_again(run, WAITS, second - 1, second)]

    assert asked_at(happen(fetching(), ALONE)) == [30, 60, 120, 240]
    assert asked_at(happen(fetching(), SOMEBODY)) == []
    assert asked_at(happen(fetching(), ALONE, Counted(T, unready=0, unstored=5), looked(1))) == []
    assert asks_again(fetching(), WAITS, 25, 1_000), "once, however long it was not looked"


def test_a_tracker_that_cannot_be_reached_is_no_refusal() -> None:
    run = happen(magnet(), said("http://one/a", "refused", "no"), said("http://two/b", "away", "timed out"))
    assert code(run, 299) is None


def test_payload_begins_the_wait_anew_and_its_end_is_a_stall() -> None:
    run = happen(fetching(), replace(SOMEBODY, fetched_bytes=10), looked(800))
    assert code(run, 1699) is None
    assert code(run, 1700) == "stalled"
    assert code(happen(run, replace(SOMEBODY, fetched_bytes=11), looked(1699)), 1700) is None


def test_a_shut_window_is_nobodys_fault() -> None:
    run = happen(fetching(), ALONE, looked(800, shut=True))
    assert code(run, 10_000) is None
    told = stuck(run, WAITS, 830)
    assert told is not None
    assert (told.code, told.for_s) == ("room", 30)
    assert not asks_again(run, WAITS, 829, 831)
    assert code(happen(run, looked(850)), 1749) is None, "what is asked for is waited for anew"
    assert code(happen(run, looked(850)), 1750) == "stalled"
    putting = happen(fetching(), looked(10, shut=True, putting=True))
    assert code(putting, 610) == "store_slow"


def test_peers_that_send_rubbish_are_told_from_peers_that_send_nothing() -> None:
    """What they send is payload all the time: only pieces that hold count then."""
    run = fetching()
    for second in range(0, 1000, 10):
        run = happen(run, replace(SOMEBODY, fetched_bytes=second + 1, wrong_bytes=second), looked(second))
    assert code(run, 1000) == "bad_peers"
    assert stuck(run, WAITS, 1000) is not None


def test_who_wants_nothing_waits_for_nobody() -> None:
    run = happen(fetching(), Counted(T, unready=0, unstored=5), looked(1))
    assert code(run, 10_000) is None


def test_a_store_that_acknowledges_nothing_is_away_or_slow() -> None:
    run = happen(fetching(), looked(0, putting=True), replace(SOMEBODY, fetched_bytes=1), looked(500, putting=True))
    assert code(run, 599) is None
    assert code(run, 600) == "store_slow"
    run = happen(run, looked(600, putting=True, word="the store answered 503"))
    assert code(run, 600) == "store_away"
    told = stuck(run, WAITS, 600)
    assert told is not None
    assert told.sentence == "Nothing stored for 10 min: the store answered 503"
    assert code(happen(run, looked(601, putting=True, stored=1)), 602) is None


def test_while_the_control_plane_is_away_nobody_else_is_to_blame() -> None:
    run = happen(fetching(), looked(1, putting=True, heard=False))
    assert code(run, 10_000) is None
    assert code(happen(run, looked(10_000, putting=True)), 10_001) is None, "the wait begins when it is back"


def test_while_it_is_paused_nobody_is_waited_for_and_resuming_begins_anew() -> None:
    run = happen(fetching(), looked(850), Paused(T), looked(3000), Resumed(T), looked(3001))
    assert (code(run, 3800), code(run, 3901)) == (None, "stalled")
    assert stuck(happen(run, looked(3030), Paused(T)), WAITS, 3060) is None
    putting = happen(fetching(), looked(0, putting=True), Paused(T), looked(700, putting=True))
    assert code(putting, 700) is None


def test_another_choice_is_waited_for_from_its_own_beginning() -> None:
    """Else fewer bytes than before would be no progress."""
    run = happen(fetching(), looked(10, stored=900, putting=True), Steered(T, rev=1, unready=2, unstored=2))
    run = happen(run, looked(800, stored=100, putting=True), looked(810, stored=200, putting=True))
    assert code(run, 1399) is None


def test_a_new_try_waits_from_its_own_beginning() -> None:
    run = happen(magnet(), Entered(TransferId(T), InEngine.CONTENT), looked(400))
    assert code(run, 400) is None


def test_availability_that_was_not_asked_for_this_time_stays_as_it_was() -> None:
    run = happen(fetching(), replace(SOMEBODY, availability=2.5), SOMEBODY)
    assert run.figures is not None
    assert run.figures.availability == 2.5
