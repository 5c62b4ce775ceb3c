"""The questions an operator asks an agent."""

from prometheus_client import Counter, Gauge

PARTS = Counter("agent_stored_units", "Parts and small files that the store has acknowledged.")
STORED_BYTES = Counter("agent_stored_bytes", "Bytes that the store has acknowledged.")
TRANSFERS = Gauge("agent_transfers", "Transfers held.", ["phase"])
DISK_BUDGET = Gauge("agent_disk_budget_bytes", "What all transfers together may have on disk.")
DISK_PROMISED = Gauge("agent_disk_promised_bytes", "What is set aside of it.")
SYNC_BYTES = Counter("agent_sync_bytes", "Bytes of syncs sent, headers not counted.")
