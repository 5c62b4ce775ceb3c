"""Organisations with roles: current organisation of a session, invitations, scopes of keys, and who sees whose rows."""

from alembic import op

revision = "20261121_organisations"
down_revision = "20261121_failures"

TABLES = """
ALTER TABLE organisations ADD COLUMN deleted_at timestamptz;
CREATE INDEX organisations_deleted ON organisations (deleted_at) WHERE deleted_at IS NOT NULL;

ALTER TABLE people DROP CONSTRAINT people_platform_role_check;
ALTER TABLE people ADD CHECK (platform_role IN ('user', 'support', 'operator', 'admin', 'superadmin'));

ALTER TABLE members ALTER COLUMN role DROP DEFAULT;
ALTER TABLE members ADD CHECK (role IN ('viewer', 'member', 'admin', 'owner'));

ALTER TABLE sessions ADD COLUMN org_id uuid REFERENCES organisations ON DELETE SET NULL;
CREATE INDEX ON sessions (org_id);
UPDATE sessions SET org_id =
  (SELECT org_id FROM members WHERE person_id = sessions.person_id ORDER BY joined_at LIMIT 1);

ALTER TABLE api_keys ADD COLUMN scopes jsonb NOT NULL DEFAULT '["full"]';
ALTER TABLE api_keys ALTER COLUMN scopes DROP DEFAULT;
ALTER TABLE api_keys ADD COLUMN expires_at timestamptz;

CREATE TABLE invitations (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  email text NOT NULL CHECK (email = lower(email)),
  role text NOT NULL CHECK (role IN ('viewer', 'member', 'admin', 'owner')),
  token_hash bytea NOT NULL UNIQUE,
  invited_by uuid NOT NULL REFERENCES people ON DELETE CASCADE,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz
);
CREATE UNIQUE INDEX invitations_open ON invitations (org_id, email) WHERE ended_at IS NULL;
CREATE INDEX ON invitations (expires_at);
"""

# Whoever owns a view reads for it: row-level security does not, so the view itself says whose rows it shows.
FELLOWS = """
CREATE VIEW fellows WITH (security_barrier) AS
  SELECT m.org_id, m.person_id, p.email FROM members m JOIN people p ON p.id = m.person_id WHERE m.org_id = app_org();
REVOKE ALL ON fellows FROM PUBLIC;
GRANT SELECT ON fellows TO seedlift_api;
"""

# A secret shows the row that it opens, and whose that is. Only what `app.org` and `app.person` name can be written.
POLICIES = """
CREATE FUNCTION app_bearer() RETURNS uuid LANGUAGE sql STABLE AS
  $$ SELECT person_id FROM sessions WHERE token_hash = app_secret()
     UNION ALL SELECT person_id FROM api_keys WHERE token_hash = app_secret() $$;

DROP POLICY api_organisations ON organisations;
CREATE POLICY api_organisations ON organisations TO seedlift_api USING (id = app_org());
CREATE POLICY api_organisations_mine ON organisations FOR SELECT TO seedlift_api
  USING (id IN (SELECT org_id FROM members WHERE person_id IN (app_person(), (SELECT app_bearer()))));

DROP POLICY api_people ON people;
CREATE POLICY api_people ON people TO seedlift_api USING (id = app_person());
CREATE POLICY api_people_asked ON people FOR SELECT TO seedlift_api
  USING (email = app_email() OR id = (SELECT app_bearer()));

DROP POLICY api_members ON members;
CREATE POLICY api_members ON members TO seedlift_api USING (org_id = app_org());
CREATE POLICY api_members_mine ON members FOR SELECT TO seedlift_api
  USING (person_id IN (app_person(), (SELECT app_bearer())));

CREATE POLICY api_invitations ON invitations TO seedlift_api USING (org_id = app_org());
CREATE POLICY api_invitations_asked ON invitations FOR SELECT TO seedlift_api USING (token_hash = app_secret());
"""


def run(block: str) -> None:
    for statement in block.split(";\n"):
        if statement.strip():
            op.execute(statement)


def upgrade() -> None:
    run(TABLES)
    op.execute("ALTER TABLE invitations ENABLE ROW LEVEL SECURITY")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON invitations TO seedlift_api, seedlift_work")
    op.execute("CREATE POLICY work_invitations ON invitations TO seedlift_work USING (true) WITH CHECK (true)")
    run(FELLOWS)
    run(POLICIES)


def downgrade() -> None:
    raise RuntimeError("roles and memberships would be lost: bring back a backup instead")
