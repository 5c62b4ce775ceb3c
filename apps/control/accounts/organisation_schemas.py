"""What the API takes and gives about organisations, their members and invitations."""

import datetime as dt
from uuid import UUID

from msgspec import Struct

from control.accounts.permissions import OrgRole
from control.accounts.schemas import OrganisationView


class MakeOrganisation(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class Rename(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class Close(Struct, frozen=True, forbid_unknown_fields=True):
    confirm: str
    """Its name, as it stands."""


class ClosedView(Struct, frozen=True):
    members: list[str]
    """E-mail addresses of the others who were in it."""


class Organisations(Struct, frozen=True):
    items: list[OrganisationView]


class ChangeMember(Struct, frozen=True, forbid_unknown_fields=True):
    role: OrgRole


class MemberView(Struct, frozen=True):
    id: UUID
    email: str
    role: OrgRole
    joined_at: dt.datetime


class Members(Struct, frozen=True):
    items: list[MemberView]


class Invite(Struct, frozen=True, forbid_unknown_fields=True):
    email: str
    role: OrgRole = OrgRole.MEMBER


class InvitationView(Struct, frozen=True):
    id: UUID
    email: str
    role: OrgRole
    invited_by: UUID
    created_at: dt.datetime
    expires_at: dt.datetime


class Invitations(Struct, frozen=True):
    items: list[InvitationView]


class ShowInvitation(Struct, frozen=True, forbid_unknown_fields=True):
    token: str
    """The last part of the link."""


class OfferView(Struct, frozen=True):
    organisation: str
    email: str
    """With this address one has to be signed in."""
    role: OrgRole
    expires_at: dt.datetime
