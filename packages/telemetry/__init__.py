"""What a process says of itself: logs, metrics, health, and one correlation id through all of them."""
