"""Seeding: what pools let peers have, and what is still given to them after it was stored."""

from alembic import op

revision = "20261121_seeding"
down_revision = "20261121_speed"

CHANGES = (
    """
    ALTER TABLE pools
      ADD seeding text NOT NULL DEFAULT 'downloading' CHECK (seeding IN ('never', 'downloading', 'after')),
      ADD seed_ratio double precision CHECK (seed_ratio > 0),
      ADD seed_s integer CHECK (seed_s > 0)
    """,
    "ALTER TABLE transfers ADD gives boolean NOT NULL DEFAULT true",
    """
    CREATE TABLE seeds (
      transfer_id uuid PRIMARY KEY REFERENCES transfers ON DELETE CASCADE,
      scope_id uuid NOT NULL,
      agent_id uuid NOT NULL REFERENCES agents,
      boot uuid NOT NULL,
      epoch integer NOT NULL,
      ratio_max double precision,
      given_before bigint NOT NULL DEFAULT 0,
      given_bytes bigint NOT NULL DEFAULT 0,
      began_at timestamptz NOT NULL,
      ends_at timestamptz NOT NULL,
      ended_at timestamptz,
      why text
    )
    """,
    "CREATE INDEX seeds_open ON seeds (agent_id) WHERE ended_at IS NULL",
    "ALTER TABLE seeds ENABLE ROW LEVEL SECURITY",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON seeds TO seedlift_work",
    "GRANT SELECT ON seeds TO seedlift_api",
    "CREATE POLICY work_seeds ON seeds TO seedlift_work USING (true) WITH CHECK (true)",
    "CREATE POLICY api_seeds ON seeds TO seedlift_api USING (scope_id = app_org())",
)


def upgrade() -> None:
    for change in CHANGES:
        op.execute(change)


def downgrade() -> None:
    op.execute("DROP TABLE seeds")
    op.execute("ALTER TABLE transfers DROP gives")
    op.execute("ALTER TABLE pools DROP seeding, DROP seed_ratio, DROP seed_s")
