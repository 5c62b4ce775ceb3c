"""Plans as data, each organisation's quota with what it uses, and its traffic by month.

What is set aside for a transfer is worked out from its own row, as generated columns; triggers add it up in the row of
its organisation. So whoever changes a transfer, by whatever way, cannot forget the quota.
"""

from alembic import op

revision = "20261121_plans"
down_revision = "20261121_urls"

PLANS = """
CREATE TABLE plans (
  name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,31}$'),
  place integer NOT NULL,
  description text NOT NULL,
  is_listed boolean NOT NULL DEFAULT true,
  is_default boolean NOT NULL DEFAULT false,
  active integer NOT NULL CHECK (active > 0),
  open_jobs integer NOT NULL CHECK (open_jobs > 0),
  storage_bytes bigint CHECK (storage_bytes >= 0),
  file_bytes bigint CHECK (file_bytes >= 0),
  traffic_bytes bigint CHECK (traffic_bytes >= 0),
  kept_days integer CHECK (kept_days > 0)
);

CREATE UNIQUE INDEX plans_default ON plans (is_default) WHERE is_default;

INSERT INTO plans VALUES
  ('free', 1, 'To try it.', true, true, 2, 100, 5000000000, 500000000, 50000000000, 7),
  ('pro', 2, 'For one person at work.', true, false, 10, 1000, 50000000000, 5000000000, 500000000000, 30),
  ('business', 3, 'For a team.', true, false, 50, 5000, 500000000000, 25000000000, 5000000000000, 90),
  ('enterprise', 4, 'By agreement: an organisation''s own limits stand above these.', true, false,
   200, 10000, 5000000000000, 100000000000, 50000000000000, 365),
  ('house', 5, 'For whoever runs this place: nothing expires.', false, false,
   10, 1000, 1099511627776, NULL, NULL, NULL);
"""

QUOTAS = """
CREATE TABLE quotas (
  org_id uuid PRIMARY KEY REFERENCES organisations ON DELETE CASCADE,
  plan text NOT NULL REFERENCES plans,
  own jsonb NOT NULL DEFAULT '{}',
  reserved_bytes bigint NOT NULL DEFAULT 0,
  stored_bytes bigint NOT NULL DEFAULT 0
);

CREATE INDEX ON quotas (plan);

CREATE TABLE traffic (
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  month date NOT NULL,
  kind text NOT NULL CHECK (kind IN ('transfer', 'delivery')),
  bytes bigint NOT NULL,
  PRIMARY KEY (org_id, month, kind)
);

CREATE INDEX ON traffic (month);

CREATE TABLE quota_warnings (
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  what text NOT NULL CHECK (what IN ('storage', 'traffic')),
  percent integer NOT NULL,
  month date NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (org_id, what)
);

ALTER TABLE objects ADD COLUMN delivery_until timestamptz;

CREATE INDEX objects_largest ON objects (scope_id, size_bytes) WHERE stored_at IS NOT NULL;
"""

# Of a transfer under way its whole size is set aside; of one that has ended there counts what lies in the store.
HOLDS = """
ALTER TABLE transfers ADD COLUMN held boolean NOT NULL DEFAULT true;

UPDATE transfers SET held = EXISTS
  (SELECT FROM jobs WHERE transfer_id = transfers.id AND (removed_at IS NULL OR data_kept));

ALTER TABLE transfers
  ADD COLUMN reserved_bytes bigint NOT NULL GENERATED ALWAYS AS (
    CASE WHEN held AND go AND intent <> 'stop' AND state NOT IN ('stored', 'failed', 'stopped')
      THEN coalesce(size_bytes, 0) ELSE 0 END) STORED,
  ADD COLUMN kept_bytes bigint NOT NULL GENERATED ALWAYS AS (
    CASE WHEN NOT held THEN 0
      WHEN state = 'stored' THEN CASE WHEN go THEN coalesce(size_bytes, 0) ELSE 0 END
      WHEN go AND intent <> 'stop' AND state NOT IN ('failed', 'stopped') THEN 0
      ELSE stored_bytes END) STORED;
"""

TRIGGERS = """
CREATE FUNCTION quota_of_a_new_organisation() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
  AS $$ BEGIN
    INSERT INTO public.quotas (org_id, plan) SELECT NEW.id, name FROM public.plans WHERE is_default;
    RETURN NULL;
  END $$;

CREATE TRIGGER organisations_quota AFTER INSERT ON organisations
  FOR EACH ROW EXECUTE FUNCTION quota_of_a_new_organisation();

CREATE FUNCTION quota_follows_a_transfer() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''
  AS $$ BEGIN
    IF TG_OP <> 'INSERT' THEN
      UPDATE public.quotas SET reserved_bytes = reserved_bytes - OLD.reserved_bytes,
        stored_bytes = stored_bytes - OLD.kept_bytes WHERE org_id = OLD.scope_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      UPDATE public.quotas SET reserved_bytes = reserved_bytes + NEW.reserved_bytes,
        stored_bytes = stored_bytes + NEW.kept_bytes WHERE org_id = NEW.scope_id;
    END IF;
    RETURN NULL;
  END $$;

CREATE TRIGGER transfers_quota_new AFTER INSERT ON transfers
  FOR EACH ROW WHEN (NEW.reserved_bytes + NEW.kept_bytes > 0) EXECUTE FUNCTION quota_follows_a_transfer();

CREATE TRIGGER transfers_quota_gone AFTER DELETE ON transfers
  FOR EACH ROW WHEN (OLD.reserved_bytes + OLD.kept_bytes > 0) EXECUTE FUNCTION quota_follows_a_transfer();

CREATE TRIGGER transfers_quota AFTER UPDATE ON transfers FOR EACH ROW
  WHEN (OLD.reserved_bytes <> NEW.reserved_bytes OR OLD.kept_bytes <> NEW.kept_bytes OR OLD.scope_id <> NEW.scope_id)
  EXECUTE FUNCTION quota_follows_a_transfer();
"""

# Organisations that are there already keep what they had.
PRESENT = """
INSERT INTO quotas (org_id, plan, reserved_bytes, stored_bytes)
  SELECT o.id, 'house', coalesce(sum(t.reserved_bytes), 0), coalesce(sum(t.kept_bytes), 0)
  FROM organisations o LEFT JOIN transfers t ON t.scope_id = o.id GROUP BY o.id;
"""

# What is for sale is no secret. An organisation sees its own quota and writes none of it: triggers and admins do.
POLICIES = """
CREATE POLICY api_plans ON plans FOR SELECT TO seedlift_api USING (true);

CREATE POLICY api_quotas ON quotas FOR SELECT TO seedlift_api USING (org_id = app_org());

CREATE POLICY api_traffic ON traffic TO seedlift_api USING (org_id = app_org());

CREATE POLICY api_quota_warnings ON quota_warnings FOR SELECT TO seedlift_api USING (org_id = app_org());
"""


def run(block: str) -> None:
    """asyncpg prepares what it runs, so one statement at a time; between two is an empty line."""
    for statement in block.strip().split("\n\n"):
        op.execute(statement)


def upgrade() -> None:
    for block in (PLANS, QUOTAS, HOLDS, TRIGGERS, PRESENT):
        run(block)
    for table in ("plans", "quotas", "traffic", "quota_warnings"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO seedlift_api, seedlift_work")
        op.execute(f"CREATE POLICY work_{table} ON {table} TO seedlift_work USING (true) WITH CHECK (true)")
    run(POLICIES)


def downgrade() -> None:
    raise RuntimeError("agreements and meters would be lost: restore a backup instead")
