"""OpenID Connect, the relying party's side: who the providers are, where they listen, and whether their word is good.

begin ──► the provider (state, nonce and PKCE verifier stay in the browser, encrypted) ──► code ──► ID token ──► claims
"""

import base64
import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt
import msgspec
from msgspec import Struct

from control.config import Settings
from control.errors import NotFound
from control.outward import trusted
from control.vault import CannotOpen, Vault
from wire.units import HOUR_S, MIB, MINUTE_S

BEGUN_S = 10 * MINUTE_S
"""How long signing in elsewhere may take; also how old an ID token may be."""
SKEW_S = MINUTE_S
"""Clocks differ."""
KNOWN_S = HOUR_S
"""Addresses and keys of a provider are asked for again after this."""
KEYS_AGAIN_S = MINUTE_S
"""For a key that we do not know we look again, but not more often."""
ANSWER_S = 5
ANSWER_BYTES_MAX = MIB
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""Signatures alone: with HS256 anybody who knows a public key could be the provider."""
PRESETS = {"google": ("Google", "https://accounts.google.com")}
PURPOSE = "oidc"

T = TypeVar("T")


class OidcFailed(Exception):
    """The provider's answer is not to be believed, or did not come; the message is for the log."""


class Provider(Struct, frozen=True, forbid_unknown_fields=True):
    """As the operator's file has it: a preset, or name, title and issuer."""

    client_id: str
    client_secret: str
    preset: str | None = None
    name: str = ""
    title: str = ""
    issuer: str = ""


class Metadata(Struct, frozen=True):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class Jwks(Struct, frozen=True):
    keys: list[dict[str, Any]]


class Begun(Struct, frozen=True):
    """What the browser keeps, so that nobody else's answer is taken for its own."""

    provider: str
    state: str
    nonce: str
    verifier: str
    until: dt.datetime


class Claims(Struct, frozen=True):
    provider: str
    issuer: str
    subject: str
    email: str | None
    email_verified: bool

    @property
    def subject_hash(self) -> bytes:
        return hashlib.sha256(f"{self.issuer}\0{self.subject}".encode()).digest()


def read_providers(file: Path | None) -> list[Provider]:
    if file is None:
        return []
    found = [_whole(each) for each in msgspec.json.decode(file.read_bytes(), type=list[Provider])]
    if len({each.name for each in found}) != len(found):
        raise ValueError("two providers have the same name")
    return found


def _whole(provider: Provider) -> Provider:
    if provider.preset is not None:
        if provider.preset not in PRESETS:
            raise ValueError(f"there is no preset {provider.preset!r}; there are: {', '.join(PRESETS)}")
        title, issuer = PRESETS[provider.preset]
        return msgspec.structs.replace(provider, name=provider.preset, title=title, issuer=issuer)
    where = urlsplit(provider.issuer)
    if not provider.name.isalnum() or not (where.scheme == "https" or where.hostname in ("127.0.0.1", "localhost")):
        raise ValueError(f"provider {provider.name!r}: a name of letters and digits, and an issuer with https")
    return msgspec.structs.replace(provider, title=provider.title or provider.name)


class _Known(Struct):
    metadata: Metadata
    metadata_at: dt.datetime
    keys: Sequence[dict[str, Any]]
    keys_at: dt.datetime


class Providers:
    """Those of one process, and what it knows of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, _Known] = {}
        self.all = read_providers(settings.oidc_file)

    def named(self, name: str) -> Provider:
        found = next((each for each in self.all if each.name == name), None)
        if found is None:
            raise NotFound("There is no such provider.")
        return found

    async def begin(self, name: str, now: dt.datetime) -> tuple[str, Begun]:
        """Where the browser goes, and what it keeps."""
        provider = self.named(name)
        metadata = (await self._about(provider, now)).metadata
        until = now + dt.timedelta(seconds=BEGUN_S)
        begun = Begun(name, secrets.token_urlsafe(32), secrets.token_urlsafe(32), secrets.token_urlsafe(48), until)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self._redirect_uri(name),
            "scope": "openid email",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(metadata.authorization_endpoint).query else "?"
        return f"{metadata.authorization_endpoint}{separator}{urlencode(query)}", begun

    async def finish(self, begun: Begun, code: str, issuer: str | None, now: dt.datetime) -> Claims:
        """Raises OidcFailed for whatever is not exactly what we asked for."""
        provider = self.named(begun.provider)
        if issuer is not None and issuer != provider.issuer:
            raise OidcFailed(f"the answer is of {issuer}, not of {provider.issuer}")
        metadata = (await self._about(provider, now)).metadata
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri(provider.name),
            "code_verifier": begun.verifier,
        }
        headers = {"Accept": "application/json"}
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            pair = f"{quote(provider.client_id, safe='')}:{quote(provider.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form |= {"client_id": provider.client_id, "client_secret": provider.client_secret}
        answer = await _fetch("POST", metadata.token_endpoint, _Tokens, data=form, headers=headers)
        return await self._verified(provider, answer.id_token, begun.nonce, now)

    async def _verified(self, provider: Provider, id_token: str, nonce: str, now: dt.datetime) -> Claims:
        try:
            header = jwt.get_unverified_header(id_token)
            algorithm = header.get("alg")
            if algorithm not in ALGORITHMS:
                raise OidcFailed(f"signed with {algorithm}")
            key = await self._key(provider, header.get("kid"), now)
            body = jwt.decode(
                id_token,
                jwt.PyJWK(key, algorithm).key,
                algorithms=[algorithm],
                audience=provider.client_id,
                issuer=provider.issuer,
                options={"require": ["iss", "sub", "aud", "exp", "iat"], "verify_exp": False, "verify_iat": False},
            )
        except (jwt.PyJWTError, TypeError, ValueError) as wrong:
            raise OidcFailed(f"the ID token: {wrong!r}") from None
        at = now.timestamp()
        fresh = body["exp"] + SKEW_S > at and at - BEGUN_S - SKEW_S < body["iat"] < at + SKEW_S
        if not fresh or not hmac.compare_digest(str(body.get("nonce", "")).encode(), nonce.encode()):
            raise OidcFailed("the ID token is old, or for another request")
        if isinstance(body["aud"], list) and len(body["aud"]) > 1 and body.get("azp") != provider.client_id:
            raise OidcFailed("the ID token is for somebody else")
        email = body.get("email")
        is_verified = body.get("email_verified") in (True, "true")
        email = email if isinstance(email, str) else None
        return Claims(provider.name, provider.issuer, str(body["sub"]), email, is_verified)

    async def _key(self, provider: Provider, kid: str | None, now: dt.datetime) -> dict[str, Any]:
        known = await self._about(provider, now)
        found = _pick(known.keys, kid)
        if found is None and known.keys_at < now - dt.timedelta(seconds=KEYS_AGAIN_S):
            known.keys = (await _fetch("GET", known.metadata.jwks_uri, Jwks)).keys
            known.keys_at = now
            found = _pick(known.keys, kid)
        if found is None:
            raise OidcFailed(f"no key {kid!r}")
        return found

    async def _about(self, provider: Provider, now: dt.datetime) -> _Known:
        known = self._known.get(provider.name)
        if known is None or known.metadata_at < now - dt.timedelta(seconds=KNOWN_S):
            where = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = await _fetch("GET", where, Metadata)
            if metadata.issuer != provider.issuer:
                raise OidcFailed(f"{where} is of {metadata.issuer}")
            keys = (await _fetch("GET", metadata.jwks_uri, Jwks)).keys
            known = self._known[provider.name] = _Known(metadata, now, keys, now)
        return known

    def _redirect_uri(self, name: str) -> str:
        return f"{self._settings.public_url.rstrip('/')}/api/v1/auth/providers/{name}/callback"


class _Tokens(Struct):
    id_token: str


def _pick(keys: Sequence[dict[str, Any]], kid: str | None) -> dict[str, Any] | None:
    signing = [key for key in keys if key.get("use", "sig") == "sig"]
    if kid is None:
        return signing[0] if len(signing) == 1 else None
    return next((key for key in signing if key.get("kid") == kid), None)


async def _fetch(method: str, url: str, kind: type[T], **more: Any) -> T:
    """Within bounds; redirects are not followed."""
    body = b""
    try:
        async with (
            httpx.AsyncClient(verify=trusted(), timeout=ANSWER_S) as http,
            http.stream(method, url, **more) as answer,
        ):
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_BYTES_MAX:
                    raise OidcFailed(f"{url} answers too much")
        if answer.status_code != httpx.codes.OK:
            raise OidcFailed(f"{url} answers {answer.status_code}")
        return msgspec.json.decode(body, type=kind)
    except (httpx.HTTPError, msgspec.DecodeError) as failure:
        raise OidcFailed(f"{url}: {failure!r}") from None


def kept(vault: Vault, begun: Begun) -> str:
    return base64.urlsafe_b64encode(vault.put(msgspec.json.encode(begun), PURPOSE)).decode()


def begun_by(vault: Vault, cookie: str, provider: str, state: str, now: dt.datetime) -> Begun | None:
    """None: not begun in this browser, with another provider, for another answer, or too long ago."""
    try:
        begun = msgspec.json.decode(vault.open(base64.urlsafe_b64decode(cookie), PURPOSE), type=Begun)
    except (CannotOpen, ValueError):
        return None
    same = begun.provider == provider and hmac.compare_digest(begun.state.encode(), state.encode())
    return begun if same and now < begun.until else None
