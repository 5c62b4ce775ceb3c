"""Whatever is done in the console is told, each in its own transaction: see `tests.support.told`."""

import secrets
from functools import partial

from tests.integration.control.test_audit_search import operator
from tests.support.control import PASSWORD, Api, magnet
from tests.support.told import CONSOLE, Told, somebody

WHY = {"reason": "a test wants it told"}
PROVED = {**WHY, "password": PASSWORD}
LIMITS = dict.fromkeys(("storage_bytes", "file_bytes", "traffic_bytes", "kept_days", "seeding"))
TERMS = {"active": 10, "open_jobs": 100, "sessions": 5, **LIMITS}


async def test_everything_that_is_done_in_the_console_is_told(own: Api, told: Told) -> None:
    plan, at = f"told-{secrets.token_hex(4)}", "/api/v1/admin/plans/{plan}"
    async with operator(own) as admin, somebody(own) as subject:
        call = partial(told.call, admin, by="key:")
        made = (await call("POST /api/v1/admin/announcements", {"text": "Back at noon."})).json()["told"]["id"]
        await call("DELETE /api/v1/admin/announcements/{announcement}", announcement=made)
        for on in (False, True):
            await call("PUT /api/v1/admin/flags/{flag}", {**PROVED, "on": on}, flag="webhooks")
        await call("POST /api/v1/admin/storage/sweeps", {"dry_run": True})

        plans = (await admin.get("/api/v1/admin/plans")).json()["items"]
        [usual] = [each["name"] for each in plans if each["is_default"]]
        await call(f"PUT {at}", TERMS, plan=plan)
        for each in (plan, usual):
            await call(f"PUT {at}/default", plan=each)
            theirs = {**WHY, "plan": each}
            await call("PUT /api/v1/admin/organisations/{org_id}/plan", theirs, org_id=subject.org)
        own_limits = {**WHY, "limits": {"active": 1}}
        await call("PUT /api/v1/admin/organisations/{org_id}/limits", own_limits, org_id=subject.org)
        await call(f"POST {at}/drop", PROVED, plan=plan)

        job = (await subject.http.post("/api/v1/jobs", json={"magnet": magnet("c1")})).json()["id"]
        await call("POST /api/v1/admin/jobs/{job_id}/terminate", PROVED, job_id=job)
        await call("POST /api/v1/admin/people/{person_id}/sign-out", {**PROVED, "keys": True}, person_id=subject.id)
    assert told.done == CONSOLE.keys()
