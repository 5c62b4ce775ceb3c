"""The feed of what happened to jobs and files, webhooks that are told of it, the calls by which they are; and an index.

Rows enter the feed by trigger, in the transaction of what they tell: whoever writes a job's timeline or stores a file
need not think of it. Loop `feed` numbers them once they are committed, so that no reader is ever passed by a late one.
"""

from alembic import op

revision = "20261121_webhooks"
down_revision = "20261121_terms"

FEED = """
CREATE SEQUENCE feed_seq;

GRANT USAGE ON feed_seq TO seedlift_work;

CREATE TABLE feed (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  seq bigint,
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  type text NOT NULL,
  at timestamptz NOT NULL,
  job_id uuid NOT NULL,
  name text NOT NULL,
  version integer NOT NULL,
  state text NOT NULL,
  from_state text,
  why text,
  detail text,
  file integer,
  path text,
  size_bytes bigint
);

CREATE UNIQUE INDEX feed_page ON feed (org_id, seq);

CREATE INDEX feed_new ON feed (id) WHERE seq IS NULL;

CREATE INDEX ON feed (at);

CREATE FUNCTION feed_job() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
  AS $$ BEGIN
    INSERT INTO public.feed (org_id, type, at, job_id, name, version, state, from_state, why, detail)
    SELECT NEW.org_id,
           CASE WHEN NEW.from_state IS NULL THEN 'job.added'
                WHEN NEW.why = 'removed' THEN 'job.removed'
                WHEN NEW.from_state <> NEW.to_state THEN 'job.' || NEW.to_state
                ELSE 'job.changed' END,
           NEW.at, NEW.job_id, name, NEW.version, NEW.to_state, NEW.from_state, NEW.why, NEW.detail
    FROM public.jobs WHERE id = NEW.job_id;
    RETURN NULL;
  END $$;

CREATE TRIGGER feed_job AFTER INSERT ON job_events FOR EACH ROW EXECUTE FUNCTION feed_job();

CREATE FUNCTION feed_file() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
  AS $$ BEGIN
    INSERT INTO public.feed (org_id, type, at, job_id, name, version, state, file, path, size_bytes)
    SELECT j.org_id, 'file.stored', NEW.stored_at, j.id, j.name, j.version, j.state, f.index, f.path, NEW.size_bytes
    FROM public.jobs j JOIN public.files f ON f.torrent_id = j.torrent_id AND f.index = NEW.file
    WHERE j.transfer_id = NEW.transfer_id AND j.removed_at IS NULL AND (j.files IS NULL OR NEW.file = ANY (j.files))
      AND j.state NOT IN ('completed', 'failed', 'cancelled', 'expired');
    RETURN NULL;
  END $$;

CREATE TRIGGER feed_file_put AFTER INSERT ON objects FOR EACH ROW
  WHEN (NEW.stored_at IS NOT NULL) EXECUTE FUNCTION feed_file();

CREATE TRIGGER feed_file_completed AFTER UPDATE OF stored_at ON objects FOR EACH ROW
  WHEN (OLD.stored_at IS NULL AND NEW.stored_at IS NOT NULL) EXECUTE FUNCTION feed_file();
"""

WEBHOOKS = """
CREATE TABLE webhooks (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  url text NOT NULL,
  description text NOT NULL,
  types jsonb NOT NULL,
  secret bytea NOT NULL,
  previous_secret bytea,
  previous_until timestamptz,
  created_at timestamptz NOT NULL,
  disabled_at timestamptz,
  disabled_why text CHECK (disabled_why IN ('by_hand', 'gone', 'failing')),
  failures integer NOT NULL DEFAULT 0,
  failing_since timestamptz,
  not_before timestamptz,
  CHECK ((disabled_at IS NULL) = (disabled_why IS NULL))
);

CREATE INDEX ON webhooks (org_id);

CREATE TABLE webhook_calls (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  webhook_id uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
  seq bigint,
  type text NOT NULL,
  body bytea NOT NULL,
  state text NOT NULL CHECK (state IN ('queued', 'delivered', 'failed')),
  tries integer NOT NULL,
  not_before timestamptz NOT NULL,
  taken_until timestamptz,
  attempts jsonb NOT NULL,
  created_at timestamptz NOT NULL,
  ended_at timestamptz,
  UNIQUE (webhook_id, seq)
);

CREATE INDEX webhook_calls_due ON webhook_calls (webhook_id, not_before, id) WHERE state = 'queued';

CREATE INDEX webhook_calls_page ON webhook_calls (webhook_id, id DESC);

CREATE INDEX ON webhook_calls (created_at);
"""

TABLES = ("feed", "webhooks", "webhook_calls")


def run(block: str) -> None:
    """asyncpg prepares what it runs, so one statement at a time; between two is an empty line."""
    for statement in block.split("\n\n"):
        op.execute(statement)


def upgrade() -> None:
    for block in (FEED, WEBHOOKS):
        run(block)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_api, seedlift_work")
        op.execute(f"CREATE POLICY work_{table} ON {table} TO seedlift_work USING (true) WITH CHECK (true)")
    op.execute("CREATE POLICY api_feed ON feed FOR SELECT TO seedlift_api USING (org_id = app_org())")
    for table in ("webhooks", "webhook_calls"):
        op.execute(f"CREATE POLICY api_{table} ON {table} TO seedlift_api USING (org_id = app_org())")


def downgrade() -> None:
    raise RuntimeError("what happened, and who was told of it, would be lost: bring back a backup instead")
