"""libtorrent's alerts, translated at once: an alert is a pointer that the next `pop_alerts` frees."""

from collections.abc import Mapping

import libtorrent as lt

from agent.engine.api import Broke, Checked, EngineEvent, Figures, PieceVerified, TrackerSaid, disk_code
from wire.ids import TransferId
from wire.trackers import word

REFUSALS = range(400, 500)
"""Of HTTP: the tracker was reached, and wants nothing of it."""


def of_torrent(alert: lt.torrent_alert, transfer: TransferId) -> EngineEvent | None:
    match alert:
        case lt.piece_finished_alert():
            return PieceVerified(transfer, alert.piece_index)
        case lt.file_error_alert():
            return Broke(transfer, disk_code(alert.error.value()), alert.error.message())
        case lt.torrent_error_alert():
            return Broke(transfer, "engine_error", alert.error.message())
        case lt.torrent_conflict_alert():
            return Broke(transfer, "same_torrent_twice", "another transfer brings the same torrent")
        case lt.tracker_error_alert():
            return _refused_or_away(alert, transfer)
        case _:
            return None


def _refused_or_away(alert: lt.tracker_error_alert, transfer: TransferId) -> TrackerSaid:
    url, reason = alert.tracker_url(), alert.failure_reason()
    refused = bool(reason) or alert.status_code in REFUSALS
    return TrackerSaid(transfer, url, "refused" if refused else "away", word(reason or alert.error.message(), url))


def of_statuses(
    statuses: list[lt.torrent_status], transfers: Mapping[lt.torrent_handle, TransferId]
) -> list[EngineEvent]:
    events: list[EngineEvent] = []
    for status in statuses:
        transfer = transfers.get(status.handle)
        if transfer is None:
            continue
        if status.pieces:  # only when it was asked for
            events.append(Checked(transfer, tuple(i for i, there in enumerate(status.pieces) if there)))
        events.append(
            Figures(
                transfer,
                down_rate=status.download_payload_rate,
                up_rate=status.upload_payload_rate,
                peers=status.num_peers,
                seeds=status.num_seeds,
                fetched_bytes=status.total_payload_download,
                given_bytes=status.total_payload_upload,
                wrong_bytes=status.total_failed_bytes,
                availability=status.distributed_copies if status.distributed_copies >= 0 else None,
            )
        )
    return events
