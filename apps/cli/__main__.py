"""The `seedlift` command. Every verb lives in a file of its own, which imports what is heavy only when it is called."""

from cyclopts import App

from cli import agent, audit, control, dead_letter, deploy, develop, fleet, storage
from cli.check import check
from cli.lock import lock
from cli.up import up

app = App(
    name="seedlift", help="A multi-tenant remote download service: torrents into S3, as they arrive.", version_flags=[]
)
for verb in (up, develop.test, check, develop.bench, lock, control.api, control.work):
    app.command(verb)

db_app = App(name="db", help="The database.")
db_app.command(control.upgrade)
app.command(db_app)

agent_app = App(name="agent", help="A machine that runs transfers.")
agent_app.command(agent.run)
agent_app.command(agent.enrol)
app.command(agent_app)

fleet_app = App(name="fleet", help="The agents, as their operator sees them: over the API, from anywhere.")
fleet_app.command(deploy.init)
fleet_app.command(fleet.token)
fleet_app.command(fleet.list_agents, name="list")
for fleet_verb in (
    fleet.show, fleet.cordon, fleet.uncordon, fleet.drain, fleet.limit, fleet.rename, fleet.retire, fleet.pools,
    fleet.pool,
):  # fmt: skip
    fleet_app.command(fleet_verb)
app.command(fleet_app)

dead_app = App(name="dead-letter", help="Transfers that were given up: why, and another try.")
dead_app.command(dead_letter.list_letters, name="list")
dead_app.command(dead_letter.replay)
app.command(dead_app)

storage_app = App(name="storage", help="The store, and the rows that say what is in it.")
storage_app.command(storage.sweep)
app.command(storage_app)

audit_app = App(name="audit", help="The audit log.")
audit_app.command(audit.verify)
app.command(audit_app)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
