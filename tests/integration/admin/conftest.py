"""Who runs the platform, with a password that can be asked for."""

from typing import Any

import httpx
import pytest
from msgspec import Struct

from control.accounts.permissions import OrgRole, PlatformRole
from tests.support.people import Headers, People, Someone

REASON = "because a test wants to see it"


class Boss(Struct, frozen=True):
    people: People
    who: Someone
    headers: Headers

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.people.http.get(path, params=query, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.people.http.post(path, json=body, headers=self.headers)

    async def put(self, path: str, **body: Any) -> httpx.Response:
        return await self.people.http.put(path, json=body, headers=self.headers)


async def make(people: People, role: PlatformRole) -> Boss:
    who = await people.join(await people.organisation(), OrgRole.OWNER, role)
    await people.with_password(who)
    return Boss(people, who, await people.session(who))


@pytest.fixture
async def admin(people: People) -> Boss:
    return await make(people, PlatformRole.ADMIN)


@pytest.fixture
async def operator(people: People) -> Boss:
    return await make(people, PlatformRole.OPERATOR)
