"""Who this agent is: a key and a certificate of the fleet CA, and an nkey for the bus. All keys are made here.

identity/key.pem, certificate.pem   of the enrolment
identity/renewed.pem                 the newest certificate and its key, in one file: whole or not there
identity/renewed.old.pem             the one before
identity/ca.pem, nats.seed, agent.json
"""

import base64
import binascii
import os
import shutil
import ssl
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from uuid import UUID

import httpx
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct
from msgspec.structs import replace

from bus.jwt import new_seed, public_key
from wire.ids import AgentId
from wire.messages import Enrol, Enrolled, Renew, Renewed, TokenBody

ENROL_S = 30.0
"""The control plane signs one certificate; a minute of silence would only hide a wrong address."""


class NotEnrolled(Exception):
    """There is no usable identity, or none could be had; the message says what to do."""


class _Card(Struct, frozen=True):
    """identity/agent.json: what is not a key."""

    agent: UUID
    pool: str
    fleet_url: str
    nats_url: str


class Pair(Struct, frozen=True):
    """A certificate and its key, which may be one file."""

    certificate: Path
    key: Path


class Identity(Struct, frozen=True):
    agent: AgentId
    pool: str
    fleet_url: str
    nats_url: str
    folder: Path
    nats_seed: str
    pair: Pair

    def tls(self) -> ssl.SSLContext:
        """Trusts the fleet CA alone and shows our certificate."""
        return _showing(self.folder, self.pair)

    def until(self) -> datetime:
        return x509.load_pem_x509_certificate(self.pair.certificate.read_bytes()).not_valid_after_utc


def folder_of(agent_dir: Path) -> Path:
    return agent_dir / "identity"


async def enrol(token: str, name: str, version: str, agent_dir: Path, *, again: bool = False) -> Identity:
    """Trades a one-time token for a certificate. The token brings the CA: even this first call trusts nobody else."""
    body = read_token(token)
    held = folder_of(agent_dir)
    if (held / "agent.json").exists() and not again:
        raise NotEnrolled(
            f"{held} already holds an identity; give the new agent a folder of its own, or say --again if the old one"
            " is no longer good"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    seed = new_seed("user")
    asked = Enrol(secret=body.secret, csr_pem=_csr(key, name), nats_user=public_key(seed), name=name, version=version)
    enrolled = await _ask(body, asked)
    card = _Card(enrolled.agent, enrolled.pool, body.fleet_url, body.nats_url)
    folder = _beside(held, "new")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    _write(folder / "key.pem", _private(key))
    _write(folder / "nats.seed", seed.encode())
    _write(folder / "ca.pem", enrolled.ca_pem.encode())
    _write(folder / "certificate.pem", enrolled.certificate_pem.encode())
    _write(folder / "agent.json", msgspec.json.encode(card))  # last: with it the identity is whole
    if held.exists():
        shutil.rmtree(_beside(held, "old"), ignore_errors=True)
        held.rename(_beside(held, "old"))
    return load(agent_dir)


def ask_for_next(identity: Identity) -> tuple[ec.EllipticCurvePrivateKey, Renew]:
    """With a new key each time: an old one may have been read by somebody."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key, Renew(_csr(key, str(identity.agent)))


def keep_next(identity: Identity, key: ec.EllipticCurvePrivateKey, renewed: Renewed) -> Identity:
    """On disk, tried, and only then in the place of the one before: whenever it is cut short, a whole one is found."""
    folder = identity.folder
    made, newest = folder / "renewing.pem", folder / "renewed.pem"
    _write(made, renewed.certificate_pem.encode() + _private(key))
    _showing(folder, Pair(made, made))
    if newest.exists():
        newest.replace(folder / "renewed.old.pem")
    made.replace(newest)
    _sync(folder)
    return replace(identity, pair=Pair(newest, newest))


def load(agent_dir: Path) -> Identity:
    """Whole and usable, or NotEnrolled."""
    folder = folder_of(agent_dir)
    made = _beside(folder, "new")
    if not folder.exists() and (made / "agent.json").exists():
        made.rename(folder)  # what enrolment does last, and what a crash may have left to us
        _sync(agent_dir)
    if not (folder / "agent.json").exists():
        raise NotEnrolled(f"{agent_dir} holds no identity: run `seedlift agent enrol --token …` first")
    try:
        card = msgspec.json.decode((folder / "agent.json").read_bytes(), type=_Card)
        seed = (folder / "nats.seed").read_text().strip()
        public_key(seed)
        pair = _newest_whole(folder)
        return Identity(AgentId(card.agent), card.pool, card.fleet_url, card.nats_url, folder, seed, pair)
    except (OSError, ValueError) as bad:  # ssl's and msgspec's errors are among them
        raise NotEnrolled(
            f"the identity in {folder} is damaged ({bad!r}): move it away, and enrol again with a new token"
        ) from None


def _newest_whole(folder: Path) -> Pair:
    """A torn one, or one without its key, is passed over: the one before may still be good."""
    for name in ("renewed.pem", "renewed.old.pem"):
        pair = Pair(folder / name, folder / name)
        with suppress(OSError):  # ssl's error is one
            _showing(folder, pair)
            return pair
    pair = Pair(folder / "certificate.pem", folder / "key.pem")
    _showing(folder, pair)
    return pair


def read_token(token: str) -> TokenBody:
    try:
        raw = base64.urlsafe_b64decode(token.strip() + "=" * (-len(token.strip()) % 4))
        return msgspec.json.decode(raw, type=TokenBody)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise NotEnrolled("this is no enrolment token; make one with `seedlift fleet token`") from None


async def _ask(body: TokenBody, asked: Enrol) -> Enrolled:
    async with httpx.AsyncClient(verify=_trusting(body.ca_pem), timeout=ENROL_S, trust_env=False) as client:
        try:
            answer = await client.post(
                f"{body.fleet_url}/fleet/enrol", content=msgspec.json.encode(asked), headers=_JSON
            )
        except httpx.HTTPError as failure:
            raise NotEnrolled(f"{body.fleet_url} cannot be reached: {failure}") from None
    if not answer.is_success:
        raise NotEnrolled(f"enrolment was refused ({answer.status_code}): {answer.text[:500]}")
    return msgspec.json.decode(answer.content, type=Enrolled)


_JSON = {"Content-Type": "application/json"}


def _trusting(ca_pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_pem)
    return context


def _showing(folder: Path, pair: Pair) -> ssl.SSLContext:
    context = _trusting((folder / "ca.pem").read_text())
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _beside(folder: Path, what: str) -> Path:
    return folder.with_name(f"{folder.name}.{what}")


def _csr(key: ec.EllipticCurvePrivateKey, name: str) -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64] or "agent")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _write(path: Path, data: bytes) -> None:
    """0600 from the first byte, and whole or not at all."""
    beside = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _sync(folder: Path) -> None:
    """Makes renames in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
