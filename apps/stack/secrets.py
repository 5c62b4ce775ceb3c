"""Secrets of one stack: made once, all or none, readable by us alone."""

import base64
import secrets
import shutil
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from bus.accounts import NatsKeys, new_keys, read_keys
from stack import certificates
from stack.certificates import Names, Pair, pair
from stack.errors import CannotStart
from stack.paths import sync_folder, write_private
from stack.postgres import Passwords

APP_SECRET_BYTES = 32


class Kept(Struct, frozen=True):
    """What is in `kept.json`."""

    postgres: Passwords
    store_access_key: str
    store_secret_key: str
    operator_key: str


class Secrets(Struct, frozen=True, kw_only=True):
    dir: Path
    kept: Kept
    nats: NatsKeys

    @property
    def app_file(self) -> Path:
        return self.dir / "app.key"

    @property
    def nats_file(self) -> Path:
        return self.dir / "nats.json"

    @property
    def ca(self) -> Pair:
        return pair(self.dir, "ca")

    @property
    def fleet(self) -> Pair:
        return pair(self.dir, "fleet")

    @property
    def nats_server(self) -> Pair:
        return pair(self.dir, "nats")

    @property
    def control(self) -> Pair:
        return pair(self.dir, "control")

    @property
    def admin_file(self) -> Path:
        """The admin's first password; gone once it has been shown, which survives a power cut at first start."""
        return self.dir / "admin.password"

    def admin_password(self) -> str | None:
        return self.admin_file.read_text() if self.admin_file.exists() else None


def opened(folder: Path, host: str, now: datetime) -> Secrets:
    """For everything on one machine."""
    names = certificates.server_names(host)
    return opened_for(folder, names, names, now)


def opened_for(folder: Path, fleet: Names, nats: Names, now: datetime) -> Secrets:
    """Makes them if there are none, then reads them; certificates that grow old are renewed."""
    if not folder.exists():
        _make(folder, now)
    try:
        kept = msgspec.json.decode((folder / "kept.json").read_bytes(), type=Kept)
        found = Secrets(dir=folder, kept=kept, nats=read_keys(folder / "nats.json"))
        for pem, names in (
            (found.fleet, fleet),
            (found.nats_server, nats),
            (found.control, certificates.control_names()),
        ):
            certificates.keep_fresh(pem, found.ca, names, now)
    except (FileNotFoundError, msgspec.MsgspecError, ValueError) as broken:
        raise CannotStart(f"the secrets in {folder} are damaged ({broken}): bring them back from a backup.") from None
    return found


def _make(folder: Path, now: datetime) -> None:
    """Beside its place, then renamed: a folder that is there is whole."""
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    kept = Kept(
        postgres=Passwords(*(secrets.token_urlsafe(24) for _ in Passwords.__struct_fields__)),
        store_access_key=secrets.token_hex(10).upper(),
        store_secret_key=secrets.token_urlsafe(30),
        operator_key=new_operator_key(),
    )
    write_private(new / "kept.json", msgspec.json.encode(kept))
    write_private(new / "nats.json", msgspec.json.encode(new_keys()))
    write_private(new / "app.key", secrets.token_bytes(APP_SECRET_BYTES))
    write_private(new / "admin.password", secrets.token_urlsafe(15))
    certificates.make_ca(pair(new, "ca"), now)
    new.rename(folder)
    sync_folder(folder.parent)


def new_operator_key() -> str:
    """The API key of `up` itself: a name that may be shown, and 256 bits that may not."""
    return f"slk_{secrets.token_hex(4)}_{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip('=')}"
