"""Settings of the control plane, for both its processes (api and work)."""

from functools import cached_property
from pathlib import Path
from typing import Literal

from msgspec import Struct

from control import vault
from control.vault import Vault
from wire.addresses import Allow, parse_allow


class Settings(Struct, frozen=True, kw_only=True, dict=True):
    # Postgres: three roles. `api` is bound by row-level security, `work` sees every organisation, `owner` migrates.
    database_url: str
    work_database_url: str
    owner_database_url: str | None = None

    # The bus. The keys file holds the seeds of operator, system, fleet and app accounts.
    nats_url: str
    nats_keys_file: Path
    ca_cert_file: Path
    ca_key_file: Path
    control_cert_file: Path
    control_key_file: Path

    # The store.
    store_url: str
    store_public_url: str
    store_access_key: str
    store_secret_key: str
    store_bucket: str = "seedlift"
    store_region: str = "us-east-1"

    # Listeners.
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str = "http://127.0.0.1:8000"
    trusted_proxies: str = ""
    """Addresses whose X-Forwarded-For is believed, by commas; without it a proxy's clients are throttled as one."""
    fleet_host: str = "127.0.0.1"
    fleet_port: int = 8001
    fleet_url: str = "https://127.0.0.1:8001"
    fleet_nats_url: str | None = None
    """As agents see the bus, where that differs from `nats_url`."""
    fleet_cert_file: Path
    fleet_key_file: Path
    metrics_port: int | None = None
    """The work process' own /metrics, on loopback."""
    metrics_token: str | None = None
    """Lets a scraper that is not on loopback read the api's /metrics."""

    secret_file: Path
    """32 random bytes or more: JWTs and CSRF tokens hang on it."""
    previous_secret_file: Path | None = None
    """The one before: what hangs on it is good until it ends, so that a change of secret throws nobody out."""
    trust_domain: str = "seedlift"
    certificate_s: float = 2_592_000
    """An agent's certificate's life, 30 days; it is renewed at two thirds. Who was away longer enrols again."""
    pool: str = "default"
    pool_allow: str = ""
    """`<pool>=<cidr>,<cidr>;<pool>=…`: refused address ranges that a pool's agents may talk to."""

    rate_scale: float = 1.0
    """All rate limits let so many times more through."""

    # Robots.
    bot_check: Literal["altcha", "turnstile", "off"] = "altcha"
    """What registering, signing in and asking for mails want beside: a proof of work, Turnstile's word, or nothing."""
    bot_check_always: bool | None = None
    """Each time, and not only where somebody tries often. None: where the public URL is https."""
    bot_check_work: int = 50_000
    """Hashes at most, half of them on average; a telephone makes some hundred thousand a second."""
    turnstile_site_key: str | None = None
    turnstile_secret: str | None = None
    turnstile_verify_url: str = "https://challenges.cloudflare.com/turnstile/v0/siteverify"

    # People.
    vault_keys_file: Path | None = None
    """For what is encrypted at rest, by lines of `<version> <hexadecimal>`; without it a key hangs on `secret_file`."""
    verify_first: bool | None = None
    """Nobody signs in before the address is confirmed. None: where mail can be sent."""
    oidc_file: Path | None = None
    """Providers that people may sign in with, as JSON."""
    cors_origins: str = ""
    """Pages from elsewhere that may use the API with keys: `https://a.example.org`, by commas."""
    mail_from: str = "Seedlift <seedlift@localhost>"
    smtp_host: str | None = None
    """Without it mails stay in the outbox, where admins read them."""
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_user: str | None = None
    smtp_password: str | None = None
    smtp_ca_file: Path | None = None
    """Whom to trust beside the system's authorities."""

    # Webhooks.
    webhook_allow: str = ""
    """`<cidr>,<cidr>`: refused address ranges that webhooks may be in."""

    # Waits, in seconds; all are divided by `time_scale`.
    time_scale: float = 1.0
    lease_s: float = 20
    offer_again_s: float = 30
    sync_s: float = 1.5
    tick_s: float = 5
    grant_s: float = 900
    retry_s: float = 15
    """After a transfer's first failure; then twice as long each time."""
    retry_max_s: float = 600
    pause_kept_s: float = 3600
    """So long a paused transfer keeps its place on its agent's disk; then what was not stored yet is let go."""

    log_format: str = "json"
    log_level: str = "info"
    web_dir: Path | None = None

    @cached_property
    def secrets(self) -> tuple[bytes, ...]:
        """The current one first: only it makes anything new."""
        files = (self.secret_file, self.previous_secret_file)
        return tuple(file.read_bytes() for file in files if file is not None)

    @cached_property
    def vault(self) -> Vault:
        keys = vault.read_keys(self.vault_keys_file.read_text()) if self.vault_keys_file is not None else {}
        derived, *earlier = (vault.derived(secret) for secret in self.secrets)
        return Vault(keys | {vault.DERIVED: derived}, earlier)

    @property
    def must_verify(self) -> bool:
        return self.verify_first if self.verify_first is not None else self.smtp_host is not None

    @property
    def checks_always(self) -> bool:
        return self.bot_check_always if self.bot_check_always is not None else self.secure_cookies

    @property
    def origins_allowed(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    def ranges_allowed(self, pool: str) -> list[str]:
        """Address ranges of otherwise refused space that a pool's agents may talk to."""
        pools = (each.partition("=") for each in self.pool_allow.split(";"))
        return [r.strip() for name, _, ranges in pools if name.strip() == pool for r in ranges.split(",") if r.strip()]

    @property
    def webhook_ranges(self) -> Allow:
        return parse_allow(each for each in self.webhook_allow.split(",") if each.strip())

    @property
    def secure_cookies(self) -> bool:
        return self.public_url.startswith("https://")

    def wait(self, seconds: float) -> float:
        return seconds / self.time_scale
