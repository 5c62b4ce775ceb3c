"""People: mails, one-time vouchers, where they are signed in, second factors, passkeys, other providers' identities.

Row-level security goes by person, or by the secret that a transaction names. Mails are written by the api's role and
read by operators and loops alone: they carry links that open accounts.
"""

from alembic import op

revision = "20261121_people"
down_revision = "20261121_steering"

PEOPLE = """
ALTER TABLE people
  ALTER COLUMN password_hash DROP NOT NULL,
  ADD COLUMN email_verified_at timestamptz,
  ADD COLUMN deleted_at timestamptz;

ALTER TABLE sessions
  ADD COLUMN network text,
  ADD COLUMN seen_at timestamptz;

CREATE TABLE vouchers (
  id uuid PRIMARY KEY,
  kind text NOT NULL,
  person_id uuid REFERENCES people ON DELETE CASCADE,
  token_hash bytea NOT NULL UNIQUE,
  detail jsonb NOT NULL,
  tries integer NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at timestamptz
);
CREATE INDEX ON vouchers (person_id, kind);
CREATE INDEX ON vouchers (expires_at);

CREATE TABLE mails (
  id uuid PRIMARY KEY,
  person_id uuid REFERENCES people ON DELETE SET NULL,
  recipient text NOT NULL,
  kind text NOT NULL,
  subject text NOT NULL,
  body bytea,
  state text NOT NULL,
  tries integer NOT NULL,
  not_before timestamptz NOT NULL,
  failure text,
  created_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE INDEX mails_queued ON mails (not_before) WHERE state = 'queued';
CREATE INDEX ON mails (person_id);
CREATE INDEX ON mails (ended_at);

CREATE TABLE totps (
  person_id uuid PRIMARY KEY REFERENCES people ON DELETE CASCADE,
  secret bytea NOT NULL,
  last_step bigint NOT NULL,
  created_at timestamptz NOT NULL,
  confirmed_at timestamptz
);

CREATE TABLE recovery_codes (
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  code_hash bytea NOT NULL,
  created_at timestamptz NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (person_id, code_hash)
);

CREATE TABLE passkeys (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  credential_hash bytea NOT NULL UNIQUE,
  credential_id bytea NOT NULL,
  public_key bytea NOT NULL,
  sign_count bigint NOT NULL,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX ON passkeys (person_id);

CREATE TABLE identities (
  id uuid PRIMARY KEY,
  person_id uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  subject_hash bytea NOT NULL UNIQUE,
  provider text NOT NULL,
  issuer text NOT NULL,
  subject text NOT NULL,
  email text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz
);
CREATE INDEX ON identities (person_id);

CREATE INDEX audit_actor ON audit (actor, id);
"""

TABLES = ("vouchers", "mails", "totps", "recovery_codes", "passkeys", "identities")

POLICIES = """
CREATE POLICY api_vouchers_read ON vouchers FOR SELECT TO seedlift_api
  USING (person_id = app_person() OR token_hash = app_secret());
CREATE POLICY api_vouchers_use ON vouchers FOR UPDATE TO seedlift_api
  USING (person_id = app_person() OR token_hash = app_secret());
CREATE POLICY api_vouchers_give ON vouchers FOR INSERT TO seedlift_api
  WITH CHECK (person_id IS NULL OR person_id = app_person());
CREATE POLICY api_mails_write ON mails FOR INSERT TO seedlift_api
  WITH CHECK (person_id IS NULL OR person_id = app_person());
CREATE POLICY api_mails_read ON mails FOR SELECT TO seedlift_api
  USING (app_operator() OR person_id = app_person());
CREATE POLICY api_totps ON totps TO seedlift_api USING (person_id = app_person());
CREATE POLICY api_recovery_codes ON recovery_codes TO seedlift_api USING (person_id = app_person());
CREATE POLICY api_passkeys ON passkeys TO seedlift_api
  USING (person_id = app_person() OR credential_hash = app_secret()) WITH CHECK (person_id = app_person());
CREATE POLICY api_identities ON identities TO seedlift_api
  USING (person_id = app_person() OR subject_hash = app_secret()) WITH CHECK (person_id = app_person());
CREATE POLICY api_audit_own ON audit FOR SELECT TO seedlift_api USING (actor = 'person:' || app_person());
"""


def run(block: str) -> None:
    """One statement at a time; each ends its line."""
    for statement in block.split(";\n"):
        if statement.strip():
            op.execute(statement)


def upgrade() -> None:
    run(PEOPLE)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_work")
        op.execute(f"CREATE POLICY work_{table} ON {table} TO seedlift_work USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_api")
    run(POLICIES)
    op.execute("REVOKE UPDATE, DELETE ON mails FROM seedlift_api")
    op.execute("REVOKE DELETE ON vouchers FROM seedlift_api")


def downgrade() -> None:
    raise RuntimeError("there is no way back past a migration but the backup")
