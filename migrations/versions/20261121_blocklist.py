"""The blocklist: info-hashes that nobody may bring in. Who names a hash may ask of that one; operators see all."""

from alembic import op

revision = "20261121_blocklist"
down_revision = "20261121_rates"

STATEMENTS = (
    """
    CREATE TABLE blocks (
      hash bytea PRIMARY KEY CHECK (length(hash) IN (20, 32)),
      reason text NOT NULL,
      blocked_by text NOT NULL,
      created_at timestamptz NOT NULL,
      settled boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX blocks_unsettled ON blocks (created_at) WHERE NOT settled",
    "CREATE INDEX blocks_by_time ON blocks (created_at DESC, hash)",
    "CREATE INDEX torrents_by_v1 ON torrents (v1)",
    "CREATE INDEX torrents_by_v2 ON torrents (v2) WHERE v2 IS NOT NULL",
    "CREATE INDEX torrents_aliases ON torrents (alias_of) WHERE alias_of IS NOT NULL",
    """
    CREATE FUNCTION app_hashes() RETURNS bytea[] LANGUAGE sql STABLE
      AS $$ SELECT nullif(current_setting('app.hashes', true), '')::bytea[] $$
    """,
    # Names the hashes and asks of them in one call; it sees no more than its caller may.
    """
    CREATE FUNCTION blocked(hashes bytea[]) RETURNS SETOF bytea LANGUAGE plpgsql VOLATILE AS $$ BEGIN
      PERFORM set_config('app.hashes', hashes::text, true);
      RETURN QUERY SELECT hash FROM blocks WHERE hash = ANY (hashes);
    END $$
    """,
    "ALTER TABLE blocks ENABLE ROW LEVEL SECURITY",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON blocks TO seedlift_work",
    "CREATE POLICY work_blocks ON blocks TO seedlift_work USING (true) WITH CHECK (true)",
    "GRANT SELECT ON blocks TO seedlift_api",
    "CREATE POLICY api_blocks_asked ON blocks FOR SELECT TO seedlift_api USING (hash = ANY (app_hashes()))",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("what was blocked would be let in again: restore a backup instead")
