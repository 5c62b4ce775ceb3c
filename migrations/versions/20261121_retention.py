"""Retention: when a job expires, with which days that was reckoned, and sweeps that compare rows with the store."""

from alembic import op

revision = "20261121_retention"
down_revision = "20261121_plans"

JOBS = """
ALTER TABLE jobs ADD COLUMN expires_at timestamptz, ADD COLUMN expiry_warned_at timestamptz;

CREATE INDEX jobs_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL AND state IN ('completed', 'failed');

CREATE INDEX jobs_expired ON jobs (updated_at) WHERE state = 'expired' AND removed_at IS NULL;

ALTER TABLE quotas ADD COLUMN kept_days integer;

CREATE OR REPLACE FUNCTION quota_of_a_new_organisation() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$ BEGIN
    INSERT INTO public.quotas (org_id, plan, kept_days)
      SELECT NEW.id, name, kept_days FROM public.plans WHERE is_default;
    RETURN NULL;
  END $$;
"""

SWEEPS = """
CREATE INDEX objects_key ON objects (key COLLATE "C");

CREATE TABLE sweeps (
  id uuid PRIMARY KEY,
  dry_run boolean NOT NULL,
  asked_by text NOT NULL,
  asked_at timestamptz NOT NULL,
  after_key text NOT NULL DEFAULT '',
  looked_at bigint NOT NULL DEFAULT 0,
  orphans bigint NOT NULL DEFAULT 0,
  orphan_bytes bigint NOT NULL DEFAULT 0,
  lost bigint NOT NULL DEFAULT 0,
  uploads bigint NOT NULL DEFAULT 0,
  strange bigint NOT NULL DEFAULT 0,
  examples jsonb NOT NULL DEFAULT '[]',
  ended_at timestamptz
);

CREATE INDEX sweeps_open ON sweeps (asked_at) WHERE ended_at IS NULL;
"""


def run(block: str) -> None:
    """asyncpg prepares what it runs, so one statement at a time; between two is an empty line."""
    for statement in block.strip().split("\n\n"):
        op.execute(statement)


def upgrade() -> None:
    run(JOBS)
    run(SWEEPS)
    op.execute("ALTER TABLE sweeps ENABLE ROW LEVEL SECURITY")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON sweeps TO seedlift_work, seedlift_api")
    op.execute("CREATE POLICY work_sweeps ON sweeps TO seedlift_work USING (true) WITH CHECK (true)")


def downgrade() -> None:
    raise RuntimeError("dates of expiry would be lost: restore a backup instead")
