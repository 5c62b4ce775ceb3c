"""The map in ARCHITECTURE.md: each file's first docstring line. `python -m tests.support.archmap` writes it anew;
with `--check` it only says whether it is current.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "packages/wire", "packages/bus", "packages/fetch", "packages/telemetry", "apps/control", "agent",
    "apps/stack", "apps/cli",
)  # fmt: skip
BEGIN, END = "<!-- map: written by tests.support.archmap -->", "<!-- end of map -->"


def first_line(path: Path) -> str | None:
    """A sentence that goes on in the next line is left out; the one before it says what the file is."""
    doc = ast.get_docstring(ast.parse(path.read_text()))
    if not doc:
        return None
    line = doc.splitlines()[0]
    whole = line.rpartition(". ")[0]
    return line if line.endswith(".") or not whole else f"{whole}."


def render() -> str:
    lines = []
    for room in ROOMS:
        lines.append(f"**`{room}/`** — {first_line(ROOT / room / '__init__.py')}\n")
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT / room)
            if name.name == "__init__.py" and (name.parent == Path() or not first_line(path)):
                continue
            shown = f"{name.parent}/" if name.name == "__init__.py" else name
            lines.append(f"- `{shown}`: {first_line(path)}")
        lines.append("")
    return "\n".join(lines)


def files_without_a_first_line() -> list[str]:
    files = (
        p for room in ROOMS for p in (ROOT / room).rglob("*.py") if p.name != "__init__.py" or p.parent == ROOT / room
    )
    return [str(p.relative_to(ROOT)) for p in files if not first_line(p)]


def written() -> str:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    return text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip("\n")


def complaints() -> list[str]:
    found = [f"{name} does not open with the sentence that says what it is" for name in files_without_a_first_line()]
    if written() != render().strip("\n"):
        found.append("ARCHITECTURE.md's map is not what the files say: run `python -m tests.support.archmap`")
    return found


def write() -> None:
    page = ROOT / "ARCHITECTURE.md"
    text = page.read_text()
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    page.write_text(f"{head}\n\n{render().strip()}\n\n{tail}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit("\n".join(complaints()) or 0)
    write()
