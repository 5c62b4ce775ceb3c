"""Steering: what people want of a job beside that it runs, and what its transfer takes from all its jobs."""

from alembic import op

revision = "20261121_steering"
down_revision = "20261121_audit"

COLUMNS = {
    "transfers": "ADD paused_at timestamptz, ADD files integer[], ADD steer_rev integer NOT NULL DEFAULT 0,"
    " ADD priority integer NOT NULL DEFAULT 1, ADD sequential boolean NOT NULL DEFAULT false,"
    " ADD down_max bigint NOT NULL DEFAULT 0, ADD up_max bigint NOT NULL DEFAULT 0,"
    " ADD announces integer NOT NULL DEFAULT 0",
    "jobs": "ADD data_kept boolean NOT NULL DEFAULT false, ADD files integer[], ADD wanted_bytes bigint,"
    " ADD priority text NOT NULL DEFAULT 'normal', ADD sequential boolean NOT NULL DEFAULT false,"
    " ADD down_max bigint NOT NULL DEFAULT 0, ADD up_max bigint NOT NULL DEFAULT 0",
}
INDEX = "CREATE INDEX transfers_paused ON transfers (paused_at) WHERE paused_at IS NOT NULL"


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} {columns}")
    op.execute(INDEX)


def downgrade() -> None:
    raise RuntimeError("jobs would lose what people chose: restore a backup instead")
