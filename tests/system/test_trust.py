"""Who may speak to the fleet listener and the bus of a real stack, and for how long."""

import asyncio
import ssl
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support import agents, certs, up
from wire.clock import utcnow
from wire.ids import new_id

CUT_S = 2


async def test_a_retired_agent_is_cut_at_once_and_cannot_come_back(bare: up.Up, tmp_path: Path) -> None:
    async with agents.running(bare, "leaver", tmp_path / "leaver") as leaver:
        known = (await agents.listed(bare))["leaver"]
        async with agents.operator(bare) as http:
            answer = await http.post(f"/api/v1/fleet/agents/{known['id']}/retire", json={"reason": "sold"})
            assert answer.status_code == 200, answer.text
        async with asyncio.timeout(CUT_S + 3):
            while "agent_retired" not in leaver.log.read_text():
                await asyncio.sleep(0.05)
        assert "leaver" not in await agents.listed(bare) or (await agents.listed(bare))["leaver"]["state"] == "retired"
        leaver.kill()
        await leaver.start()
        with pytest.raises(TimeoutError):
            await agents.until_state(bare, "leaver", "ready", limit_s=3)


@pytest.mark.parametrize("whose", ["nobody", "foreign", "expired"])
async def test_the_fleet_listener_refuses_whoever_shows_no_good_certificate(
    bare: up.Up, tmp_path: Path, whose: str
) -> None:
    context = ssl.create_default_context(cafile=str(bare.data / "secrets" / "ca.pem"))
    if whose != "nobody":
        authority = certs.new_authority(tmp_path) if whose == "foreign" else fleet_ca(bare, tmp_path)
        signed_at = utcnow() - timedelta(days=0 if whose == "foreign" else 30)
        signed = authority.client(f"spiffe://seedlift/agent/{new_id()}", signed_at)
        context.load_cert_chain(signed.cert, signed.key)
    async with httpx.AsyncClient(verify=context) as http:
        try:
            answer = await http.post(f"{bare.ready.fleet}/fleet/sync", json={})
        except httpx.TransportError:
            assert whose != "nobody"
            return  # refused in TLS
        assert answer.status_code == 401
        assert whose == "nobody", "a bad certificate must not get past TLS"


def fleet_ca(stack: up.Up, folder: Path) -> certs.Authority:
    """The stack's own CA, in the hands of somebody who lets certificates expire."""
    secrets = stack.data / "secrets"
    key = serialization.load_pem_private_key((secrets / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return certs.Authority(folder, key, x509.load_pem_x509_certificate((secrets / "ca.pem").read_bytes()))
