"""What a report carries, what an answer acknowledges, and which verdicts count."""

from msgspec.structs import replace

from agent.desired import Desired
from agent.parts import Book, Span, lay_out
from agent.reports import Told, report
from agent.running import Counted, InfoFetched, Prepared, begin, fold
from agent.transfer import Unacked
from tests.unit.agent.specs import spec
from wire.ids import BootId, new_id
from wire.messages import PARTS_PER_REPORT, FileStored, PartStored, Steer, Sync, Synced, Verdict
from wire.states import Intent

TOLD = Told(rev=1, store_rate=0, handover=False)


def part(number: int, etag: str = "e") -> PartStored:
    return PartStored(0, number, 8, 0, etag)


def test_a_report_is_bounded_and_done_only_when_it_carries_the_last_part() -> None:
    asked = spec(has_info=True, go=True)
    t = asked.transfer
    run = fold(fold(begin(asked), InfoFetched(t)), Prepared(t, unready=0, unstored=1))
    unacked = Unacked()
    for number in range(PARTS_PER_REPORT + 1):
        unacked.add(part(number + 1))
    assert not report(run, None, unacked, TOLD).done
    run = fold(run, Counted(t, unready=0, unstored=0))
    first = report(run, None, unacked, TOLD)
    assert len(first.parts) == PARTS_PER_REPORT
    assert not first.done
    unacked.acknowledged(first)
    last = report(run, None, unacked, TOLD)
    assert len(last.parts) == 1
    assert last.done


def test_nothing_is_done_before_the_book_is_open() -> None:
    assert not report(begin(spec(has_info=True, go=True)), None, Unacked(), TOLD).done


def test_only_what_was_carried_is_acknowledged() -> None:
    run, unacked = begin(spec()), Unacked()
    unacked.add(part(1, "old"))
    unacked.add(FileStored(4, 1, 0, "e", "k"))
    sent = report(run, None, unacked, TOLD)
    unacked.add(part(1, "put again"))
    unacked.add(part(2))
    unacked.acknowledged(sent)
    assert list(unacked.parts.values()) == [part(1, "put again"), part(2)]
    assert not unacked.files


def test_rates_count_what_earlier_epochs_stored() -> None:
    book = Book(lay_out([Span(0, 0, 100), Span(1, 100, 50)], 64, 3))
    book.already_stored([], [0])
    rates = report(begin(spec()), book, Unacked(), TOLD).rates
    assert (rates.down_bytes, rates.stored_bytes, rates.total_bytes) == (100, 100, 150)


def sync_of(desired: Desired) -> Sync:
    return Sync(boot=BootId(new_id()), rev=1, version="1", slots=1, held=desired.held())


def test_a_stale_verdict_lets_go_but_not_of_what_was_claimed_meanwhile() -> None:
    old = spec(epoch=1)
    desired = Desired()
    desired.take(old)
    said = sync_of(desired)
    desired.take(replace(old, epoch=3))
    stale = Synced([Verdict(old.transfer, "stale")], 1)
    desired.heard(said, stale)
    assert desired.wanted[old.transfer].spec.epoch == 3
    desired.heard(sync_of(desired), stale)
    assert not desired.wanted


def test_stop_lets_go_and_go_is_heard() -> None:
    one, other = spec(), spec()
    desired = Desired()
    desired.take(one)
    desired.take(other)
    answer = Synced([Verdict(one.transfer, "ok", Intent.STOP), Verdict(other.transfer, "ok", go=True)], 1)
    desired.heard(sync_of(desired), answer)
    assert list(desired.wanted) == [other.transfer]
    assert desired.wanted[other.transfer].go


def test_a_paused_transfer_is_held_and_takes_no_slot() -> None:
    one, found = spec(), spec(epoch=2)
    desired = Desired()
    desired.take(one)
    paused = Verdict(one.transfer, "ok", Intent.PAUSE)
    adopted = Verdict(found.transfer, "adopt", Intent.PAUSE, spec=found)
    desired.heard(sync_of(desired), Synced([paused, adopted], 1))
    assert (len(desired.held()), desired.at_work()) == (2, 0)
    desired.heard(sync_of(desired), Synced([Verdict(one.transfer, "ok", Intent.RUN)], 1))
    assert not desired.wanted[one.transfer].paused
    assert desired.at_work() == 1


def test_another_choice_is_heard_and_the_report_says_which_one_it_goes_by() -> None:
    one = spec()
    desired = Desired()
    desired.take(one)
    desired.heard(sync_of(desired), Synced([Verdict(one.transfer, "ok", steer=Steer(2, [1]))], 1))
    assert desired.wanted[one.transfer].spec.steer.files == [1]
    assert report(begin(desired.wanted[one.transfer].spec), None, Unacked(), TOLD).steer == 2


def test_what_was_found_is_adopted_under_the_new_epoch() -> None:
    found = spec(epoch=5)
    desired = Desired()
    desired.heard(sync_of(desired), Synced([Verdict(found.transfer, "adopt", spec=found)], 1))
    assert desired.wanted[found.transfer].spec.epoch == 5


def test_what_is_only_given_to_peers_takes_no_slot() -> None:
    asked, desired = spec(has_info=True, go=True), Desired()
    desired.take(asked)
    sync = Sync(boot=BootId(new_id()), rev=1, version="t", slots=1, held=desired.held())
    desired.heard(sync, Synced([Verdict(asked.transfer, "ok", go=True, seeds=True)], 1))
    assert desired.wanted[asked.transfer].seeds
    assert desired.at_work() == 0
    desired.heard(sync, Synced([Verdict(asked.transfer, "stale")], 1))
    assert not desired.wanted
