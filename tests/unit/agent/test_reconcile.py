"""The plan: from what is wanted and what is, to what is done next."""

from collections.abc import Mapping

from msgspec.structs import replace

from agent.engine.api import Broke, Checked, MetadataArrived
from agent.reconcile import (
    Action,
    Bring,
    Drop,
    FetchInfo,
    FetchMetadata,
    Go,
    Halt,
    Judge,
    Pace,
    Pause,
    Prepare,
    Resume,
    Start,
    Steer,
    Wanted,
    plan,
)
from agent.running import (
    Began,
    Counted,
    Entered,
    Errand,
    Event,
    InEngine,
    InfoFetched,
    Judged,
    Paced,
    Paused,
    Prepared,
    Resumed,
    Run,
    Steered,
    Still,
    begin,
    done,
    fold,
    phase,
)
from tests.unit.agent.specs import spec
from wire import messages
from wire.ids import TransferId
from wire.messages import Spec
from wire.states import Phase


def next_action(wanted: Wanted, run: Run) -> Action | None:
    actions = plan({run.transfer: wanted}, {run.transfer: run})
    assert len(actions) <= 1
    return actions[0] if actions else None


def happen(run: Run, *events: Event) -> Run:
    for event in events:
        run = fold(run, event)
    return run


def test_a_magnet_goes_from_metadata_over_judgement_to_content() -> None:
    asked = spec()
    want, t = Wanted(asked), asked.transfer
    assert plan({t: want}, {}) == [Start(t)]
    run = begin(asked)
    assert phase(run) is Phase.FETCHING_METADATA
    assert next_action(want, run) == FetchMetadata(t)
    run = happen(run, Entered(t, InEngine.METADATA))
    assert next_action(want, run) is None
    run = happen(run, MetadataArrived(t, b"de"))
    assert phase(run) is Phase.HELD
    assert next_action(want, run) == Judge(t)
    run = happen(run, Began(t, Errand.JUDGE))
    assert next_action(want, run) is None
    run = happen(run, Judged(t, go=True))
    assert phase(run) is Phase.RUNNING
    assert next_action(want, run) == Prepare(t)
    run = happen(run, Began(t, Errand.PREPARE), Prepared(t, unready=2, unstored=2))
    assert next_action(want, run) == Bring(t)
    run = happen(run, Entered(t, InEngine.CONTENT), Counted(t, unready=0, unstored=1))
    assert phase(run) is Phase.TAIL
    assert not done(run)
    assert next_action(want, run) is None
    assert done(happen(run, Counted(t, unready=0, unstored=0)))


def test_a_torrent_file_needs_no_judgement() -> None:
    asked = spec(has_info=True, go=True)
    run = begin(asked)
    assert phase(run) is Phase.RUNNING
    assert next_action(Wanted(asked, go=True), run) == FetchInfo(asked.transfer)
    run = happen(run, Began(asked.transfer, Errand.FETCH_INFO), InfoFetched(asked.transfer))
    assert next_action(Wanted(asked, go=True), run) == Prepare(asked.transfer)


def test_metadata_that_is_not_accepted_is_held_until_a_sync_says_go() -> None:
    asked = spec()
    run = happen(begin(asked), MetadataArrived(asked.transfer, b"de"), Judged(asked.transfer, go=False))
    assert next_action(Wanted(asked), run) is None
    assert phase(run) is Phase.HELD
    assert next_action(Wanted(asked, go=True), run) == Go(asked.transfer)


def test_what_is_not_wanted_any_more_is_dropped_and_wiped() -> None:
    run = begin(spec())
    assert plan({}, {run.transfer: run}) == [Drop(run.transfer, wipe=True)]


def test_a_newer_epoch_starts_afresh_on_the_same_data() -> None:
    asked = spec(epoch=2)
    run = replace(begin(asked), epoch=1)
    assert plan({asked.transfer: Wanted(asked)}, {asked.transfer: run}) == [Drop(asked.transfer, wipe=False)]


def test_a_failed_transfer_leaves_the_engine_and_does_nothing_more() -> None:
    asked = spec(has_info=True, go=True)
    t = asked.transfer
    run = happen(
        begin(asked),
        InfoFetched(t),
        Prepared(t, unready=1, unstored=1),
        Entered(t, InEngine.CONTENT),
        Broke(t, "disk_full", ""),
    )
    assert next_action(Wanted(asked, go=True), run) == Halt(t)
    run = happen(run, Entered(t, InEngine.NONE))
    assert next_action(Wanted(asked, go=True), run) is None
    assert run.failure is not None
    assert run.failure.code == "disk_full"


def test_the_first_failure_stands() -> None:
    asked = spec()
    run = happen(begin(asked), *(Broke(asked.transfer, code, "") for code in ("disk_error", "engine_error")))
    assert run.failure is not None
    assert run.failure.code == "disk_error"


def test_the_same_torrent_for_two_organisations_waits_its_turn() -> None:
    first, second = spec(v1="bb" * 20), spec(v1="bb" * 20)
    wanted = {first.transfer: Wanted(first), second.transfer: Wanted(second)}
    runs = {
        first.transfer: happen(begin(first), Entered(first.transfer, InEngine.METADATA)),
        second.transfer: begin(second),
    }
    assert plan(wanted, runs) == []
    assert plan(wanted, runs | {first.transfer: begin(first)})[0] == FetchMetadata(first.transfer)
    del wanted[first.transfer], runs[first.transfer]
    assert plan(wanted, runs) == [FetchMetadata(second.transfer)]


def test_who_only_gives_or_is_paused_makes_way_for_who_fetches_the_same_torrent() -> None:
    first, second = spec(v1="bb" * 20, has_info=True, go=True), spec(v1="bb" * 20)
    a, b = first.transfer, second.transfer
    asks = begin(second)
    ready = happen(begin(first), InfoFetched(a), Prepared(a, unready=0, unstored=0))
    seeding = happen(ready, Entered(a, InEngine.CONTENT))
    seed = {a: Wanted(first, go=True, seeds=True)}
    both = seed | {b: Wanted(second)}
    assert plan(seed, {a: seeding}) == []
    assert plan(both, {a: seeding, b: asks}) == [Halt(a)]
    assert plan(both, {a: ready, b: asks}) == [FetchMetadata(b)], "not the seed again, though it is named first"
    assert plan(both, {a: ready, b: happen(asks, Entered(b, InEngine.METADATA))}) == []
    assert plan(seed, {a: ready}) == [Bring(a)]
    fetching = {a: Wanted(first, go=True), b: Wanted(second)}
    assert plan(fetching, {a: seeding, b: asks}) == []
    paused = fetching | {a: Wanted(first, go=True, paused=True)}
    assert plan(paused, {a: happen(seeding, Paused(a)), b: asks}) == [Halt(a)]
    halted = happen(seeding, Paused(a), Entered(a, InEngine.NONE))
    back = happen(halted, Resumed(a), Entered(a, InEngine.CONTENT))
    assert (seeding.away, halted.away, back.away, happen(back, Checked(a, ())).away) == (False, True, True, False)
    assert plan(paused, {a: halted, b: asks}) == [FetchMetadata(b)]
    assert plan(fetching, {a: happen(halted, Resumed(a)), b: happen(asks, Entered(b, InEngine.METADATA))}) == []
    assert plan({a: fetching[a]}, {a: happen(halted, Resumed(a), Counted(a, unready=1, unstored=1))}) == [Bring(a)]


def test_two_that_start_together_do_not_both_enter_the_engine() -> None:
    """Found by reading: the plan looked only at who was in the engine already."""
    both: list[Spec] = [spec(v1="cc" * 20), spec(v1="cc" * 20)]
    runs: Mapping[TransferId, Run] = {one.transfer: begin(one) for one in both}
    assert plan({one.transfer: Wanted(one) for one in both}, runs) == [FetchMetadata(both[0].transfer)]


def test_what_is_paused_stays_as_it_is_and_goes_on_from_there() -> None:
    asked = spec(has_info=True, go=True)
    t = asked.transfer
    run = happen(begin(asked), InfoFetched(t))
    paused, wanted = Wanted(asked, go=True, paused=True), Wanted(asked, go=True)
    assert next_action(paused, run) == Pause(t)
    run = happen(run, Paused(t))
    assert next_action(paused, run) is None
    assert next_action(wanted, run) == Resume(t)
    run = happen(run, Resumed(t), Began(t, Errand.PREPARE), Prepared(t, unready=2, unstored=2))
    run = happen(run, Entered(t, InEngine.CONTENT))
    assert next_action(paused, run) == Pause(t)
    assert next_action(wanted, happen(run, Paused(t), Resumed(t))) is None


def test_what_fails_while_it_is_paused_leaves_the_engine() -> None:
    asked = spec(has_info=True, go=True)
    t = asked.transfer
    run = happen(begin(asked), Entered(t, InEngine.CONTENT), Paused(t), Broke(t, "disk_error", "x"))
    assert next_action(Wanted(asked, go=True, paused=True), run) == Halt(t)


def test_a_new_choice_is_gone_by_even_after_all_was_done_and_while_it_is_paused() -> None:
    asked = spec(has_info=True, go=True)
    t = asked.transfer
    run = happen(begin(asked), InfoFetched(t), Prepared(t, unready=0, unstored=0), Entered(t, InEngine.CONTENT))
    assert done(run)
    more = Wanted(replace(asked, steer=messages.Steer(rev=1, files=[0, 1])), go=True)
    assert next_action(more, run) == Steer(t)
    assert next_action(replace(more, paused=True), happen(run, Paused(t))) == Steer(t)
    run = happen(run, Steered(t, rev=1, unready=1, unstored=1))
    assert not done(run)
    assert phase(run) is Phase.RUNNING
    assert next_action(more, run) is None
    assert next_action(more, happen(run, Entered(t, InEngine.NONE))) == Bring(t)


def test_a_choice_waits_until_the_book_is_open() -> None:
    asked = spec(has_info=True, go=True)
    t = asked.transfer
    run = happen(begin(asked), InfoFetched(t), Began(t, Errand.PREPARE))
    more = Wanted(replace(asked, steer=messages.Steer(rev=1)), go=True)
    assert next_action(more, run) is None
    assert next_action(more, happen(run, Prepared(t, unready=1, unstored=1))) == Steer(t)


def test_another_share_of_its_organisations_limit_is_gone_by_and_no_wait_begins_anew() -> None:
    asked = spec(has_info=True, go=True)
    faster = Wanted(replace(asked, pace=messages.Pace(down_max=100_000)), go=True)
    run = happen(begin(asked), InfoFetched(asked.transfer), Prepared(asked.transfer, unready=1, unstored=1))
    run = replace(run, swarm=Still("payload", since_s=5, mark=0))
    assert next_action(faster, run) == Pace(asked.transfer)
    after = happen(run, Paced(asked.transfer, faster.spec.pace))
    assert next_action(faster, after) == Bring(asked.transfer)
    assert after.swarm == run.swarm


def test_what_is_stored_and_shall_be_given_to_peers_is_brought_to_the_engine_again_and_stays() -> None:
    asked = spec(has_info=True, go=True)
    run = happen(begin(asked), InfoFetched(asked.transfer), Prepared(asked.transfer, unready=0, unstored=0))
    assert done(run)
    assert next_action(Wanted(asked, go=True), run) is None
    seeds = Wanted(asked, go=True, seeds=True)
    assert next_action(seeds, run) == Bring(asked.transfer)
    assert next_action(seeds, happen(run, Entered(asked.transfer, InEngine.CONTENT))) is None


def test_who_may_give_no_more_begins_anew_on_the_same_disk() -> None:
    asked = spec(has_info=True, go=True)
    t = asked.transfer
    quiet = replace(asked, steer=messages.Steer(rev=1, gives=False))
    run = happen(begin(asked), Entered(t, InEngine.CONTENT))
    assert plan({t: Wanted(quiet, go=True)}, {t: run}) == [Drop(t, wipe=False)]
    assert plan({t: Wanted(quiet, go=True)}, {}) == [Start(t)]
    assert next_action(Wanted(quiet, go=True), begin(quiet)) == FetchInfo(t)
