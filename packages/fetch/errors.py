"""What can go wrong when something is fetched from a stranger.

FetchError ─┬─ Away         no answer, a cut, or one that says "later": the same again may succeed
            └─ Refused      it will not be given to us: a 4xx, redirects without end, something that is no HTTP
                 └─ NotAllowed  the address lies in space that we do not talk to
"""


class FetchError(Exception):
    pass


class Away(FetchError):
    pass


class Refused(FetchError):
    pass


class NotAllowed(Refused):
    pass
