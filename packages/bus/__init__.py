"""The bus: NATS as we use it; the only room that imports nats."""
