"""The map in ARCHITECTURE.md: each file's first docstring line. `python -m tests.support.archmap` writes it anew."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "packages/wire", "packages/bus", "packages/telemetry", "apps/control", "agent", "apps/stack", "apps/cli",
)  # fmt: skip
BEGIN, END = "<!-- map: written by tests.support.archmap -->", "<!-- end of map -->"


def first_line(path: Path) -> str | None:
    doc = ast.get_docstring(ast.parse(path.read_text()))
    return doc.splitlines()[0] if doc else None


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


def main() -> None:
    page = ROOT / "ARCHITECTURE.md"
    text = page.read_text()
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    page.write_text(f"{head}\n\n{render().strip()}\n\n{tail}")


if __name__ == "__main__":
    main()
