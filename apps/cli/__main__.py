"""The `seedlift` command."""


def main() -> None:
    print("soon")
