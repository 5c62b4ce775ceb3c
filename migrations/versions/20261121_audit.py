"""The audit log: severity, seals and what waits for one, where keys are used from, and indexes to search by.

A row and its place in `audit_unsealed` are born in one transaction, by trigger; it leaves that table only once its seal
is there. So whoever seals what is visible there can skip nothing, in whatever order transactions commit.
"""

from alembic import op

revision = "20261121_audit"
down_revision = "20261121_organisations"

SEVERITY = """
ALTER TABLE audit ADD COLUMN severity text NOT NULL DEFAULT 'info'
  CHECK (severity IN ('info', 'notice', 'warning', 'critical'));
"""

PLACES = """
ALTER TABLE api_keys ADD COLUMN networks jsonb NOT NULL DEFAULT '[]';
"""

SEALS = """
CREATE TABLE audit_seals (
  seq bigint PRIMARY KEY CHECK (seq > 0),
  entry_id bigint NOT NULL UNIQUE,
  sealed_at timestamptz NOT NULL,
  row_hash bytea NOT NULL CHECK (length(row_hash) = 32),
  previous bytea NOT NULL CHECK (length(previous) = 32),
  hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32)
);

CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE ON audit_seals
  FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();

CREATE TRIGGER audit_seals_never_truncated BEFORE TRUNCATE ON audit_seals
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();

CREATE TABLE audit_unsealed (entry_id bigint PRIMARY KEY);

INSERT INTO audit_unsealed SELECT id FROM audit;

CREATE FUNCTION audit_waits_for_a_seal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
  AS $$ BEGIN INSERT INTO public.audit_unsealed VALUES (NEW.id); RETURN NULL; END $$;

CREATE TRIGGER audit_waits AFTER INSERT ON audit
  FOR EACH ROW EXECUTE FUNCTION audit_waits_for_a_seal();

CREATE FUNCTION audit_is_sealed_first() RETURNS trigger LANGUAGE plpgsql
  AS $$ BEGIN
    IF TG_OP = 'DELETE' AND EXISTS (SELECT FROM public.audit_seals WHERE entry_id = OLD.entry_id) THEN
      RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit is append-only: a row waits until it is sealed' USING ERRCODE = 'insufficient_privilege';
  END $$;

CREATE TRIGGER audit_unsealed_until_sealed BEFORE UPDATE OR DELETE ON audit_unsealed
  FOR EACH ROW EXECUTE FUNCTION audit_is_sealed_first();

CREATE TRIGGER audit_unsealed_never_truncated BEFORE TRUNCATE ON audit_unsealed
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
"""

INDEXES = """
DROP INDEX audit_org_id_id_idx;

CREATE INDEX audit_by_org ON audit (org_id, at, id);

CREATE INDEX audit_by_org_action ON audit (org_id, action, at, id);

CREATE INDEX audit_by_org_severity ON audit (org_id, severity, at, id) WHERE severity <> 'info';

CREATE INDEX audit_by_time ON audit (at, id);

CREATE INDEX audit_by_action ON audit (action, at, id);

CREATE INDEX audit_by_severity ON audit (severity, at, id) WHERE severity <> 'info';

CREATE INDEX audit_by_actor ON audit (actor, at, id);

CREATE INDEX audit_by_target ON audit (target, at, id);
"""

WORK_MAY = {"audit_seals": "SELECT, INSERT", "audit_unsealed": "SELECT, DELETE"}
"""The api's role has no business with either."""


def run(block: str) -> None:
    """asyncpg prepares what it runs, so one statement at a time; between two is an empty line."""
    for statement in block.split("\n\n"):
        op.execute(statement)


def upgrade() -> None:
    for block in (SEVERITY, PLACES, SEALS, INDEXES):
        run(block)
    for table, rights in WORK_MAY.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT {rights} ON {table} TO seedlift_work")
        op.execute(f"CREATE POLICY work_{table} ON {table} TO seedlift_work USING (true) WITH CHECK (true)")


def downgrade() -> None:
    raise RuntimeError("seals are kept for good: restore a backup instead")
