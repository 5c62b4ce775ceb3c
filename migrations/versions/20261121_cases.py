"""Takedown cases: a notice, what was decided, a counter-notice. Anybody writes one; only admins and support read."""

from alembic import op

revision = "20261121_cases"
down_revision = "20261121_blocklist"

STATEMENTS = (
    """
    CREATE TABLE cases (
      id uuid PRIMARY KEY,
      state text NOT NULL CHECK (state IN ('received', 'blocked', 'rejected', 'countered', 'reinstated')),
      hashes jsonb NOT NULL,
      name text NOT NULL,
      email text NOT NULL,
      on_behalf_of text NOT NULL,
      work text NOT NULL,
      signature text NOT NULL,
      ip text,
      created_at timestamptz NOT NULL,
      decided_by text,
      decided_for text,
      decided_at timestamptz,
      counter_name text,
      counter_email text,
      counter_statement text,
      counter_signature text,
      countered_at timestamptz
    )
    """,
    "CREATE INDEX cases_by_state ON cases (state, id DESC)",
    "CREATE INDEX cases_hashes ON cases USING gin (hashes jsonb_path_ops)",
    "ALTER TABLE blocks ADD COLUMN case_id uuid REFERENCES cases",
    "ALTER TABLE cases ENABLE ROW LEVEL SECURITY",
    "GRANT SELECT, INSERT, UPDATE ON cases TO seedlift_work",
    "CREATE POLICY work_cases ON cases TO seedlift_work USING (true) WITH CHECK (true)",
    "GRANT INSERT ON cases TO seedlift_api",
    "CREATE POLICY api_cases ON cases FOR INSERT TO seedlift_api WITH CHECK (state = 'received')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("notices are kept: restore a backup instead")
