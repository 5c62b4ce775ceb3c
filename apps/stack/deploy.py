"""`python -m stack.deploy`: the keys, certificates and configurations of a deployment on several machines.

OUT/secrets/        everything that was made, once; whoever has it owns everything
OUT/control/        for each machine that runs api or work
OUT/nats/           for the NATS server
OUT/postgres.sql, owner.env, bootstrap.json, operator.env   for whoever sets it up

Said again with the same OUT it renews certificates that grow old, and leaves what somebody may have edited.
"""

import argparse
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from stack import nats, postgres, secrets
from stack.certificates import Names, pair
from stack.errors import CannotStart
from stack.hosts import in_url
from stack.paths import ROOT, template, write_private
from stack.secrets import Secrets
from wire.clock import utcnow

FLEET_PORT = 8001
NATS_PORT = 4222
KEYS = ("ca.pem", "ca.key", "control.pem", "control.key", "fleet.pem", "fleet.key", "nats.json", "app.key")
UNSAFE = frozenset("\"'`$\\{};#")
"""What would mean something in one of the files that are written."""


class Deployment(Struct, frozen=True, kw_only=True):
    """`deployment.json`: what it was made for."""

    api: str
    fleet: str
    nats: str
    store: str
    store_public: str
    database: str
    admin_email: str
    etc: str
    nats_dir: str
    nats_monitor_port: int


def main() -> int:
    try:
        out, asked = _arguments()
        deploy(out, asked)
    except CannotStart as refused:
        print(f"seedlift: {refused}", file=sys.stderr)
        return 1
    return 0


def deploy(out: Path, asked: dict[str, str]) -> None:
    made_for = _remembered(out, asked)
    fleet, bus = (Names(hosts=(_host(each),)) for each in (made_for.fleet, made_for.nats))
    known = secrets.opened_for(out / "secrets", fleet, bus, utcnow())
    _control(out / "control", made_for, known)
    _nats(out / "nats", made_for, known)
    owner = f"postgresql+asyncpg://{postgres.OWNER}:{known.kept.postgres.owner}@{made_for.database}/{postgres.DATABASE}"
    bootstrap = {
        "admin_email": made_for.admin_email,
        "admin_password": known.admin_password(),
        "operator_key": known.kept.operator_key,
    }
    operator = f"SEEDLIFT_URL={made_for.api}\nSEEDLIFT_API_KEY={known.kept.operator_key}\n"
    _once(out / "postgres.sql", postgres.roles_sql(known.kept.postgres) + "\n")
    _once(out / "owner.env", f"SEEDLIFT_OWNER_DATABASE_URL={owner}\n")
    _once(out / "bootstrap.json", msgspec.json.encode(bootstrap).decode())
    _once(out / "operator.env", operator)
    print(f"{out} is whole. Copy control/ to {made_for.etc} of each api and work, nats/ to {made_for.etc} of NATS;")
    print("DEPLOYMENT.md, Several machines, goes on from here.")


def _control(folder: Path, made_for: Deployment, known: Secrets) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    for name in KEYS:
        write_private(folder / name, (known.dir / name).read_bytes())
    kept = known.kept
    text = template(
        "control.env",
        api=made_for.api,
        fleet=made_for.fleet,
        fleet_port=urlsplit(f"//{made_for.fleet}").port,
        nats=made_for.nats,
        store=made_for.store,
        store_public=made_for.store_public,
        # The store is somebody else's: its key is given, or given to it.
        store_access_key=os.environ.get("SEEDLIFT_STORE_ACCESS_KEY", kept.store_access_key),
        store_secret_key=os.environ.get("SEEDLIFT_STORE_SECRET_KEY", kept.store_secret_key),
        database=made_for.database,
        api_password=kept.postgres.api,
        work_password=kept.postgres.work,
        etc=made_for.etc,
        web_dir=ROOT / "apps" / "web",
    )
    _once(folder / "control.env", text)


def _nats(folder: Path, made_for: Deployment, known: Secrets) -> None:
    folder.mkdir(exist_ok=True, mode=0o700)
    for name in ("ca.pem", "nats.pem", "nats.key"):
        write_private(folder / name, (known.dir / name).read_bytes())
    etc = Path(made_for.etc)
    text = nats.configuration(
        nats.Listening("0.0.0.0", urlsplit(f"//{made_for.nats}").port or NATS_PORT, made_for.nats_monitor_port),
        Path(made_for.nats_dir),
        known.nats,
        ca=etc / "ca.pem",
        server=pair(etc, "nats"),
    )
    _once(folder / "nats.conf", text)


def _once(path: Path, text: str) -> None:
    if not path.exists():
        write_private(path, text)


def _remembered(out: Path, asked: dict[str, str]) -> Deployment:
    """What the folder was made for stays: certificates, tokens and agents know those names."""
    file = out / "deployment.json"
    if file.exists():
        kept = msgspec.json.decode(file.read_bytes(), type=Deployment)
        before = {name: str(value) for name, value in msgspec.structs.asdict(kept).items()}
        if other := [name for name, value in before.items() if str(getattr(_checked(before | asked), name)) != value]:
            raise CannotStart(f"{out} was made for another --{', --'.join(other)}: take another folder.")
        return kept
    if out.exists() and any(out.iterdir()):
        raise CannotStart(f"{out} is not empty, and not of this command: take another folder.")
    if missing := [name for name in ("api", "fleet", "nats", "store", "database") if name not in asked]:
        raise CannotStart(f"say where things are: {', '.join(f'--{name}' for name in missing)} missing.")
    made_for = _checked(asked)
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(file, msgspec.json.encode(made_for))
    return made_for


def _checked(asked: dict[str, str]) -> Deployment:
    for name, value in asked.items():
        if not value.isprintable() or " " in value or UNSAFE & set(value):
            raise CannotStart(f"--{name.replace('_', '-')}={value} cannot be written into a configuration.")
    try:
        return Deployment(
            api=_url(asked["api"]),
            fleet=_endpoint(asked["fleet"], FLEET_PORT),
            nats=_endpoint(asked["nats"], NATS_PORT),
            store=_url(asked["store"]),
            store_public=_url(asked.get("store_public", asked["store"])),
            database=_endpoint(asked["database"], 5432),
            admin_email=asked.get("admin_email", "admin@seedlift.local"),
            etc=asked.get("etc", "/etc/seedlift"),
            nats_dir=asked.get("nats_dir", "/var/lib/nats"),
            nats_monitor_port=int(asked.get("nats_monitor_port", 8222)),
        )
    except ValueError as bad:
        raise CannotStart(f"{bad}.") from None


def _url(text: str) -> str:
    split = urlsplit(text)
    if split.scheme not in ("http", "https") or not split.hostname or split.path.rstrip("/"):
        raise ValueError(f"{text} is no address like https://seedlift.example.org")
    return text.rstrip("/")


def _endpoint(text: str, port: int) -> str:
    split = urlsplit(f"//{text}")
    if not split.hostname or split.path or split.username:
        raise ValueError(f"{text} is no HOST or HOST:PORT")
    return f"{in_url(split.hostname)}:{split.port or port}"


def _host(endpoint: str) -> str:
    host = urlsplit(f"//{endpoint}").hostname
    assert host is not None
    return host


def _arguments() -> tuple[Path, dict[str, str]]:
    """`seedlift fleet init --help` teaches; here is only what it passes on."""
    parser = argparse.ArgumentParser(prog="python -m stack.deploy")
    parser.add_argument("out", type=Path)
    for name in Deployment.__struct_fields__:
        parser.add_argument(f"--{name.replace('_', '-')}")
    given = vars(parser.parse_args())
    return given.pop("out").absolute(), {name: value for name, value in given.items() if value is not None}


if __name__ == "__main__":
    sys.exit(main())
