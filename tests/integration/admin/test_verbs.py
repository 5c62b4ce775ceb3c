"""What who runs the platform does to others': never without a reason and the password, always in their log, too."""

import secrets

import pytest

from control.accounts.permissions import OrgRole, PlatformRole
from control.mail import service as mails
from tests.integration.admin.conftest import REASON, Boss, make
from tests.support.control import PASSWORD
from tests.support.people import People, Someone
from wire.ids import new_id


async def job_of(people: People, who: Someone) -> str:
    magnet = {"magnet": f"magnet:?xt=urn:btih:{secrets.token_hex(20)}"}
    return str((await people.http.post("/jobs", json=magnet, headers=await people.session(who))).json()["id"])


async def test_a_job_is_ended_with_a_reason_that_its_organisation_can_read(operator: Boss, people: People) -> None:
    owner = await people.owner()
    job, theirs = await job_of(people, owner), await people.session(owner)
    done = await operator.post(f"/admin/jobs/{job}/terminate", reason=REASON, password=PASSWORD)
    assert (done.status_code, done.json()["state"]) == (200, "cancelled")
    assert (await people.http.get(f"/jobs/{job}", headers=theirs)).json()["state"] == "cancelled"
    said = (await people.http.get("/audit", params={"target": f"job:{job}"}, headers=theirs)).json()["items"]
    assert [(each["action"], each["actor"]) for each in said[:2]] == [
        ("job.terminated", f"person:{operator.who.person}"),
        ("job.cancelled", f"person:{operator.who.person}"),
    ]
    assert said[0]["detail"] == {"reason": REASON}
    again = await operator.post(f"/admin/jobs/{job}/terminate", reason=REASON, password=PASSWORD)
    assert (again.status_code, again.json()["code"]) == (409, "job_ended")


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"password": PASSWORD}, (422, "bad_input")),
        ({"reason": "short", "password": PASSWORD}, (422, "bad_input")),
        ({"reason": " " * 10, "password": PASSWORD}, (422, "bad_input")),
        ({"reason": REASON}, (403, "wrong_password")),
        ({"reason": REASON, "password": "not this one"}, (403, "wrong_password")),
    ],
)
async def test_without_a_reason_or_the_password_nothing_is_done(
    admin: Boss, people: People, body: dict[str, str], refused: tuple[int, str]
) -> None:
    owner = await people.owner()
    job = await job_of(people, owner)
    verbs: dict[str, dict[str, str]] = {
        f"jobs/{job}/terminate": {},
        f"people/{owner.person}/sign-out": {},
        f"people/{owner.person}/suspend": {},
        f"organisations/{owner.org}/suspend": {},
        f"cases/{new_id()}/decide": {"decision": "block"},
        "plans/free/drop": {},
        "terms": {"text": "Be kind."},
    }
    for verb, more in verbs.items():
        answer = await admin.post(f"/admin/{verb}", **more, **body)
        assert (answer.status_code, answer.json()["code"]) == refused
    answer = await admin.put("/admin/flags/dispatch", on=False, **body)
    assert (answer.status_code, answer.json()["code"]) == refused
    assert (await admin.get(f"/admin/jobs/{job}"))["state"] == "submitted"
    assert (await admin.get(f"/admin/people/{owner.person}"))["person"]["suspended_at"] is None
    assert {each["on"] for each in (await admin.get("/admin/flags"))["items"]} == {True}


async def test_somebody_is_signed_out_everywhere_and_told_so(admin: Boss, people: People) -> None:
    who = await people.owner()
    one, other, (_, key) = await people.session(who), await people.session(who), await people.key(who, "full")
    path = f"/admin/people/{who.person}/sign-out"
    done = await admin.post(path, reason=REASON, password=PASSWORD)
    assert done.json() == {"sessions": 2}
    for headers, status in ((one, 401), (other, 401), (key, 200)):
        assert (await people.http.get("/auth/me", headers=headers)).status_code == status
    await admin.post(path, reason=REASON, password=PASSWORD, keys=True)
    assert (await people.http.get("/auth/me", headers=key)).status_code == 401
    async with people.plane.working() as tx:
        told = [mail for mail in await mails.listed(tx) if mail.recipient == who.email]
    assert [mail.kind for mail in told] == ["notice", "notice"]
    nobody = await admin.post(f"/admin/people/{new_id()}/sign-out", reason=REASON, password=PASSWORD)
    assert nobody.status_code == 404


async def test_who_is_suspended_is_shown_so_and_told_why_in_their_log(admin: Boss, people: People) -> None:
    who = await people.owner()
    headers = await people.session(who)
    for kind, of in (("people", who.person), ("organisations", who.org)):
        path = f"/admin/{kind}/{of}"
        for verb, shown in (("suspend", REASON), ("unsuspend", None)):
            done = await admin.post(f"{path}/{verb}", reason=REASON, password=PASSWORD)
            assert (done.status_code, done.json()["reason"]) == (200, shown)
            [row] = (await admin.get(f"/admin/{kind}", q=str(of)))["items"]
            assert (row["suspended_at"] is None, row["suspended_for"]) == (shown is None, shown)
    query = {"target": f"organisation:{who.org}", "severity": "warning"}
    said = (await people.http.get("/audit", params=query, headers=headers)).json()["items"]
    assert [(each["action"], each["detail"]) for each in said] == [
        ("organisation.unsuspended", {"reason": REASON}),
        ("organisation.suspended", {"reason": REASON}),
    ]


async def test_nobody_signs_out_whoever_is_above_him(admin: Boss, people: People) -> None:
    above = await make(people, PlatformRole.SUPERADMIN)
    done = await admin.post(f"/admin/people/{above.who.person}/sign-out", reason=REASON, password=PASSWORD)
    assert (done.status_code, done.json()["code"]) == (403, "permission_denied")
    assert (await people.http.get("/auth/me", headers=above.headers)).status_code == 200


async def test_support_looks_and_does_not_touch(people: People) -> None:
    support = await make(people, PlatformRole.SUPPORT)
    owner = await people.join(await people.organisation(), OrgRole.OWNER)
    job = await job_of(people, owner)
    assert (await support.get(f"/admin/jobs/{job}"))["id"] == job
    done = await support.post(f"/admin/jobs/{job}/terminate", reason=REASON, password=PASSWORD)
    assert (done.status_code, done.json()["code"]) == (403, "permission_denied")
