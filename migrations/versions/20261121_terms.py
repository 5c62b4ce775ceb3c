"""Terms of use: every version there was, and who accepted which. They are for everybody to read."""

from alembic import op

revision = "20261121_terms"
down_revision = "20261121_suspension"

STATEMENTS = (
    """
    CREATE TABLE terms (
      version integer PRIMARY KEY,
      text text NOT NULL,
      published_by text NOT NULL,
      published_at timestamptz NOT NULL,
      effective_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE acceptances (
      person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
      version integer NOT NULL REFERENCES terms ON DELETE CASCADE,
      accepted_at timestamptz NOT NULL,
      ip text,
      PRIMARY KEY (person_id, version)
    )
    """,
    "ALTER TABLE people ADD COLUMN accepted_terms integer",
    "ALTER TABLE terms ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE acceptances ENABLE ROW LEVEL SECURITY",
    # What was published is never changed, and what was accepted neither.
    "GRANT SELECT, INSERT ON terms, acceptances TO seedlift_work",
    "CREATE POLICY work_terms ON terms TO seedlift_work USING (true) WITH CHECK (true)",
    "CREATE POLICY work_acceptances ON acceptances TO seedlift_work USING (true) WITH CHECK (true)",
    "GRANT SELECT ON terms TO seedlift_api",
    "CREATE POLICY api_terms ON terms FOR SELECT TO seedlift_api USING (true)",
    "GRANT SELECT, INSERT ON acceptances TO seedlift_api",
    "CREATE POLICY api_acceptances ON acceptances TO seedlift_api USING (person_id = app_person())",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("who accepted what would be lost: restore a backup instead")
