"""The exact environment of every child: a few names of ours, and its own `SEEDLIFT_*` fields; nothing else leaks in."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from stack.config import Settings
from stack.errors import CannotStart
from stack.hosts import dialled, in_url, is_opened, shown
from stack.paths import ROOT
from stack.ports import Ports
from stack.postgres import API, OWNER, WORK, Postgres
from stack.secrets import Secrets

KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH")
POOL = "default"
PROGRAMS = ("control", "agent")


def clean(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {"LANG": "C.UTF-8"} | {name: environ[name] for name in KEPT if name in environ}


class Urls(Struct, frozen=True):
    """As this machine's programs dial them, and, with `public`, as others see them."""

    api: str
    public: str
    fleet: str
    nats: str
    store: str
    store_public: str


def gateway_port(settings: Settings, ports: Ports) -> int:
    """Where the S3 gateway itself listens, on loopback: behind `stack.forward` if `--host` opens it."""
    return ports["s3_inside" if is_opened(settings.host) else "s3"]


def urls(settings: Settings, ports: Ports) -> Urls:
    here, there = in_url(dialled(settings.host)), in_url(shown(settings.host))
    return Urls(
        api=f"http://{here}:{ports['api']}",
        public=f"http://{there}:{ports['api']}",
        fleet=f"https://127.0.0.1:{ports['fleet']}",
        nats=f"tls://127.0.0.1:{ports['nats']}",
        store=f"http://127.0.0.1:{gateway_port(settings, ports)}",
        store_public=f"http://{there}:{ports['s3']}",
    )


def control(
    settings: Settings, ports: Ports, secrets: Secrets, pg: Postgres, *, allow: str, work: bool = False
) -> dict[str, str]:
    """Fields of control.config.Settings, by name. The owner's URL goes with the migration only, see `migrating`."""
    where = urls(settings, ports)
    fields: dict[str, object] = {
        "database_url": pg.url(API),
        "work_database_url": pg.url(WORK),
        "nats_url": where.nats,
        "nats_keys_file": secrets.nats_file,
        "ca_cert_file": secrets.ca.cert,
        "ca_key_file": secrets.ca.key,
        "control_cert_file": secrets.control.cert,
        "control_key_file": secrets.control.key,
        "store_url": where.store,
        "store_public_url": where.store_public,
        "store_access_key": secrets.kept.store_access_key,
        "store_secret_key": secrets.kept.store_secret_key,
        "host": settings.host,
        "port": ports["api"],
        "public_url": where.public,
        "fleet_port": ports["fleet"],
        "fleet_url": where.fleet,
        "fleet_cert_file": secrets.fleet.cert,
        "fleet_key_file": secrets.fleet.key,
        "secret_file": secrets.app_file,
        "pool": POOL,
        "pool_allow": allow,
        "web_dir": ROOT / "apps" / "web",
        **_shared(settings),
    }
    if work:
        fields["metrics_port"] = ports["work_metrics"]
    return clean() | _named(fields | overrides(settings.sets, "control"))


def migrating(env: Mapping[str, str], pg: Postgres) -> dict[str, str]:
    """`db-upgrade` alone runs as the owner of the tables."""
    return {**env, "SEEDLIFT_OWNER_DATABASE_URL": pg.url(OWNER)}


def agent(settings: Settings, folder: Path, metrics_port: int) -> dict[str, str]:
    """Fields of agent.config.Settings. Nobody from outside has business with an agent's peer port, so it is silent;
    bound to loopback the agent would not announce to trackers out there."""
    fields: dict[str, object] = {
        "agent_dir": folder,
        "agent_incoming": False,
        "metrics_port": metrics_port,
        **_shared(settings),
    }
    return clean() | _named(fields | overrides(settings.sets, "agent"))


def overrides(sets: str, program: str) -> dict[str, object]:
    """Those for one program; whether it knows the setting it says itself."""
    found: dict[str, object] = {}
    for line in sets.splitlines():
        whole, equals, value = line.partition("=")
        whose, dot, name = whole.partition(".")
        if not (equals and dot and name) or whose not in PROGRAMS:
            raise CannotStart(f"--set {line}: write control.NAME=VALUE or agent.NAME=VALUE.")
        if whose == program:
            found[name] = value
    return found


def _shared(settings: Settings) -> dict[str, object]:
    return {
        "time_scale": settings.time_scale,
        "log_format": settings.log_format,
        "log_level": settings.log_level,
    }


def _named(fields: Mapping[str, object]) -> dict[str, str]:
    return {f"SEEDLIFT_{name.upper()}": str(value) for name, value in fields.items()}
