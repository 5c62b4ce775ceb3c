"""The questions an operator asks an agent."""

from prometheus_client import Counter, Gauge

PARTS = Counter("agent_stored_units", "Parts and small files that the store has acknowledged.")
STORED_BYTES = Counter("agent_stored_bytes", "Bytes that the store has acknowledged.")
TRANSFERS = Gauge("agent_transfers", "Transfers held.", ["phase"])
