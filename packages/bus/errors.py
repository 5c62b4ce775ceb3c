"""What can go wrong on the bus.

BusError ─┬─ BusDown    not connected, or no answer in time: try again at the next tick
          ├─ NoStream   nobody listens there: the stream or consumer is gone, ensure it again
          └─ BusRefused the server said no, with a code and a sentence
"""


class BusError(Exception):
    pass


class BusDown(BusError):
    pass


class NoStream(BusError):
    pass


class BusRefused(BusError):
    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
