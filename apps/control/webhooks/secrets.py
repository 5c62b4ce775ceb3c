"""Secrets of webhooks, out of the vault: those that a call is signed with now."""

import datetime as dt
from uuid import UUID

from control.vault import Vault
from control.webhooks.model import Webhook


def purpose(webhook: UUID) -> str:
    return f"webhook:{webhook}"


def good(vault: Vault, webhook: Webhook, now: dt.datetime) -> list[bytes]:
    """CannotOpen: the key of the vault is gone."""
    kept = [webhook.secret]
    if webhook.previous_secret is not None and webhook.previous_until is not None and webhook.previous_until > now:
        kept.append(webhook.previous_secret)
    return [vault.open(each, purpose(webhook.id)) for each in kept]
