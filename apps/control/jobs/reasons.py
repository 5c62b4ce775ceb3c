"""Why a job moved, as its timeline tells it: a sentence for each code. Pure."""

from wire.failures import FAILURES

REASONS = {
    "added": "It was asked for.",
    "asked_again": "The same torrent was asked for again.",
    "retried": "A member asked for another five tries.",
    "paused": "It was paused.",
    "resumed": "It goes on.",
    "suspended": "Its organisation, or who asked for it, was suspended.",
    "unsuspended": "Its organisation, or who asked for it, is suspended no more.",
    "edited": "What is wanted of it was changed.",
    "reannounced": "Its trackers are asked for peers.",
    "metadata": "Its metadata is known.",
    "is_torrent": "Its link leads to a torrent, which is fetched now.",
    "to_be_chosen": "Its files can be chosen now.",
    "paused_away": "It is paused, and its agent has its disk for others.",
    "replayed": "An operator gave it another five tries.",
    "cancelled": "It was cancelled.",
    "removed": "It was taken off the list.",
    "expires_soon": "It expires soon: fetch what you want to keep.",
    "expired": "The time for which the plan keeps it is over.",
    "admitted": "It was offered to the agents.",
    "claimed": "An agent took it.",
    "reported": "Its agent said so.",
    "handed_over": "Its agent handed it over.",
    "agent_leaving": "Its agent was shut down and handed it over.",
    "agent_not_ready": "The agent that wanted it was not ready.",
    "not_wanted": "Nobody wants it any more.",
    "stopped": "Its agent stopped it, as it was told.",
    "all_stored": "All its files are in the store.",
    "agent_retired": "Its agent was retired.",
    "seeding": "It is stored, and given to peers for a while.",
    "seeded_ratio": "It has been given to peers as often as was agreed.",
    "seeded_time": "It has been given to peers for as long as was agreed.",
    "seeding_stopped": "It is not given to peers any more.",
    "seeding_let_go": "Its agent has its disk for others: it is not given to peers any more.",
}


def sentence(why: str) -> str:
    known = FAILURES.get(why)
    return known.sentence if known else REASONS.get(why, f"{why.replace('_', ' ').capitalize()}.")
