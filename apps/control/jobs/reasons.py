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
    "to_be_chosen": "Its files can be chosen now.",
    "paused_away": "It is paused, and its agent has its disk for others.",
    "replayed": "An operator gave it another five tries.",
    "cancelled": "It was cancelled.",
    "removed": "It was taken off the list.",
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
}


def sentence(why: str) -> str:
    known = FAILURES.get(why)
    return known.sentence if known else REASONS.get(why, f"{why.replace('_', ' ').capitalize()}.")
