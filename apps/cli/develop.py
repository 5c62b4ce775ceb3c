"""`seedlift test` and `seedlift bench`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cli.programs import ROOT, become, refuse

BENCHES = ROOT / "tests" / "bench"
AT_ONCE = ("-n", "4", "--dist", "loadscope", "--no-loadscope-reorder")
"""Most tests wait for servers, leases and swarms: four workers keep two cores busy, and halve the time. What takes
longest comes first, and which tests share a worker says `tests/conftest.py`."""


def test(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Run the tests, four at once. What follows goes to pytest: paths below the project's folder, -k, -x, -n 0, …

    Parameters
    ----------
    arguments
        For pytest.
    """
    at_once = () if {"-n", "-p"} & set(arguments) else AT_ONCE
    become("pytest", *at_once, *arguments, cwd=ROOT)


def bench(
    name: str,
    /,
    *arguments: Annotated[str, Parameter(allow_leading_hyphen=True)],
    quick: bool = False,
    json: Path | None = None,
) -> None:
    """Measure something; the exit code is 0 when it was measured, whatever the figures say.

    Parameters
    ----------
    name
        Which bench: a file of tests/bench.
    arguments
        What this bench alone understands, as `--long` of `window`.
    quick
        Less data and fewer rounds.
    json
        Write the figures here.
    """
    known = sorted(file.stem for file in BENCHES.glob("[a-z]*.py"))
    if name not in known:
        refuse(f"there is no bench {name!r}; there are: {', '.join(known) or 'none yet'}.")
    given = [*arguments, *(["--quick"] if quick else [])]
    if json is not None:
        given += ["--json", str(json.absolute())]
    become(f"tests.bench.{name}", *given, cwd=ROOT)
