"""libtorrent's alerts, translated at once: an alert is a pointer that the next `pop_alerts` frees."""

from collections.abc import Mapping

import libtorrent as lt

from agent.engine.api import Broke, Checked, EngineEvent, Figures, PieceVerified
from wire.ids import TransferId

DISK_FULL = 28
"""ENOSPC."""


def of_torrent(alert: lt.torrent_alert, transfer: TransferId) -> EngineEvent | None:
    match alert:
        case lt.piece_finished_alert():
            return PieceVerified(transfer, alert.piece_index)
        case lt.file_error_alert():
            full = alert.error.value() == DISK_FULL
            return Broke(transfer, "disk_full" if full else "disk_error", alert.error.message(), retryable=True)
        case lt.torrent_error_alert():
            return Broke(transfer, "engine_error", alert.error.message(), retryable=True)
        case lt.torrent_conflict_alert():
            return Broke(transfer, "same_torrent_twice", "another transfer brings the same torrent", retryable=True)
        case _:
            return None


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
            )
        )
    return events
