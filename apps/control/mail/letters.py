"""What we write to people, as plain text and as simple HTML. Pure."""

import datetime as dt
from collections.abc import Sequence
from html import escape

from msgspec import Struct

PAGE = "account.html"
"""Where links lead. The secret is behind the #: browsers send that to nobody, so it is in no log."""


NAMED_MAX = 20
"""Of many, in one mail."""


class Letter(Struct, frozen=True):
    kind: str
    subject: str
    text: str
    html: str


def link(public_url: str, what: str, token: str) -> str:
    return f"{public_url.rstrip('/')}/{PAGE}#{what}={token}"


def verify(url: str) -> Letter:
    return _letter(
        "verify",
        "Confirm your e-mail address",
        ["Somebody, most likely you, made an account at Seedlift with this address. Confirm that it is yours:"],
        ("Confirm this address", url),
        ["The link is good for 24 hours. If it was not you, do nothing: without you nobody can use the account."],
    )


def known_already(url: str) -> Letter:
    return _letter(
        "known_already",
        "You have an account already",
        ["Somebody, most likely you, tried to make an account at Seedlift with this address, which has one already."],
        ("Sign in, or choose a new password", url),
        ["If it was not you, do nothing: nothing was changed, and nobody was told."],
    )


def reset(url: str) -> Letter:
    return _letter(
        "reset",
        "Choose a new password",
        ["Somebody, most likely you, asked for a new password. Choose one here:"],
        ("Choose a new password", url),
        ["The link is good once, for 30 minutes. If it was not you, do nothing: your password stays as it is."],
    )


def confirm_email(url: str) -> Letter:
    return _letter(
        "confirm_email",
        "Confirm your new e-mail address",
        ["Somebody, most likely you, wants to use this address for an account at Seedlift."],
        ("Use this address", url),
        ["The link is good for 24 hours. If it was not you, do nothing."],
    )


def email_taken() -> Letter:
    return _letter(
        "email_taken",
        "This address has an account already",
        ["Somebody, most likely you, wanted to move another account at Seedlift to this address. It has one already:"
         " sign in to that, delete it or give it another address first."],
    )  # fmt: skip


def invitation(organisation: str, role: str, url: str) -> Letter:
    return _letter(
        "invitation",
        "You are invited to an organisation",
        [f"You are invited to the organisation {organisation} at Seedlift, as {role}."],
        ("Look at the invitation", url),
        ["The link is good for a week, for who is signed in with this address. If you expect nothing, do nothing."],
    )


def organisation_gone(organisation: str) -> Letter:
    return _letter(
        "organisation_gone",
        "An organisation was deleted",
        [f"The organisation {organisation} at Seedlift, which you were in, was deleted by an owner, with all that it"
         " had. Your account stays."],
    )  # fmt: skip


def nearly_spent(organisation: str, what: str, percent: int, used: str, allowed: str) -> Letter:
    full = "Nothing is added until there is room again; what is under way goes on." if percent >= 100 else ""
    return _letter(
        "nearly_spent",
        f"{percent} % of your {what} are used",
        [f"The organisation {organisation} at Seedlift has used {used} of {allowed} of its {what}.",
         *([full] if full else []),
         "Remove jobs that you do not need any more, or ask for a larger plan."],
    )  # fmt: skip


def expires_soon(organisation: str, jobs: Sequence[tuple[str, dt.datetime]]) -> Letter:
    """Soonest first."""
    lines = [f"{name}: {at:%d %B %Y, %H:%M} UTC" for name, at in jobs[:NAMED_MAX]]
    more = [f"… and {len(jobs) - NAMED_MAX} more."] if len(jobs) > NAMED_MAX else []
    return _letter(
        "expires_soon",
        f"{len(jobs)} of your jobs expire soon" if len(jobs) > 1 else "One of your jobs expires soon",
        [f"Your plan keeps what is completed for a while. Of the organisation {organisation} at Seedlift these leave"
         " the store next; fetch what you want to keep, or ask for a larger plan.", *lines, *more],
    )  # fmt: skip


def suspended(whose: str, reason: str) -> Letter:
    return plain(
        "suspended",
        "Suspended",
        [f"{whose} at Seedlift was suspended: {reason}", "Nothing is deleted by that; what was at work is paused."],
    )


def unsuspended(whose: str) -> Letter:
    return plain("unsuspended", "No longer suspended", [f"{whose} at Seedlift can be used again."])


def webhook_disabled(url: str, why: str) -> Letter:
    return _letter(
        "webhook_disabled",
        "A webhook was disabled",
        [f"The webhook {url} of your organisation at Seedlift was disabled: {why}.",
         "Its log says what went wrong. Once it is repaired, enable it there and replay what it has missed."],
    )  # fmt: skip


def notice(what: str) -> Letter:
    """Tells of a change that only the owner should have made."""
    return _letter(
        "notice",
        "Your account was changed",
        [what, "If it was you, there is nothing to do. If not: choose a new password at once, by way of the forgotten"
         " one. That signs everybody out."],
    )  # fmt: skip


def plain(kind: str, subject: str, paragraphs: Sequence[str]) -> Letter:
    """Without a link to follow."""
    return _letter(kind, subject, paragraphs)


def _letter(
    kind: str, subject: str, before: Sequence[str], button: tuple[str, str] | None = None, after: Sequence[str] = ()
) -> Letter:
    told = [f"{button[0]}:\n{button[1]}"] if button else []
    text = "\n\n".join(["Hello,", *before, *told, *after, "Seedlift"]) + "\n"
    shown = [f'<p><a href="{escape(button[1])}">{escape(button[0])}</a></p>'] if button else []
    paragraphs = [
        *(f"<p>{escape(p)}</p>" for p in ("Hello,", *before)),
        *shown,
        *(f"<p>{escape(p)}</p>" for p in after),
    ]
    body = "\n".join([*paragraphs, "<p>Seedlift</p>"])
    return Letter(kind, subject, text, f'<!doctype html>\n<html lang="en"><meta charset="utf-8">\n{body}\n</html>\n')
