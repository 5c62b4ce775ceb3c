"""What the control plane and its agents say to each other, at the fleet listener and over the bus.

Agent to control plane, over mTLS HTTP: `Enrol`, `Claim`, `Sync`, `WantGrants`, and an info dict as plain bytes.
Control plane to agent, over the bus: `Offer`, `Ask`, and empty nudges.
What the control plane says to itself over the bus is in `wire.events`.
"""

from datetime import datetime
from enum import IntEnum
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from wire.ids import AgentId, BootId, ClaimId, TransferId
from wire.states import Duty, Intent, Phase

PARTS_PER_REPORT = 500
"""Bounds one sync body; the rest goes with the next one, at once."""
WANTS_MAX = 256
"""Grants asked for at once."""
CELLS_MAX = 512
"""Of a piece map: as many as a screen is wide, whatever the torrent."""
FILES_TOLD_MAX = 500
TRACKERS_TOLD_MAX = 256
"""More than a spec names."""
HELD_MAX = 10_000
"""Transfers of one agent. Far more than any runs, and their ids still fit one statement."""

LABELS_MAX = 32

# What an agent may send at all; whatever is outside is refused where it is read, before anybody reckons with it.
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Bytes: TypeAlias = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Figure: TypeAlias = Annotated[int, Meta(ge=-(2**53), le=2**53)]
"""Only shown."""
Crc32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
LabelWord: TypeAlias = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._/-]{1,63}\Z")]
Mark: TypeAlias = Annotated[str, Meta(max_length=256)]
"""An ETag or a key, as the store words it."""


class Enrol(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /fleet/enrol`, the only fleet route that needs no client certificate."""

    secret: str
    csr_pem: str
    nats_user: str
    """The agent's public nkey (U…); its seed never leaves the agent."""
    name: str
    version: str


class Enrolled(Struct, frozen=True):
    agent: AgentId
    pool: str
    certificate_pem: str
    ca_pem: str


class Renew(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /fleet/renew`, shown the certificate that is to be followed by another."""

    csr_pem: str


class Renewed(Struct, frozen=True):
    certificate_pem: str


class BusCredentials(Struct, frozen=True):
    """`POST /fleet/credentials`: a user JWT for the bus, asked for before every connection."""

    jwt: str
    expires_at: datetime
    lasts_s: float
    """The same for whoever's clock is another."""


class Offer(Struct, frozen=True):
    """On `work.<pool>`: a transfer that wants an agent. It promises nothing; the claim decides."""

    transfer: TransferId
    offer_no: int
    correlation_id: str


class Claim(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /fleet/claim`. The same claim_id always gets the same answer."""

    transfer: TransferId
    boot: BootId
    claim_id: ClaimId


class PartStored(Struct, frozen=True, array_like=True):
    """One part of a multipart upload that the store has acknowledged."""

    file: Count
    part: Count
    """1-based, as S3 counts."""
    size_bytes: Bytes
    crc32: Crc32
    etag: Mark


class FileStored(Struct, frozen=True, array_like=True):
    """A small file that the store has acknowledged as one object."""

    file: Count
    size_bytes: Bytes
    crc32: Crc32
    etag: Mark
    key: Mark


class Steer(Struct, frozen=True):
    """What people want of a transfer beside that it runs. Said with the claim, and again when an agent reports that it
    goes by another `rev`."""

    rev: int = 0
    files: list[int] | None = None
    """Wanted ones, by index; all, if it does not say."""
    sequential: bool = False
    """From the front, in order, instead of the rarest first."""
    down_max: int = 0
    """Bytes a second; 0: as fast as it goes."""
    up_max: int = 0
    announces: int = 0
    """Whenever this has grown, trackers are asked for peers at once."""
    gives: bool = True
    """Peers are given pieces that are there, unless its agent keeps it in a window."""


class Pace(Struct, frozen=True):
    """A limit of speed that others share: an organisation's part for one transfer, or an agent's for all that it does.
    Bytes a second; 0 is none. Said anew with every answer, so none is ever missed."""

    down_max: int = 0
    up_max: int = 0


class Spec(Struct, frozen=True):
    """All that an agent must know to run a transfer."""

    transfer: TransferId
    epoch: int
    correlation_id: str
    v1: str | None
    """Hex, 40 digits."""
    v2: str | None
    """Hex, 64 digits."""
    name: str
    trackers: list[list[str]]
    """Tiers, already without the addresses that the pool does not allow."""
    web_seeds: list[str]
    peers: list[str]
    has_info: bool
    """The info dict can be had from `GET /fleet/transfers/<id>/info?epoch=`; else it must be fetched from peers."""
    go: bool
    """The metadata was already judged; nothing is held."""
    allow: list[str]
    """Address ranges (CIDR) of otherwise refused space that this pool may talk to."""
    parts: list[PartStored]
    files: list[int]
    """Files that need nothing any more: stored whole, as objects."""
    steer: Steer = Steer()
    pace: Pace = Pace()
    url: str | None = None
    """Nothing is known but where it lies: a file on a web server, or the `.torrent` of what is meant."""


class Claimed(Struct, frozen=True, tag="claimed"):
    spec: Spec


class Refused(Struct, frozen=True, tag="refused"):
    """The offer is void: ack it and forget it."""

    code: Literal["gone", "taken", "not_ready"]


ClaimAnswer = Claimed | Refused


class Stuck(Struct, frozen=True):
    """Why nothing moves, told while it is waited."""

    code: Annotated[str, Meta(max_length=32)]
    """`no_peers`, `no_seeds`, `no_metadata`, `bad_peers`, `url`, `room` or `store`."""
    for_s: Figure
    sentence: Annotated[str, Meta(max_length=1_000)]


class Rates(Struct, frozen=True):
    """What is said with every report and every frame: light, and the newest wins."""

    down_bytes: Figure = 0
    """Wanted bytes that are verified, over all epochs."""
    stored_bytes: Figure = 0
    total_bytes: Figure = 0
    down_rate: Figure = 0
    up_rate: Figure = 0
    store_rate: Figure = 0
    peers: Figure = 0
    seeds: Figure = 0
    availability: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    """How often the whole torrent is there among the peers."""
    ratio: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    """Given to peers, of what was fetched from them, by this agent."""
    given_bytes: Figure = 0
    """To peers, by this boot."""
    eta_s: Figure | None = None
    """Until all is stored; null while nobody can know."""
    stuck: Stuck | None = None


class PieceIs(IntEnum):
    MISSING = 0
    THERE = 1
    STORED = 2
    UNWANTED = 3


class Cells(Struct, frozen=True, array_like=True):
    """A run of neighbours in a piece map that are all the same."""

    state: PieceIs
    count: Annotated[int, Meta(ge=1, le=CELLS_MAX)]


class FileTold(Struct, frozen=True, array_like=True):
    """A file that is begun and not stored."""

    file: Count
    down_bytes: Bytes
    stored_bytes: Bytes


class TrackerTold(Struct, frozen=True):
    """A tracker's last word, safe to show; its address is not, and only for whoever gave it."""

    url: Annotated[str, Meta(max_length=4_096)]
    kind: Literal["ok", "refused", "away"]
    text: Annotated[str, Meta(max_length=256)]
    peers: Figure


class Detail(Struct, frozen=True):
    """The heavy part of progress, said only when it was asked for."""

    pieces_count: Count
    cells: Annotated[list[Cells], Meta(max_length=CELLS_MAX)]
    """At most CELLS_MAX cells, each for one piece or for several neighbours, of which it tells the worst."""
    files: Annotated[list[FileTold], Meta(max_length=FILES_TOLD_MAX)]
    trackers: Annotated[list[TrackerTold], Meta(max_length=TRACKERS_TOLD_MAX)]


DISK_BUSY = "disk_busy"
"""A failure that is nobody's fault: others fill the agent's disk for the moment. It is no try."""


class Failure(Struct, frozen=True):
    code: str
    detail: str
    retryable: bool = True


class Report(Struct, frozen=True, forbid_unknown_fields=True):
    """What one transfer is, on an agent."""

    transfer: TransferId
    epoch: Count
    rev: Count
    """Counts up with every report of this epoch; an older one is refused in the WHERE clause."""
    phase: Phase
    rates: Rates
    parts: Annotated[list[PartStored], Meta(max_length=PARTS_PER_REPORT)] = []
    """Stored and not yet acknowledged."""
    files: Annotated[list[FileStored], Meta(max_length=PARTS_PER_REPORT)] = []
    done: bool = False
    """Every wanted byte is in the store and in this or an earlier report."""
    failure: Failure | None = None
    handover: bool = False
    """The agent lets go: give it to another."""
    detail: Detail | None = None
    """Once after each `Ask`."""
    steer: Count = 0
    """The rev of the `Steer` that it goes by; `done` means what that wants."""


class Found(Struct, frozen=True, forbid_unknown_fields=True):
    """A transfer that an agent found on its disk when it started."""

    transfer: TransferId
    epoch: Count


class About(Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent is, beside its version and its slots. It alone says so."""

    region: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._/-]{0,63}\Z")] = ""
    labels: Annotated[dict[LabelWord, LabelWord], Meta(max_length=LABELS_MAX)] = {}
    disk_budget_bytes: Bytes = 0
    """What it may fill with what it downloads."""
    disk_free_bytes: Bytes = 0
    """What of that it could still fill now."""


class Sync(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /fleet/sync`: the whole of what an agent is."""

    boot: BootId
    rev: Count
    version: str
    slots: int
    held: Annotated[list[Found], Meta(max_length=HELD_MAX)]
    """Everything it works on; what the control plane thinks it holds and is missing here is given away."""
    found: Annotated[list[Found], Meta(max_length=HELD_MAX)] = []
    """Only in the first sync of a boot."""
    reports: Annotated[list[Report], Meta(max_length=HELD_MAX)] = []
    leaving: bool = False
    """SIGTERM: the last sync of this boot."""
    about: About | None = None


class Verdict(Struct, frozen=True):
    """What the control plane says of one reported or found transfer."""

    transfer: TransferId
    standing: Literal["ok", "stale", "adopt"]
    """ok: recorded, all that the report carried is acknowledged. stale: not yours at this epoch, drop it.
    adopt: found on disk and yours again, under `spec`."""
    intent: Intent = Intent.RUN
    go: bool = False
    seeds: bool = False
    """It is stored: only give it to peers, in no slot, until it is stale."""
    spec: Spec | None = None
    steer: Steer | None = None
    """Only if the report went by another."""
    pace: Pace = Pace()
    """What its organisation's limit leaves to it."""


class Synced(Struct, frozen=True):
    verdicts: list[Verdict]
    next_s: float
    """When to sync again if nothing happens."""
    duty: Duty = Duty.WORK
    pace: Pace = Pace()
    """The agent's own limit."""
    renew: bool = False
    """Two thirds of the life of the certificate that was shown are over, by the clock that signed it."""


class Want(Struct, frozen=True, forbid_unknown_fields=True, array_like=True):
    """A part (or, with part 0, a whole small file) that is ready to be put."""

    file: Count
    part: Count
    size_bytes: Bytes
    crc32: Crc32


class WantGrants(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /fleet/grants`."""

    transfer: TransferId
    epoch: Count
    wants: Annotated[list[Want], Meta(max_length=WANTS_MAX)]


class Grant(Struct, frozen=True):
    file: int
    part: int
    url: str
    headers: dict[str, str]
    key: str
    upload: str
    """A hash of the upload id (empty for a small file): a journal of another upload is not believed."""


class Granted(Struct, frozen=True):
    grants: list[Grant]


class MetadataVerdict(Struct, frozen=True):
    """Answer to `PUT /fleet/transfers/<id>/info?epoch=` (the raw info dict as body)."""

    go: bool
    code: str | None = None


class Ask(Struct, frozen=True):
    """On `ask.<agent>`: somebody looks at this transfer closely; say its `Detail` with the next report."""

    transfer: TransferId


class TokenBody(Struct, frozen=True):
    """What a one-time enrolment token carries (base64url of its JSON)."""

    secret: str
    ca_pem: str
    fleet_url: str
    nats_url: str
