"""What `up` refuses, as a sentence that says what to do."""


class CannotStart(Exception):
    """Nothing was started, or what was started has been stopped again."""
