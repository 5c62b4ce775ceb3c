"""Which device a session is on, in few words, and from which network, without a place. Pure."""

import re
from ipaddress import IPv4Address, ip_address, ip_network

V4_BITS, V6_BITS = 24, 48
"""What is kept of an address: a provider's region, not a household."""

BROWSERS = {
    "Edg": "Edge", "OPR": "Opera", "SamsungBrowser": "Samsung Internet", "Firefox": "Firefox", "FxiOS": "Firefox",
    "CriOS": "Chrome", "Chrome": "Chrome", "Version": "Safari", "curl": "curl", "Wget": "Wget", "python-httpx": "httpx",
    "python-requests": "requests",
}  # fmt: skip
"""By their product's name in the User-Agent; the first that is there, since most claim to be others too."""
SYSTEMS = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "CrOS": "ChromeOS", "Windows": "Windows",
    "Mac OS X": "macOS", "Linux": "Linux",
}  # fmt: skip


def device(user_agent: str | None) -> str:
    said = user_agent or ""
    browser = next((name for product, name in BROWSERS.items() if re.search(rf"\b{product}/", said)), None)
    system = next((name for mark, name in SYSTEMS.items() if mark in said), None)
    if browser and system:
        return f"{browser} on {system}"
    return browser or system or "Unknown device"


def network(ip: str) -> str:
    try:
        known = ip_address(ip.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(known, IPv4Address):
        known = known.ipv4_mapped or known
    bits = V4_BITS if isinstance(known, IPv4Address) else V6_BITS
    return str(ip_network((known, bits), strict=False))
