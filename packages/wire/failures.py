"""Why a transfer fails: by code, a sentence for its owner, what he can do, and whether another try may help."""

from msgspec import Struct

from wire.messages import Failure


class Reason(Struct, frozen=True):
    sentence: str
    advice: str
    retryable: bool = True
    """Another try, perhaps elsewhere, may end otherwise."""


FAILURES: dict[str, Reason] = {
    # The swarm.
    "metadata_timeout": Reason(
        "Nobody could be found who has this torrent's metadata.",
        "Add the .torrent file instead of the magnet, or a magnet with more trackers.",
    ),
    "stalled": Reason(
        "Nobody has sent any of what is missing for a long time.",
        "Wait for a seeder, or add the torrent with more trackers.",
    ),
    "tracker_refused": Reason(
        "All trackers refuse this torrent, and no peers are known.",
        "Look at what the trackers say: the torrent may be gone there, or your passkey void.",
    ),
    "bad_peers": Reason(
        "What peers sent was not what the torrent promises, and nobody else has it.",
        "The swarm is poisoned or the torrent damaged: look for another one.",
    ),
    # The web server of a URL.
    "url_away": Reason("The server of this link does not answer.", "Wait, or look whether the link works elsewhere."),
    "url_refused": Reason(
        "The server of this link does not give the file.", "Look whether the link works, and add a fresh one.", False
    ),
    "url_not_allowed": Reason(
        "This link leads to an address that may not be contacted.", "Use a link to a public server.", False
    ),
    "url_changed": Reason(
        "The file behind this link is another one than at the beginning.", "Add the link again for the new one.", False
    ),
    "url_lies": Reason(
        "What the server sends is not as long as it says.", "Look for the file on another server.", False
    ),
    "url_too_large": Reason(
        "The server does not say how large the file is, and it is larger than what is fetched blindly.",
        "Use a server that says how large its files are.",
        False,
    ),
    # The store.
    "store_away": Reason("The store does not answer.", "Nothing: it is tried again, and operators were told."),
    "store_slow": Reason("The store takes in next to nothing.", "Nothing: it is tried again, and operators were told."),
    "store_refused": Reason(
        "The store refuses what is sent, again and again.", "Nothing: it is tried again, and operators were told."
    ),
    "upload_gone": Reason(
        "The store has lost an unfinished upload.", "Nothing: its parts are fetched and stored anew."
    ),
    "parts_missing": Reason(
        "The store does not have all that it had acknowledged.", "Nothing: what is missing is fetched and stored anew."
    ),
    # The agent.
    "disk_full": Reason(
        "The agent's disk has no room for this torrent.", "Nothing: it is tried again where there is room."
    ),
    "no_room": Reason(
        "This torrent fits through no window on this agent's disk.", "Nothing: it is tried where there is more room."
    ),
    "disk_busy": Reason("Other transfers fill the agent's disk.", "Nothing: it waits for room, here or elsewhere."),
    "disk_error": Reason("The agent's disk failed.", "Nothing: it is tried again, on another agent if there is one."),
    "engine_error": Reason("The torrent engine failed.", "Retry; if it fails again, the torrent may be damaged."),
    "same_torrent_twice": Reason(
        "The agent already fetches the same torrent for somebody else.", "Nothing: it is tried again later."
    ),
    "agent_lost": Reason("The agent that worked on it fell silent.", "Nothing: another goes on with what is stored."),
    "agent_restarted": Reason("The agent that worked on it began anew.", "Nothing: it goes on with what is stored."),
    "agent_let_go": Reason("The agent that worked on it let go.", "Nothing: another goes on with what is stored."),
    "tries_spent": Reason(
        "Each agent that took this torrent stopped working.",
        "Ask an operator to look at it: it may harm agents.",
        False,
    ),
    # What was asked for.
    "metadata_mismatch": Reason(
        "The torrent's file list can be read in two ways, so none is trusted.", "Look for another torrent.", False
    ),
    "bad_metadata": Reason("The torrent's metadata cannot be read.", "Look for another torrent.", False),
    "no_such_file": Reason("A file was chosen that the torrent does not have.", "Choose others, and retry.", False),
    "torrent_blocked": Reason(
        "This torrent may not be stored here: it is on the blocklist.",
        "If it should not be there, send a counter-notice or ask support.",
        False,
    ),
    "quota_spent": Reason(
        "The torrent is larger than what is left of the quota.", "Remove other jobs, or get a larger plan.", False
    ),
    "file_too_large": Reason(
        "A file is larger than the plan allows.", "Choose others, or get a larger plan, and retry.", False
    ),
    "traffic_spent": Reason(
        "The torrent is larger than what is left of this month's traffic.",
        "Retry next month, or get a larger plan.",
        False,
    ),
}
OTHER = Reason("The transfer failed on its agent.", "Retry; if it fails again, ask an operator.")
"""For codes that this version does not know: agents may be newer than the control plane."""


def reason(code: str) -> Reason:
    return FAILURES.get(code, OTHER)


def failure(code: str, detail: str) -> Failure:
    return Failure(code, detail, FAILURES[code].retryable)
