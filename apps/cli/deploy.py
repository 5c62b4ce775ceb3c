"""`seedlift fleet init`: what a deployment on several machines is made of."""

from pathlib import Path

from cli.programs import become


def init(
    *,
    out: Path,
    api: str | None = None,
    fleet: str | None = None,
    nats: str | None = None,
    store: str | None = None,
    database: str | None = None,
    store_public: str | None = None,
    admin_email: str | None = None,
    etc: str | None = None,
    nats_dir: str | None = None,
    nats_monitor_port: str | None = None,
) -> None:
    """Make the keys, certificates and configurations of a deployment on several machines.

    The CA, the certificates of the fleet listener, of NATS and of the control plane, the bus' keys, passwords, an
    operator's key, and configurations that use them; DEPLOYMENT, *Several machines*, says what goes where.

    Keep the folder: the same command with `--out` alone renews certificates that have less than a third of their year
    left (copy `control/` and `nats/` again, restart), and overwrites no configuration.

    Parameters
    ----------
    out
        A new folder, or one that this command made. Whoever has it owns the deployment.
    api
        The public address, as browsers see it: https://seedlift.example.org
    fleet
        The fleet listener, as agents see it: HOST or HOST:PORT (8001).
    nats
        NATS, as agents and control plane see it: HOST or HOST:PORT (4222).
    store
        The S3 store, as agents and control plane see it: https://s3.example.org. Its key is taken from
        SEEDLIFT_STORE_ACCESS_KEY and SEEDLIFT_STORE_SECRET_KEY; else one is made, which the store must be told.
    database
        PostgreSQL: HOST or HOST:PORT (5432).
    store_public
        The store, as browsers see it. Default: --store.
    admin_email
        Who signs in first. Default: admin@seedlift.local.
    etc
        Where the files will lie on their machines. Default: /etc/seedlift.
    nats_dir
        Where NATS will keep its streams. Default: /var/lib/nats.
    nats_monitor_port
        Where NATS tells its health, on loopback. Default: 8222.
    """
    options = {
        "api": api,
        "fleet": fleet,
        "nats": nats,
        "store": store,
        "database": database,
        "store-public": store_public,
        "admin-email": admin_email,
        "etc": etc,
        "nats-dir": nats_dir,
        "nats-monitor-port": nats_monitor_port,
    }
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    become("stack.deploy", str(out.absolute()), *given)
