"""Routes of API keys, and of the short tokens made with one."""

from uuid import UUID

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from control.accounts import keys, tokens
from control.accounts.keys import Wanted
from control.accounts.model import ApiKey
from control.accounts.permissions import Permission
from control.accounts.schemas import AskToken, CreateKey, KeyCreated, Keys, KeyView, TokenView
from control.auth import Principal, actor_of
from control.http import Asked
from control.plane import Plane
from wire.clock import utcnow
from wire.ids import KeyId

TAG = ["keys"]


@post(
    "/auth/token",
    permission=Permission.TOKENS_MAKE,
    status_code=201,
    summary="A token of ten minutes, for an API key",
    tags=TAG,
)
async def token(
    plane: NamedDependency[Plane], who: NamedDependency[Principal], data: JSONBody[AskToken | None] = None
) -> TokenView:
    held = list(who.scopes or ())
    scopes = held if data is None or data.scopes is None else keys.clean_scopes(data.scopes, who)
    claims = tokens.Claims(person=who.person, org=who.org, key=KeyId(who.by), scopes=tuple(scopes))
    minted, until = tokens.mint(plane.settings.secrets[0], claims, utcnow())
    return TokenView(minted, "Bearer", scopes, until)


@post(
    "/auth/keys",
    permission=Permission.KEYS_WRITE,
    refuses=[409],
    status_code=201,
    summary="Make an API key; its secret is shown once",
    tags=TAG,
)
async def create_key(
    data: JSONBody[CreateKey], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> KeyCreated:
    wanted = Wanted(data.name, data.scopes, data.days)
    async with plane.asking(who.asker) as tx:
        key, secret = await keys.create(tx, who, who.org, wanted, actor_of(request, who), utcnow())
    return KeyCreated(key.id, key.name, key.prefix, key.scopes, key.created_at, key.expires_at, secret)


@get(
    "/auth/keys",
    permission=Permission.KEYS_WRITE,
    summary="Your API keys of this organisation; everybody's, for who manages them",
    tags=TAG,
)
async def list_keys(plane: NamedDependency[Plane], who: NamedDependency[Principal]) -> Keys:
    async with plane.asking(who.asker) as tx:
        return Keys([_view(key) for key in await keys.listed(tx, who, who.org, utcnow())])


@delete(
    "/auth/keys/{key_id:uuid}",
    permission=Permission.KEYS_WRITE,
    status_code=204,
    summary="Revoke an API key, at once",
    tags=TAG,
)
async def revoke_key(
    key_id: FromPath[UUID], request: Asked, plane: NamedDependency[Plane], who: NamedDependency[Principal]
) -> None:
    async with plane.asking(who.asker) as tx:
        await keys.revoke(tx, who, who.org, key_id, actor_of(request, who), utcnow())


def _view(key: ApiKey) -> KeyView:
    return KeyView(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=key.scopes,
        person=key.person_id,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
    )


ROUTES = [token, create_key, list_keys, revoke_key]
