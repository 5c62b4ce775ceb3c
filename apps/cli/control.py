"""`seedlift api`, `seedlift work` and `seedlift db upgrade`: the control plane's processes."""

from cli.programs import become


def api() -> None:
    """Run one api process: the public listener and the fleet listener. Any number may run."""
    become("control", "api")


def work() -> None:
    """Run one work process: the loops that dispatch, relay and finish. Any number may run."""
    become("control", "work")


def upgrade() -> None:
    """Bring the database's tables up to this version. Needs SEEDLIFT_OWNER_DATABASE_URL."""
    become("control", "db-upgrade")
