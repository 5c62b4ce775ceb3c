"""What this agent is: where it stands, how it is labelled, and how much room it has."""

from ipaddress import ip_address

import msgspec

from agent.config import Settings
from fetch.socks import BadProxy, parse_proxy
from wire.messages import About
from wire.settings import BadSettings


def about(settings: Settings, disk_budget_bytes: int, disk_free_bytes: int) -> About:
    return About(
        region=settings.agent_region,
        labels=_labels(settings.agent_labels),
        disk_budget_bytes=disk_budget_bytes,
        disk_free_bytes=max(0, disk_free_bytes),
    )


def check(settings: Settings) -> None:
    """Refused here with a sentence, rather than by the control plane with every sync."""
    try:
        if settings.agent_proxy:
            parse_proxy(settings.agent_proxy)
        if settings.agent_outgoing:
            ip_address(settings.agent_outgoing)
    except (BadProxy, ValueError) as bad:
        raise BadSettings(f"SEEDLIFT_AGENT_PROXY or SEEDLIFT_AGENT_OUTGOING, which is an address: {bad}") from None
    said = {"region": settings.agent_region, "labels": _labels(settings.agent_labels)}
    try:
        msgspec.convert(said, About)
    except msgspec.ValidationError as bad:
        raise BadSettings(
            "SEEDLIFT_AGENT_REGION, and the keys and values of SEEDLIFT_AGENT_LABELS (key=value,…), are letters, digits"
            f" and ._/-, at most 63 each: {bad}"
        ) from None


def _labels(text: str) -> dict[str, str]:
    pairs = (each.partition("=") for each in text.split(",") if each.strip())
    return {key.strip(): value.strip() for key, _, value in pairs}
