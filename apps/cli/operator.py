"""How an operator's verbs call the public API: which one, with whose key, and what a refusal looks like."""

import json
import os
from pathlib import Path
from typing import Any

from cyclopts import Parameter

from cli.programs import ROOT, refuse

CALL_S = 30.0


@Parameter(name="*")
class Where:
    """Which API, and the key to it."""

    def __init__(self, *, url: str | None = None, key: str | None = None, data: Path = ROOT / ".seedlift") -> None:
        """
        Parameters
        ----------
        url
            The API. Default: SEEDLIFT_URL, else that of the local stack.
        key
            An operator's API key. Default: SEEDLIFT_API_KEY, else that of the local stack.
        data
            The local stack's data folder.
        """
        self.url = url
        self.key = key
        self.data = data


def call(where: Where | None, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    import httpx  # only the verbs that talk pay for it

    url, key = _found(where or Where())
    try:
        answer = httpx.request(
            method, url + path, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=CALL_S
        )
    except httpx.TransportError as failed:
        refuse(f"{url} does not answer: {failed}")
    if answer.is_error:
        refuse(f"{url} answered {answer.status_code}: {answer.text[:500]}")
    return dict(answer.json()) if answer.content else {}


def _found(where: Where) -> tuple[str, str]:
    url = where.url or os.environ.get("SEEDLIFT_URL")
    key = where.key or os.environ.get("SEEDLIFT_API_KEY")
    local = where.data / "operator.json"
    if (url is None or key is None) and local.exists():
        try:
            known = json.loads(local.read_text())
        except PermissionError:
            refuse(f"{local} is its owner's alone: run as that account, or give --url and --key.")
        url, key = url or known["url"], key or known["api_key"]
    if url is None or key is None:
        refuse(
            "which API, and with which key? Give --url and --key (or SEEDLIFT_URL and SEEDLIFT_API_KEY), or --data DIR."
        )
    return url.rstrip("/"), key
