"""The fleet: what agents should do and what they are, every certificate they were given, and pools."""

from alembic import op

revision = "20261121_fleet"
down_revision = "20261121_spine"

AGENTS = (
    "ALTER TABLE agents ADD COLUMN duty text NOT NULL DEFAULT 'work'"
    " CHECK (duty IN ('work', 'cordon', 'drain', 'hand_over'))",
    "ALTER TABLE agents ADD COLUMN region text NOT NULL DEFAULT ''",
    "ALTER TABLE agents ADD COLUMN labels jsonb NOT NULL DEFAULT '{}'",
    "ALTER TABLE agents ADD COLUMN disk_budget_bytes bigint",
    "ALTER TABLE agents ADD COLUMN disk_free_bytes bigint",
)

CERTIFICATES = (
    """
    CREATE TABLE certificates (
      serial text PRIMARY KEY,
      agent_id uuid NOT NULL REFERENCES agents ON DELETE CASCADE,
      issued_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ON certificates (agent_id)",
    "CREATE INDEX ON certificates (expires_at)",
    # All that were signed so far last 30 days.
    """
    INSERT INTO certificates (serial, agent_id, issued_at, expires_at)
      SELECT certificate_serial, id, certificate_until - interval '30 days', certificate_until FROM agents
    """,
)

POOLS = (
    """
    CREATE TABLE pools (
      name text PRIMARY KEY,
      description text NOT NULL DEFAULT '',
      created_at timestamptz NOT NULL
    )
    """,
    "INSERT INTO pools (name, created_at) SELECT DISTINCT pool, now() FROM agents",
)


def upgrade() -> None:
    for statement in (*AGENTS, *CERTIFICATES, *POOLS):
        op.execute(statement)
    for table in ("certificates", "pools"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_work, seedlift_api")
        op.execute(f"CREATE POLICY work_{table} ON {table} TO seedlift_work USING (true) WITH CHECK (true)")
        op.execute(
            f"CREATE POLICY api_{table} ON {table} TO seedlift_api USING (app_operator()) WITH CHECK (app_operator())"
        )


def downgrade() -> None:
    raise RuntimeError("there is no way back but a backup: certificates that were renewed would be forgotten")
