"""URLs: a torrent may be known by where it lies, before anything else is known of it or instead."""

from alembic import op

revision = "20261121_urls"
down_revision = "20261121_seeding"

STATEMENTS = (
    "ALTER TABLE torrents DROP CONSTRAINT torrents_check, ADD url_hash bytea CHECK (length(url_hash) = 32),"
    " ADD CONSTRAINT torrents_known_by CHECK (v1 IS NOT NULL OR v2 IS NOT NULL OR url_hash IS NOT NULL)",
    "CREATE INDEX torrents_url ON torrents (scope_id, url_hash) WHERE url_hash IS NOT NULL",
    "ALTER TABLE jobs DROP CONSTRAINT jobs_source_check, ADD url text,"
    " ADD CONSTRAINT jobs_source_check CHECK (source IN ('magnet', 'torrent', 'url')),"
    " ADD CONSTRAINT jobs_url CHECK ((source = 'url') = (url IS NOT NULL))",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise RuntimeError("jobs would lose what they were asked for by: restore a backup instead")
