"""Suspension of people and organisations, and what their jobs wanted before it."""

from alembic import op

revision = "20261121_suspension"
down_revision = "20261121_cases"

ACTIVE = "removed_at IS NULL AND state IN ('submitted', 'metadata_fetch', 'queued', 'downloading', 'uploading')"
STATEMENTS = (
    "ALTER TABLE people ADD COLUMN suspended_at timestamptz, ADD COLUMN suspended_for text",
    "ALTER TABLE organisations ADD COLUMN suspended_at timestamptz, ADD COLUMN suspended_for text",
    "ALTER TABLE jobs ADD COLUMN held_intent text",
    "CREATE INDEX people_suspended ON people (id) WHERE suspended_at IS NOT NULL",
    "CREATE INDEX organisations_suspended ON organisations (id) WHERE suspended_at IS NOT NULL",
    "CREATE INDEX jobs_held ON jobs (id) WHERE held_intent IS NOT NULL",
    f"CREATE INDEX jobs_of_person ON jobs (person_id) WHERE {ACTIVE}",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("whoever is suspended would be let in again: restore a backup instead")
