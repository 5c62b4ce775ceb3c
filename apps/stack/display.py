"""What the person at the terminal sees: a live table while everything starts, plain lines otherwise."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from stack.supervise import Standing

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

MARKS = {
    Standing.STARTING: "[yellow]…[/]",
    Standing.RUNNING: "[green]✓[/]",
    Standing.WAITING: "[red]✗[/]",
    Standing.STOPPING: "[yellow]…[/]",
    Standing.STOPPED: "[dim]·[/]",
}


class Display:
    """Live between `with` on a terminal; after that, and where there is none, a line for each thing that happens."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[Standing, str]] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if sys.stdout.isatty():
            from rich.live import Live  # only here: without a terminal nobody needs its memory

            self._live = Live(self._table(), refresh_per_second=10)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.settle()

    def settle(self) -> None:
        """The table stays as it is; from now on lines."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, name: str, standing: Standing, remark: str) -> None:
        self._rows[name] = (standing, remark)
        if self._live is not None:
            self._live.update(self._table())
        else:
            self.say(f"{name}: {standing}{f' ({remark})' if remark else ''}")

    def say(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            print(line, flush=True)

    def _table(self) -> "Table":
        from rich.table import Table

        table = Table(box=None, show_header=False, padding=(0, 1))
        for name, (standing, remark) in self._rows.items():
            table.add_row(MARKS[standing], name, standing.value, f"[dim]{remark}[/]")
        return table
