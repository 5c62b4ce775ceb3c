"""What nearly every request asks first, in one round trip each; and an index that another covers."""

from alembic import op

revision = "20261122_straight"
down_revision = "20261121_plan_seeding"

WHO = """
    p.id, p.email, p.platform_role, p.suspended_at IS NOT NULL, p.accepted_terms,
    m.role, o.id, o.name, o.suspended_at IS NOT NULL,
    (SELECT max(version) FROM terms WHERE effective_at <= at)"""
COLUMNS = """
    person uuid, email text, platform_role text, is_suspended boolean, accepted_terms integer,
    role text, org uuid, org_name text, is_org_suspended boolean, terms integer"""
BEARERS = """
    FROM api_keys k JOIN people p ON p.id = k.person_id
      JOIN members m ON m.person_id = k.person_id AND m.org_id = k.org_id
      JOIN organisations o ON o.id = k.org_id
    WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > at)"""

# Each names who asks and asks, in one call; it sees no more than its caller may (as `blocked` does).
FUNCTIONS = (
    f"""
    CREATE FUNCTION known_by_session(secret bytea, at timestamptz)
      RETURNS TABLE (id uuid, used_at timestamptz, {COLUMNS}) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    BEGIN
      PERFORM set_config('app.secret', encode(secret, 'hex'), true);
      RETURN QUERY SELECT s.id, s.seen_at, {WHO}
        FROM sessions s JOIN people p ON p.id = s.person_id
          LEFT JOIN members m ON m.person_id = s.person_id AND m.org_id = s.org_id
          LEFT JOIN organisations o ON o.id = m.org_id
        WHERE s.token_hash = secret AND s.expires_at > at;
    END $$
    """,
    f"""
    CREATE FUNCTION known_by_key(secret bytea, at timestamptz)
      RETURNS TABLE (id uuid, used_at timestamptz, {COLUMNS}, scopes jsonb, networks jsonb)
      LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    BEGIN
      PERFORM set_config('app.secret', encode(secret, 'hex'), true);
      RETURN QUERY SELECT k.id, k.last_used_at, {WHO}, k.scopes, k.networks {BEARERS} AND k.token_hash = secret;
    END $$
    """,
    f"""
    CREATE FUNCTION known_by_claims(key uuid, holder uuid, within uuid, at timestamptz)
      RETURNS TABLE (id uuid, used_at timestamptz, {COLUMNS}) LANGUAGE plpgsql VOLATILE AS $$
    #variable_conflict use_column
    BEGIN
      PERFORM set_config('app.org', within::text, true), set_config('app.person', holder::text, true);
      RETURN QUERY SELECT k.id, k.last_used_at, {WHO} {BEARERS}
        AND k.id = key AND k.person_id = holder AND k.org_id = within;
    END $$
    """,
    # The organisation's lock first; what is read after it is what is there by then. Null: it has no plan.
    """
    CREATE FUNCTION room_for_a_new_magnet(org uuid, by_v1 bytea, by_v2 bytea, active text[])
      RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN
      PERFORM FROM organisations WHERE id = org FOR NO KEY UPDATE;
      IF EXISTS (SELECT FROM torrents WHERE scope_id = org AND alias_of IS NULL AND v1 = by_v1)
        OR EXISTS (SELECT FROM torrents WHERE scope_id = org AND alias_of IS NULL AND v2 = by_v2)
        OR EXISTS (SELECT FROM blocked(array_remove(ARRAY[by_v1, by_v2], NULL)))
      THEN RETURN false; END IF;
      RETURN (SELECT count(*) FROM jobs WHERE org_id = org AND removed_at IS NULL AND state = ANY (active))
        < (SELECT coalesce((q.own ->> 'open_jobs')::bigint, p.open_jobs)
             FROM quotas q JOIN plans p ON p.name = q.plan WHERE q.org_id = org);
    END $$
    """,
)


def upgrade() -> None:
    for statement in FUNCTIONS:
        op.execute(statement)
    op.execute("DROP INDEX audit_actor")


def downgrade() -> None:
    op.execute("CREATE INDEX audit_actor ON audit (actor, id)")
    for name in ("known_by_session", "known_by_key", "known_by_claims", "room_for_a_new_magnet"):
        op.execute(f"DROP FUNCTION {name}")
