"""Hashes of version 2's pieces, where whoever brought a torrent in knew them."""

from alembic import op

revision = "20261122_layers"
down_revision = "20261122_straight"


def upgrade() -> None:
    op.execute("ALTER TABLE torrents ADD COLUMN layers bytea")
    op.execute("ALTER TABLE torrents ALTER COLUMN layers SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.execute("ALTER TABLE torrents DROP COLUMN layers")
