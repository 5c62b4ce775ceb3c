"""What plans let peers have."""

from alembic import op

revision = "20261121_plan_seeding"
down_revision = "20261121_sessions"


def upgrade() -> None:
    op.execute("ALTER TABLE plans ADD COLUMN seeding jsonb CHECK (jsonb_typeof(seeding) = 'object')")


def downgrade() -> None:
    raise RuntimeError("agreements would be lost: restore a backup instead")
