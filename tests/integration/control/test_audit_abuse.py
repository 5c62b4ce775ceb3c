"""Whatever is done against abuse is told, each in its own transaction: see `tests.support.told`."""

import datetime as dt
import secrets
from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.integration.control.test_audit_search import operator
from tests.integration.control.test_terms import TEXT
from tests.integration.fleet.test_takedown import answer, notice
from tests.support.control import PASSWORD, Api
from tests.support.people import forget_terms
from tests.support.told import ABUSE, Told, somebody
from wire.clock import utcnow

WHY = {"reason": "a test wants it told"}
PROVED = {**WHY, "password": PASSWORD}


@pytest.fixture
async def no_terms_stay(own: Api) -> AsyncIterator[None]:
    yield
    await forget_terms(own.databases)


@pytest.mark.usefixtures("no_terms_stay")
async def test_everything_that_is_done_against_abuse_is_told(own: Api, told: Told) -> None:
    by_hand, listed, claimed = (secrets.token_hex(20) for _ in range(3))
    async with operator(own) as admin, own.client() as anybody, somebody(own) as subject:
        call = partial(told.call, admin, by="key:")
        await call("POST /api/v1/admin/blocklist", {**WHY, "hashes": [by_hand]})
        await call("POST /api/v1/admin/blocklist/import", lines=f"hash,reason\n{listed},spam\n")
        await call("POST /api/v1/admin/blocklist/remove", {**WHY, "hashes": [by_hand, listed]})

        case = (await told.call(anybody, "POST /api/v1/takedowns", notice(claimed))).json()["case"]
        decide = partial(call, "POST /api/v1/admin/cases/{case_id}/decide", case_id=case)
        await decide({**PROVED, "decision": "block"})
        await told.call(anybody, "POST /api/v1/takedowns/{case_id}/counter-notice", answer(), case_id=case)
        await decide({**PROVED, "decision": "reinstate"})

        for verb in ("suspend", "unsuspend"):
            await call(f"POST /api/v1/admin/people/{{person_id}}/{verb}", PROVED, person_id=subject.id)
            await call(f"POST /api/v1/admin/organisations/{{org_id}}/{verb}", PROVED, org_id=subject.org)

        tomorrow = (utcnow() + dt.timedelta(days=1)).isoformat()
        await call("POST /api/v1/admin/terms", {**PROVED, "text": TEXT, "effective_at": tomorrow})
    assert told.done == ABUSE.keys()
