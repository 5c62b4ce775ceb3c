"""One libtorrent session.

libtorrent has threads of its own. They say that there are alerts by a byte in a socket, with no Python in it: a
Python callback would need the interpreter's lock, which a session that is being destroyed may hold while it waits for
them. All else happens in the loop's thread.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

import libtorrent as lt

from agent.config import Settings
from agent.engine import alerts
from agent.engine.api import Add, Broke, EngineEvent, MetadataArrived, MetadataMismatch, NotThere, Steering, TrackerSaid
from agent.engine.settings import (
    CONNECTIONS_MAX,
    RECONNECT_S,
    TRIES_MAX,
    any_port,
    extra_trackers,
    ip_filter,
    load_limits,
    only_take,
    pack,
)
from agent.engine.silence import NotSilent, silence
from telemetry import logs
from wire.ids import TransferId
from wire.messages import Pace

log = logs.get(__name__)

CLOSE_S = 8.0
"""A session that ends says goodbye to its trackers, a second each at most; then it is left behind."""
ALL_TRACKERS = -1
RECONNECT_AT_ONCE_S = 1
RECONNECTING_S = 10.0
"""Each second libtorrent tries some of the peers that it knows: long enough for hundreds."""
_FLAGS = lt.torrent_flags
_WANTS_AGAIN = (lt.torrent_status.finished, lt.torrent_status.downloading)
_PLAIN = _FLAGS.update_subscribe | _FLAGS.apply_ip_filter | _FLAGS.duplicate_is_error


class Session:
    def __init__(self, settings: Settings, *, gives: bool = True) -> None:
        self._settings = settings
        self._listens_on = settings.agent_listen if gives else any_port(settings.agent_listen)
        self._loop = asyncio.get_running_loop()
        self._transfers: dict[lt.torrent_handle, TransferId] = {}
        self._handles: dict[TransferId, lt.torrent_handle] = {}
        self._peers: dict[TransferId, Sequence[tuple[str, int]]] = {}
        self._answers: dict[TransferId, dict[tuple[str, object, object], int]] = {}
        """How many addresses each tracker named last, by how it was asked."""
        self._reads: dict[tuple[TransferId, int], list[asyncio.Future[bytes]]] = {}
        self._allowed: tuple[str, ...] = ()
        self._heard: Callable[[EngineEvent], None] = lambda event: None
        self._patience: asyncio.TimerHandle | None = None
        self._gives = gives
        self._tries = TRIES_MAX
        params = lt.session_params()
        params.settings = pack(settings)
        params.ip_filter = ip_filter(())
        self._session: lt.session | None = lt.session(params)
        if not gives:
            only_take(self._session)
        self._open(self._session)
        self._bell, rung = socket.socketpair()
        self._rung = rung
        for end in (self._bell, rung):
            end.setblocking(False)
        self._loop.add_reader(rung, self._drain)
        self._session.set_alert_fd(self._bell.fileno())

    @property
    def port(self) -> int:
        return self._live.listen_port()

    def listen(self, heard: Callable[[EngineEvent], None]) -> None:
        self._heard = heard

    def allow(self, ranges: Sequence[str]) -> None:
        if tuple(ranges) != self._allowed:
            self._allowed = tuple(ranges)
            self._live.set_ip_filter(ip_filter(ranges))

    def add(self, add: Add) -> None:
        self.remove(add.transfer)
        add.folder.mkdir(parents=True, exist_ok=True)
        handle = self._live.add_torrent(self._params(add))
        self._transfers[handle] = add.transfer
        self._handles[add.transfer] = handle
        self.steer(add.transfer, add.steering)

    def remove(self, transfer: TransferId) -> None:
        self._peers.pop(transfer, None)
        self._answers.pop(transfer, None)
        handle = self._handles.pop(transfer, None)
        if handle is None:
            return
        del self._transfers[handle]
        self._live.remove_torrent(handle)
        for key in [key for key in self._reads if key[0] == transfer]:
            self._answer(key, None, "the torrent was removed")

    def pause(self, transfer: TransferId) -> None:
        if handle := self._handles.get(transfer):
            handle.pause()

    def resume(self, transfer: TransferId) -> None:
        """With the peers that it had: for a moment nobody has to wait before he is connected to again."""
        if handle := self._handles.get(transfer):
            handle.resume()
            self._hurry()

    def steer(self, transfer: TransferId, steering: Steering) -> None:
        if handle := self._handles.get(transfer):
            handle.set_download_limit(steering.down_max)
            handle.set_upload_limit(steering.up_max)
            if steering.sequential:
                handle.set_flags(_FLAGS.sequential_download)
            else:
                handle.unset_flags(_FLAGS.sequential_download)

    def limit(self, pace: Pace) -> None:
        """Trackers and the like included; peers on our own network alone are beside it, as libtorrent has it."""
        self._live.apply_settings({"download_rate_limit": pace.down_max, "upload_rate_limit": pace.up_max})

    def announce(self, transfer: TransferId, *, at_once: bool) -> None:
        if handle := self._handles.get(transfer):
            handle.force_reannounce(0, ALL_TRACKERS, lt.torrent_handle.ignore_min_interval if at_once else 0)

    def ask(self, transfer: TransferId, pieces: Sequence[tuple[int, int]]) -> None:
        if pieces and (handle := self._handles.get(transfer)):
            handle.prioritize_pieces(list(pieces))

    def known_peers(self, transfer: TransferId) -> Sequence[tuple[str, int]]:
        return self._peers.get(transfer, ())

    def tick(self, *, availability: bool) -> None:
        self._live.post_torrent_updates(lt.torrent_handle.query_distributed_copies if availability else 0)

    async def read(self, transfer: TransferId, piece: int) -> bytes:
        """Through libtorrent's cache: a file read right after its piece was verified may still hold zeros."""
        handle = self._handles.get(transfer)
        if handle is None:
            raise NotThere("the torrent is not in the session")
        answer: asyncio.Future[bytes] = self._loop.create_future()
        waiting = self._reads.setdefault((transfer, piece), [])
        waiting.append(answer)
        if len(waiting) == 1:
            handle.read_piece(piece)
        return await answer

    async def aclose(self) -> None:
        if self._session is None:
            return
        session, self._session = self._session, None
        self._loop.remove_reader(self._rung)
        if self._patience is not None:
            self._patience.cancel()
        session.pause()
        self._handles.clear()
        self._transfers.clear()
        for key in list(self._reads):
            self._answer(key, None, "the session ends")
        gone = _Last(session)
        del session
        try:
            async with asyncio.timeout(CLOSE_S):
                await asyncio.to_thread(gone.drop)
        except TimeoutError:
            log.warning("engine.slow_to_close")
            return  # its threads may still ring
        self._bell.close()
        self._rung.close()

    def _look_for_peers(self, handle: lt.torrent_handle) -> None:
        """Of a torrent that had all it wanted libtorrent counts no seed among those it may connect to, and it counts
        anew only when it connects to somebody, or told how often it may try: that of who knew only seeds would be
        never. How many it may connect to says that it wants some; both have to be other numbers than before."""
        self._tries = 2 * TRIES_MAX + 1 - self._tries
        self._live.apply_settings({"max_failcount": self._tries})
        handle.set_max_connections(CONNECTIONS_MAX + self._tries)
        self._hurry()

    def _hurry(self) -> None:
        self._live.apply_settings({"min_reconnect_time": RECONNECT_AT_ONCE_S})
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self._loop.call_later(RECONNECTING_S, self._be_patient)

    def _be_patient(self) -> None:
        self._patience = None
        self._live.apply_settings({"min_reconnect_time": RECONNECT_S})

    @property
    def _live(self) -> lt.session:
        if self._session is None:
            raise NotThere("the session has ended")
        return self._session

    def _drain(self) -> None:
        if self._session is None:
            return
        with suppress(BlockingIOError):
            self._rung.recv(4096)  # before the alerts: what comes after rings again
        popped = self._session.pop_alerts()
        try:
            self._keep_silent(popped)
        except NotSilent as failure:  # rather not in touch with trackers than open
            log.error("engine.not_silent", detail=str(failure))
            self._session.apply_settings({"listen_interfaces": ""})
        for alert in popped:
            self._one(alert)

    def _open(self, session: lt.session) -> None:
        """Raises NotSilent. A silent port can be reached for less than a millisecond, while there is no torrent yet."""
        session.apply_settings({"listen_interfaces": self._listens_on})
        session.listen_port()  # is answered after the settings took effect
        self._keep_silent(session.pop_alerts())

    def _keep_silent(self, popped: Sequence[lt.alert]) -> None:
        """Called again whenever the machine gets an address: libtorrent then listens there too."""
        if self._settings.agent_incoming:
            return
        opened = [alert for alert in popped if isinstance(alert, lt.listen_succeeded_alert)]
        if places := {(a.address.partition("%")[0], a.port) for a in opened if a.socket_type == lt.socket_type_t.tcp}:
            silence(places)  # looks at every open file

    def _one(self, alert: lt.alert) -> None:
        if isinstance(alert, lt.state_update_alert):
            for event in alerts.of_statuses(alert.status, self._transfers):
                self._heard(event)
            return
        if isinstance(alert, lt.alerts_dropped_alert):
            log.warning("engine.alerts_dropped")
            for handle in self._handles.values():
                handle.post_status(lt.torrent_handle.query_pieces)
            return
        if not isinstance(alert, lt.torrent_alert):
            return
        transfer = self._transfers.get(alert.handle)
        if transfer is None:
            return
        match alert:
            case lt.torrent_checked_alert():
                alert.handle.post_status(lt.torrent_handle.query_pieces)
            case lt.read_piece_alert():
                failed = alert.error.message() if alert.error.value() else ""
                self._answer((transfer, alert.piece), None if failed else alert.buffer, failed)
            case lt.metadata_received_alert():
                self._metadata(transfer, alert.handle)
            case lt.tracker_reply_alert():
                self._named(transfer, alert)
            case lt.state_changed_alert():
                if self._gives and (alert.prev_state, alert.state) == _WANTS_AGAIN:
                    self._look_for_peers(alert.handle)
            case _:
                said = alerts.of_torrent(alert, transfer)
                if said is not None:
                    self._heard(said)

    def _metadata(self, transfer: TransferId, handle: lt.torrent_handle) -> None:
        """The peers that gave it are kept for the torrent's second coming, with its files."""
        outgoing = [peer.ip for peer in handle.get_peer_info() if peer.flags & lt.peer_info.local_connection]
        self._peers[transfer] = outgoing
        info = handle.torrent_file()
        if info is None:
            self._heard(Broke(transfer, "engine_error", "metadata vanished"))
            return
        self._heard(MetadataArrived(transfer, bytes(info.info_section())))

    def _named(self, transfer: TransferId, alert: lt.tracker_reply_alert) -> None:
        """One tracker answers once for each way it is asked, and only some ways may lead to anybody."""
        url, answers = alert.tracker_url(), self._answers.setdefault(transfer, {})
        answers[url, alert.local_endpoint, alert.version] = alert.num_peers
        most = max(count for (each, *_), count in answers.items() if each == url)
        self._heard(TrackerSaid(transfer, url, "ok", "", most))

    def _answer(self, key: tuple[TransferId, int], data: bytes | None, failed: str) -> None:
        for answer in self._reads.pop(key, []):
            if answer.done():
                continue
            if data is None:
                answer.set_exception(NotThere(failed))
            else:
                answer.set_result(data)

    def _params(self, add: Add) -> lt.add_torrent_params:
        if add.info is None:
            params = lt.add_torrent_params()
            params.info_hashes = _hashes(add.v1, add.v2)
            params.flags = _PLAIN | _FLAGS.default_dont_download
        else:
            params = _with_info(add)
            params.flags = _PLAIN
        settings = self._settings
        is_private = params.ti is not None and params.ti.priv()
        for wanted, flag in (
            (settings.agent_dht, _FLAGS.disable_dht),
            (settings.agent_lsd, _FLAGS.disable_lsd),
            (settings.agent_pex, _FLAGS.disable_pex),
        ):
            if is_private or not wanted:
                params.flags |= flag
        params.save_path = str(add.folder)
        # Of a magnet nobody knows yet whether it is private.
        more = extra_trackers(settings) if params.ti is not None and not is_private else []
        tiers = [(url, tier) for tier, urls in enumerate((*add.trackers, more)) for url in urls]
        params.trackers = [url for url, _ in tiers]
        params.tracker_tiers = [tier for _, tier in tiers]
        params.url_seeds = list(add.web_seeds)
        params.peers = list(add.peers)
        return params


class _Last:
    """Holds the last reference to a session, so that its slow end can happen in a thread of its own."""

    def __init__(self, session: lt.session) -> None:
        self._kept: lt.session | None = session

    def drop(self) -> None:
        self._kept = None


def _hashes(v1: str | None, v2: str | None) -> lt.info_hash_t:
    if v1 and v2:
        return lt.info_hash_t(lt.sha1_hash(bytes.fromhex(v1)), lt.sha256_hash(bytes.fromhex(v2)))
    if v2:
        return lt.info_hash_t(lt.sha256_hash(bytes.fromhex(v2)))
    return lt.info_hash_t(lt.sha1_hash(bytes.fromhex(v1 or "")))


def _with_info(add: Add) -> lt.add_torrent_params:
    layers = b"12:piece layers" + add.layers if add.layers else b""
    torrent = b"d4:info" + (add.info or b"") + layers + b"e"
    try:
        # Its stub names another dict than the limits that it really takes.
        params: lt.add_torrent_params = lt.load_torrent_buffer(torrent, load_limits())  # type: ignore[call-overload]
    except (RuntimeError, ValueError) as bad:
        raise MetadataMismatch(f"the engine cannot read the metadata: {bad}") from None
    assert params.ti is not None  # it was loaded from an info dict
    files = params.ti.layout()
    without_bytes = lt.file_storage.flag_pad_file | lt.file_storage.flag_symlink
    seen = [(i, files.file_size(i)) for i in range(files.num_files()) if not files.file_flags(i) & without_bytes]
    if seen != list(add.sizes):
        raise MetadataMismatch(f"the engine sees {len(seen)} files, {len(add.sizes)} are expected")
    if files.num_pieces() != len(add.priorities):
        raise MetadataMismatch(f"the engine sees {files.num_pieces()} pieces, {len(add.priorities)} are expected")
    params.renamed_files = {index: str(index) for index in range(files.num_files())}
    params.piece_priorities = list(add.priorities)
    return params
