"""What the store can say no with.

StoreError ─┬─ StoreDown     no answer, or one that means "later": try again at the next tick
            ├─ NoSuchUpload  completed or aborted already, by whomever
            ├─ InvalidPart   a part that we believe in is not there, or is another
            └─ StoreRefused  anything else, with the store's code
"""


class StoreError(Exception):
    pass


class StoreDown(StoreError):
    pass


class NoSuchUpload(StoreError):
    pass


class InvalidPart(StoreError):
    pass


class StoreRefused(StoreError):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
