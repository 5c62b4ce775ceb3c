"""Rates: how often somebody asked, for all api processes together. Unlogged: a crash of PostgreSQL forgets them."""

from alembic import op

revision = "20261121_rates"
down_revision = "20261121_retention"

STATEMENTS = (
    # Room in each page for the next version of its rows, so that no index is touched when one is counted on.
    """
    CREATE UNLOGGED TABLE rates (
      key text PRIMARY KEY,
      began double precision NOT NULL,
      hits integer NOT NULL,
      before integer NOT NULL,
      took integer NOT NULL,
      over_at double precision NOT NULL
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)
    """,
    "ALTER TABLE rates ENABLE ROW LEVEL SECURITY",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON rates TO seedlift_work",
    "CREATE POLICY work_rates ON rates TO seedlift_work USING (true) WITH CHECK (true)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE rates")
