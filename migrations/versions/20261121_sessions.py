"""How many sessions somebody has at once, by plan."""

from alembic import op

revision = "20261121_sessions"
down_revision = "20261121_console"

# Plans that admins made keep what was constant before; so does `house`.
PLANS = """
ALTER TABLE plans ADD COLUMN sessions integer NOT NULL DEFAULT 20 CHECK (sessions > 0);

ALTER TABLE plans ALTER COLUMN sessions DROP DEFAULT;

UPDATE plans SET sessions = by_name.most
  FROM (VALUES ('free', 5), ('pro', 10), ('business', 25), ('enterprise', 100)) AS by_name (name, most)
  WHERE plans.name = by_name.name;
"""

# Of the quotas of all organisations that the asker is in it gives one number away: they themselves stay unseen.
MOST = """
CREATE FUNCTION app_sessions_max() RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
  AS $$ SELECT coalesce(
    (SELECT max(coalesce((q.own ->> 'sessions')::integer, p.sessions))
      FROM public.members m JOIN public.quotas q USING (org_id) JOIN public.plans p ON p.name = q.plan
      WHERE m.person_id = public.app_person()),
    (SELECT sessions FROM public.plans WHERE is_default)) $$;
"""


def run(block: str) -> None:
    """asyncpg prepares what it runs, so one statement at a time; between two is an empty line."""
    for statement in block.strip().split("\n\n"):
        op.execute(statement)


def upgrade() -> None:
    run(PLANS)
    run(MOST)


def downgrade() -> None:
    raise RuntimeError("agreements would be lost: restore a backup instead")
