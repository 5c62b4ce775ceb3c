"""What the console switches and says: feature flags and announcements. The api's role has no business with either."""

from alembic import op

revision = "20261121_console"
down_revision = "20261121_webhooks"

FLAGS = """CREATE TABLE flags (
  name text PRIMARY KEY,
  "on" boolean NOT NULL,
  reason text NOT NULL,
  changed_by text NOT NULL,
  changed_at timestamptz NOT NULL
)"""

ANNOUNCEMENTS = """CREATE TABLE announcements (
  id uuid PRIMARY KEY,
  text text NOT NULL,
  weight text NOT NULL CHECK (weight IN ('info', 'warning')),
  from_at timestamptz NOT NULL,
  until_at timestamptz,
  made_by text NOT NULL,
  created_at timestamptz NOT NULL
)"""


def upgrade() -> None:
    op.execute(FLAGS)
    op.execute(ANNOUNCEMENTS)
    for table in ("flags", "announcements"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_work")
        op.execute(f"CREATE POLICY work_{table} ON {table} TO seedlift_work USING (true) WITH CHECK (true)")


def downgrade() -> None:
    raise RuntimeError("who switched what would be lost: bring back a backup instead")
