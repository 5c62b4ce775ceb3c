"""Failing and telling: dead letters, which agents tried, and whose epoch a job's event speaks of."""

from alembic import op

revision = "20261121_failures"
down_revision = "20261121_fleet"

CHANGES = (
    "ALTER TABLE transfers ADD COLUMN last_agents jsonb NOT NULL DEFAULT '[]', ADD COLUMN dead_at timestamptz",
    "CREATE INDEX transfers_dead ON transfers (id DESC) WHERE dead_at IS NOT NULL",
    "ALTER TABLE job_events ADD COLUMN epoch integer, ADD COLUMN agent_id uuid, ADD COLUMN detail text",
)


def upgrade() -> None:
    for change in CHANGES:
        op.execute(change)


def downgrade() -> None:
    op.execute("DROP INDEX transfers_dead")
    op.execute("ALTER TABLE transfers DROP COLUMN last_agents, DROP COLUMN dead_at")
    op.execute("ALTER TABLE job_events DROP COLUMN epoch, DROP COLUMN agent_id, DROP COLUMN detail")
