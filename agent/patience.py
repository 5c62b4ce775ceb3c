"""How long a transfer waits for others, and what is said of it meanwhile. Pure.

nothing comes from the swarm, or the store acknowledges nothing ──► half a minute ──► told why ──► minutes ──► failed
While nobody is there, trackers are asked again: after half a minute, one, two, four …
"""

from msgspec import Struct

from agent.config import Settings
from agent.engine.api import TrackerSaid
from agent.running import Run, Still
from wire.failures import failure
from wire.messages import Failure, Stuck
from wire.trackers import origin

TOLD_S = 30.0
"""Every swarm pauses now and then; earlier nobody need worry."""
WORDS_MAX = 2
"""Trackers that are quoted in one sentence."""
MINUTE_S = 60


class Waits(Struct, frozen=True, kw_only=True):
    """In seconds, as this agent's clock runs."""

    told_s: float
    metadata_s: float
    refused_s: float
    stall_s: float
    store_s: float


def waits_of(settings: Settings) -> Waits:
    return Waits(
        told_s=settings.wait(TOLD_S),
        metadata_s=settings.wait(settings.agent_metadata_s),
        refused_s=settings.wait(settings.agent_refused_s),
        stall_s=settings.wait(settings.agent_stall_s),
        store_s=settings.wait(settings.agent_store_s),
    )


def failure_of(run: Run, waits: Waits, now_s: float) -> Failure | None:
    """Whether it was waited long enough, and for what in vain."""
    if run.failure is not None:
        return None
    if run.store is not None and now_s - run.store.since_s >= waits.store_s:
        said = f"Nothing was acknowledged for {lasting(now_s - run.store.since_s)}. {run.store_word}".strip()
        return failure("store_away" if run.store_word else "store_slow", said)
    still = run.swarm
    if still is None:
        return None
    if still.what == "room":
        return None  # its own parts are waited for as the store's, those of others by others
    quiet_s = now_s - still.since_s
    if quiet_s >= waits.refused_s and _alone(run) and _all_refuse(run):
        return failure("tracker_refused", _words(run))
    if still.what == "metadata":
        return failure("metadata_timeout", _sentence(run, quiet_s)) if quiet_s >= waits.metadata_s else None
    if quiet_s < waits.stall_s:
        return None
    return failure("bad_peers" if _sends_rubbish(run) else "stalled", _sentence(run, quiet_s))


def stuck(run: Run, waits: Waits, now_s: float) -> Stuck | None:
    """What its owner is told while nothing comes; None while all is well."""
    if run.store is not None and now_s - run.store.since_s >= waits.told_s:
        for_s = now_s - run.store.since_s
        said = run.store_word or "it takes in next to nothing."
        return Stuck("store", int(for_s), f"Nothing stored for {lasting(for_s)}: {said}")
    if run.swarm is None or now_s - run.swarm.since_s < waits.told_s:
        return None
    for_s = now_s - run.swarm.since_s
    if run.swarm.what == "room":
        return Stuck("room", int(for_s), f"For {lasting(for_s)} there is no room for more on its agent's disk.")
    return Stuck(_code(run, run.swarm), int(for_s), _sentence(run, for_s))


def asks_again(run: Run, waits: Waits, before_s: float, now_s: float) -> bool:
    """Whether its trackers are to be asked now, having been looked at before. Else who began to seed after us would be
    heard of when they are due again, often in half an hour; and who could not be connected to three times."""
    if run.swarm is None or run.swarm.what == "room" or run.url or not _alone(run):
        return False
    since_s = run.swarm.since_s
    return _doublings(now_s - since_s, waits.told_s) > _doublings(before_s - since_s, waits.told_s)


def _doublings(quiet_s: float, first_s: float) -> int:
    return int(max(0.0, quiet_s) / first_s).bit_length()


def _code(run: Run, still: Still) -> str:
    if run.url:
        return "url"
    if _alone(run):
        return "no_peers"
    if still.what == "metadata":
        return "no_metadata"
    return "bad_peers" if _sends_rubbish(run) else "no_seeds"


def _sentence(run: Run, for_s: float) -> str:
    assert run.swarm is not None
    lasts = lasting(for_s)
    if run.url:
        return f"Nothing has come for {lasts}: {_words(run)}"
    match _code(run, run.swarm):
        case "no_peers":
            return f"No peers for {lasts}: {_words(run)}"
        case "no_metadata":
            return f"No peer has sent the metadata for {lasts}."
        case "bad_peers":
            return f"For {lasts} peers sent only what does not match the torrent's hashes."
        case _:
            return f"No peer has sent anything that is missing for {lasts}."


def _words(run: Run) -> str:
    if run.url and not run.trackers:
        return f"{origin(run.url)} is silent."
    if not run.trackers_asked and not run.url:
        return "it has no trackers."
    if not run.trackers:
        return "no tracker has answered yet."
    # Whoever refuses says more than whoever is silent.
    said = sorted(run.trackers.values(), key=lambda word: ("refused", "away", "ok").index(word.kind))[:WORDS_MAX]
    return "; ".join(f"{origin(one.url)} {_says(one)}" for one in said) + "."


def _says(one: TrackerSaid) -> str:
    match one.kind:
        case "ok" if one.peers > 1:
            return f"names {one.peers} addresses, none of which could be connected to"
        case "ok" if one.peers:
            return "names one address, which could not be connected to"
        case "ok":
            return "knows of nobody else"
        case "refused":
            return f"says “{one.text}”"
        case "away":
            return f"cannot be asked ({one.text})"


def _alone(run: Run) -> bool:
    return run.figures is None or not run.figures.peers


def _all_refuse(run: Run) -> bool:
    return 0 < run.trackers_asked <= sum(word.kind == "refused" for word in run.trackers.values())


def _sends_rubbish(run: Run) -> bool:
    return run.figures is not None and run.figures.wrong_bytes > 0


def lasting(seconds: float) -> str:
    return f"{int(seconds)} s" if seconds < 2 * MINUTE_S else f"{int(seconds / MINUTE_S)} min"
