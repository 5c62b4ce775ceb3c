"""The spine: people, organisations, torrents, transfers, jobs, agents, outbox and audit, under row-level security.

Three roles: the owner migrates; `seedlift_api` serves requests and sees only the rows of the organisation, person or
secret that its transaction names (`app.org`, `app.person`, `app.email`, `app.secret`, `app.operator`); `seedlift_work`
runs loops and the fleet listener and sees every organisation. None is a superuser or bypasses row-level security.
"""

from alembic import op

revision = "20261121_spine"
down_revision = None

ROLES = """
DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{0}') THEN CREATE ROLE {0} NOLOGIN; END IF; END $$
"""

WHO_ASKS = """
CREATE FUNCTION app_org() RETURNS uuid LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('app.org', true), '')::uuid $$;
CREATE FUNCTION app_person() RETURNS uuid LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('app.person', true), '')::uuid $$;
CREATE FUNCTION app_email() RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT nullif(current_setting('app.email', true), '') $$;
CREATE FUNCTION app_secret() RETURNS bytea LANGUAGE sql STABLE
  AS $$ SELECT decode(nullif(current_setting('app.secret', true), ''), 'hex') $$;
CREATE FUNCTION app_operator() RETURNS boolean LANGUAGE sql STABLE
  AS $$ SELECT coalesce(current_setting('app.operator', true) = 'on', false) $$;
"""

ACCOUNTS = """
CREATE TABLE organisations (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  created_at timestamptz NOT NULL
);

CREATE TABLE people (
  id uuid PRIMARY KEY,
  email text NOT NULL UNIQUE CHECK (email = lower(email)),
  password_hash text NOT NULL,
  platform_role text NOT NULL DEFAULT 'user' CHECK (platform_role IN ('user', 'admin')),
  created_at timestamptz NOT NULL
);

CREATE TABLE members (
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  role text NOT NULL DEFAULT 'owner',
  joined_at timestamptz NOT NULL,
  PRIMARY KEY (org_id, person_id)
);
CREATE INDEX ON members (person_id);

CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE,
  user_agent text,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX ON sessions (person_id);
CREATE INDEX ON sessions (expires_at);

CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  name text NOT NULL,
  prefix text NOT NULL,
  token_hash bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX ON api_keys (org_id);

CREATE TABLE idempotency (
  principal text NOT NULL,
  key text NOT NULL,
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  body_hash bytea NOT NULL,
  status integer NOT NULL,
  answer bytea NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (principal, key)
);
CREATE INDEX ON idempotency (created_at);
"""

AUDIT = """
CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL,
  org_id uuid,
  actor text NOT NULL,
  action text NOT NULL,
  target text NOT NULL,
  request_id text,
  ip text,
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX ON audit (org_id, id);

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN RAISE EXCEPTION 'audit is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
  FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_never_truncated BEFORE TRUNCATE ON audit
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
"""

FLEET = """
CREATE TABLE agents (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  pool text NOT NULL,
  state text NOT NULL,
  nats_user text NOT NULL,
  certificate_serial text NOT NULL,
  certificate_until timestamptz NOT NULL,
  boot uuid,
  rev bigint NOT NULL DEFAULT 0,
  version text NOT NULL DEFAULT '',
  slots integer NOT NULL DEFAULT 0,
  seen_at timestamptz,
  created_at timestamptz NOT NULL,
  retired_at timestamptz
);
CREATE UNIQUE INDEX ON agents (name) WHERE retired_at IS NULL;

CREATE TABLE enrol_tokens (
  token_hash bytea PRIMARY KEY,
  name text,
  pool text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  agent_id uuid REFERENCES agents
);
"""

CONTENT = """
CREATE TABLE torrents (
  id uuid PRIMARY KEY,
  scope_id uuid NOT NULL,
  v1 bytea CHECK (length(v1) = 20),
  v2 bytea CHECK (length(v2) = 32),
  alias_of uuid REFERENCES torrents,
  name text,
  size_bytes bigint CHECK (size_bytes >= 0),
  files_count integer,
  is_private boolean NOT NULL DEFAULT false,
  info bytea,
  created_at timestamptz NOT NULL,
  CHECK (v1 IS NOT NULL OR v2 IS NOT NULL)
);
ALTER TABLE torrents ALTER COLUMN info SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX torrents_v1 ON torrents (scope_id, v1) WHERE alias_of IS NULL;
CREATE UNIQUE INDEX torrents_v2 ON torrents (scope_id, v2) WHERE alias_of IS NULL;

CREATE TABLE files (
  torrent_id uuid NOT NULL REFERENCES torrents ON DELETE CASCADE,
  index integer NOT NULL,
  scope_id uuid NOT NULL,
  path text NOT NULL,
  size_bytes bigint NOT NULL CHECK (size_bytes >= 0),
  kind text NOT NULL,
  PRIMARY KEY (torrent_id, index)
);

CREATE TABLE transfers (
  id uuid PRIMARY KEY,
  scope_id uuid NOT NULL,
  torrent_id uuid NOT NULL REFERENCES torrents,
  pool text NOT NULL,
  intent text NOT NULL DEFAULT 'run',
  state text NOT NULL,
  correlation_id text NOT NULL,

  epoch integer NOT NULL DEFAULT 0,
  agent_id uuid REFERENCES agents,
  boot uuid,
  claim_id uuid,
  rev bigint NOT NULL DEFAULT 0,
  go boolean NOT NULL DEFAULT false,
  done boolean NOT NULL DEFAULT false,

  offer_no integer NOT NULL DEFAULT 0,
  offered_at timestamptz,
  tries integer NOT NULL DEFAULT 0,
  not_before timestamptz,
  failure_code text,
  failure_detail text,

  size_bytes bigint,
  down_bytes bigint NOT NULL DEFAULT 0,
  stored_bytes bigint NOT NULL DEFAULT 0,
  progress_at timestamptz,
  created_at timestamptz NOT NULL,
  moved_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE INDEX transfers_open ON transfers (state, created_at) WHERE state NOT IN ('stored', 'failed', 'stopped');
CREATE INDEX transfers_agent ON transfers (agent_id) WHERE agent_id IS NOT NULL;
CREATE INDEX transfers_scope ON transfers (scope_id, state);
CREATE INDEX transfers_torrent ON transfers (torrent_id);
CREATE INDEX transfers_done ON transfers (id) WHERE done AND state NOT IN ('stored', 'failed', 'stopped');

CREATE TABLE objects (
  transfer_id uuid NOT NULL REFERENCES transfers ON DELETE CASCADE,
  file integer NOT NULL,
  scope_id uuid NOT NULL,
  key text NOT NULL,
  size_bytes bigint NOT NULL,
  upload_id text,
  etag text,
  crc32 bigint,
  epoch integer NOT NULL,
  opened_at timestamptz NOT NULL,
  stored_at timestamptz,
  PRIMARY KEY (transfer_id, file)
);
CREATE INDEX objects_open ON objects (transfer_id) WHERE stored_at IS NULL;

CREATE TABLE parts (
  transfer_id uuid NOT NULL,
  file integer NOT NULL,
  part integer NOT NULL,
  scope_id uuid NOT NULL,
  epoch integer NOT NULL,
  size_bytes bigint NOT NULL,
  crc32 bigint NOT NULL,
  etag text NOT NULL,
  stored_at timestamptz NOT NULL,
  PRIMARY KEY (transfer_id, file, part),
  FOREIGN KEY (transfer_id, file) REFERENCES objects ON DELETE CASCADE
);

CREATE TABLE tombstones (
  prefix text PRIMARY KEY,
  scope_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  last_sweep_at timestamptz NOT NULL
);
"""

JOBS = """
CREATE TABLE jobs (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES organisations,
  person_id uuid NOT NULL REFERENCES people,
  torrent_id uuid NOT NULL REFERENCES torrents,
  transfer_id uuid NOT NULL REFERENCES transfers,
  source text NOT NULL CHECK (source IN ('magnet', 'torrent')),
  intent text NOT NULL DEFAULT 'run',
  state text NOT NULL,
  version integer NOT NULL DEFAULT 1,
  name text NOT NULL,
  trackers jsonb NOT NULL DEFAULT '[]',
  web_seeds jsonb NOT NULL DEFAULT '[]',
  peers jsonb NOT NULL DEFAULT '[]',
  failure_code text,
  failure_detail text,
  correlation_id text NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  ended_at timestamptz,
  removed_at timestamptz
);
CREATE INDEX jobs_page ON jobs (org_id, id DESC) WHERE removed_at IS NULL;
CREATE INDEX jobs_state ON jobs (org_id, state, id DESC) WHERE removed_at IS NULL;
CREATE INDEX jobs_transfer ON jobs (transfer_id);
CREATE INDEX jobs_torrent ON jobs (torrent_id);
CREATE UNIQUE INDEX jobs_one_active ON jobs (org_id, torrent_id)
  WHERE removed_at IS NULL AND state IN ('submitted', 'metadata_fetch', 'queued', 'downloading', 'uploading', 'paused');

CREATE TABLE job_events (
  job_id uuid NOT NULL REFERENCES jobs ON DELETE CASCADE,
  version integer NOT NULL,
  org_id uuid NOT NULL,
  from_state text,
  to_state text NOT NULL,
  who text NOT NULL,
  why text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (job_id, version)
);

CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject text NOT NULL,
  message_id text NOT NULL,
  payload bytea NOT NULL,
  correlation_id text,
  created_at timestamptz NOT NULL
);
"""

TENANT_BY_ORG = ("idempotency", "jobs", "job_events")
TENANT_BY_SCOPE = ("torrents", "files", "transfers", "objects", "parts", "tombstones")
EVERY_TABLE = (
    "organisations", "people", "members", "sessions", "api_keys", "audit", "agents", "enrol_tokens", "outbox",
    *TENANT_BY_ORG, *TENANT_BY_SCOPE,
)  # fmt: skip

POLICIES = """
CREATE POLICY api_organisations ON organisations TO seedlift_api
  USING (id = app_org() OR id IN (SELECT org_id FROM members WHERE person_id = app_person()));
CREATE POLICY api_people ON people TO seedlift_api
  USING (id = app_person() OR email = app_email()) WITH CHECK (id = app_person());
CREATE POLICY api_members ON members TO seedlift_api
  USING (person_id = app_person() OR org_id = app_org()) WITH CHECK (org_id = app_org());
CREATE POLICY api_sessions ON sessions TO seedlift_api
  USING (person_id = app_person() OR token_hash = app_secret()) WITH CHECK (person_id = app_person());
CREATE POLICY api_api_keys ON api_keys TO seedlift_api
  USING (org_id = app_org() OR token_hash = app_secret()) WITH CHECK (org_id = app_org());
CREATE POLICY api_audit_read ON audit FOR SELECT TO seedlift_api USING (org_id = app_org());
CREATE POLICY api_audit_write ON audit FOR INSERT TO seedlift_api WITH CHECK (org_id IS NULL OR org_id = app_org());
CREATE POLICY api_agents ON agents TO seedlift_api USING (app_operator()) WITH CHECK (app_operator());
CREATE POLICY api_enrol_tokens ON enrol_tokens TO seedlift_api USING (app_operator()) WITH CHECK (app_operator());
CREATE POLICY api_outbox ON outbox FOR INSERT TO seedlift_api WITH CHECK (true);
"""


def run(block: str) -> None:
    """asyncpg prepares what it runs, so one statement at a time; each ends its line."""
    for statement in block.split(";\n"):
        if statement.strip():
            op.execute(statement)


def upgrade() -> None:
    for role in ("seedlift_api", "seedlift_work"):
        op.execute(ROLES.format(role))
    for block in (WHO_ASKS, ACCOUNTS, AUDIT, FLEET, CONTENT, JOBS):
        run(block)
    for table in EVERY_TABLE:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_work")
        op.execute(f"CREATE POLICY work_{table} ON {table} TO seedlift_work USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_api")
    for table in TENANT_BY_ORG:
        op.execute(f"CREATE POLICY api_{table} ON {table} TO seedlift_api USING (org_id = app_org())")
    for table in TENANT_BY_SCOPE:
        op.execute(f"CREATE POLICY api_{table} ON {table} TO seedlift_api USING (scope_id = app_org())")
    run(POLICIES)
    op.execute("REVOKE UPDATE, DELETE ON audit FROM seedlift_api, seedlift_work")
    op.execute("REVOKE SELECT, UPDATE, DELETE ON outbox FROM seedlift_api")


def downgrade() -> None:
    raise RuntimeError("the first migration has nothing below it: drop the database instead")
