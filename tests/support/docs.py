"""What the pages say, held against the code: commands, links, settings, metrics and log events.

`python -m tests.support.docs` prints what is wrong.
"""

import ast
import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from cyclopts import App

from agent.config import Settings as AgentSettings
from cli.__main__ import app
from cli.check import CHECKS
from control.config import Settings as ControlSettings
from stack.config import Settings as StackSettings
from wire.settings import PREFIX

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("README.md", "ARCHITECTURE.md", "DEPLOYMENT.md", "OBSERVABILITY.md", "CONTRIBUTING.md")
CODE = ("apps", "packages", "agent")
RULES = ROOT / "infra" / "prometheus" / "alerts.yml"
SETTINGS: dict[str, type[msgspec.Struct]] = {"control": ControlSettings, "agent": AgentSettings, "stack": StackSettings}
KINDS = ("Counter", "Gauge", "Histogram", "Summary")

_WORD = re.compile(r"[a-z][a-z-]*(\|[a-z-]+)*")
_OPTION = re.compile(r"--[a-z][a-z-]*")
_METRIC = re.compile(r"\b(?:control|agent|bus|seedlift)_[a-z0-9_]+\b")
_EVENT = re.compile(r"`([a-z]+\.[a-z_]+)`")


def complaints(root: Path = ROOT) -> list[str]:
    texts = {name: (root / name).read_text() for name in PAGES}
    found = [f"{name}: {wrong}" for name, text in texts.items() for wrong in (*commands(text), *links(text, root))]
    found += [f"DEPLOYMENT.md: {wrong}" for wrong in settings(texts["DEPLOYMENT.md"])]
    watched = texts["OBSERVABILITY.md"]
    found += [f"OBSERVABILITY.md: {wrong}" for wrong in (*metrics(watched, metrics_of(root)), *events(watched, root))]
    rules = metrics_named(RULES.read_text()) - metrics_of(root)
    return found + [f"{RULES.name}: there is no metric {name}" for name in sorted(rules)]


def commands(text: str) -> Iterator[str]:
    """Every `./seedlift …`: its verbs, and the options that follow them, are what the command itself knows."""
    for said in re.findall(r"\./seedlift ((?:[^`\n\\]|\\\n|\\\|)*)", text):
        words = re.sub(r"\s+#.*|\\\n", " ", said.replace("\\|", "|")).split()
        verbs = []
        for word in words:
            if not _WORD.fullmatch(word):
                break
            verbs.append(word)
        for each in verbs[-1].split("|") if verbs else [""]:
            yield from _command([*verbs[:-1], each], _OPTION.findall(" ".join(words)))


def _command(verbs: list[str], options: list[str]) -> Iterator[str]:
    found: App = app
    path: list[str] = []
    for verb in verbs:
        if verb in found:
            found, path = found[verb], [*path, verb]
        elif path == ["check"] and verb not in CHECKS:
            yield f"there is no check {verb!r}"
        elif path == ["bench"] and not (ROOT / "tests" / "bench" / f"{verb}.py").exists():
            yield f"there is no bench {verb!r}"
        elif found is app or found.default_command is None:
            yield f"there is no command {' '.join([*path, verb])!r}"
            return
    if path == ["test"]:
        return  # what follows is pytest's
    known = _help(path)
    for option in options:
        if not re.search(rf"{option}\b(?!-)", known):
            yield f"{' '.join(path)!r} knows no {option}"


def _help(path: list[str]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app([*path, "--help"])
    return said.getvalue()


def links(text: str, root: Path = ROOT) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:", "#", "mailto:")):
            name, _, _ = target.partition("#")
            if not (root / name).exists():
                yield f"the link to {target} leads nowhere"


def settings(text: str) -> Iterator[str]:
    """Each table has exactly the fields of its Struct, and their defaults."""
    for program, kind in SETTINGS.items():
        _, mark, rest = text.partition(f"<!-- settings: {program} -->\n")
        table = rest.partition("\n\n")[0]
        rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*?) \|", table, re.MULTILINE)) if mark else {}
        fields = {field.name.upper(): _default(field) for field in msgspec.structs.fields(kind)}
        for name in fields.keys() - rows.keys():
            yield f"{program}'s setting {PREFIX}{name} is not in its table"
        for name in rows.keys() - fields.keys():
            yield f"{program} has no setting {PREFIX}{name}"
        for name in fields.keys() & rows.keys():
            if rows[name] != fields[name]:
                yield f"{program}'s {PREFIX}{name} is by default {fields[name]}, not {rows[name]}"


def _default(field: Any) -> str:
    if field.required:
        return "required"
    match field.default:
        case None:
            return "none"
        case "":
            return "empty"
        case bool() as value:
            return f"`{str(value).lower()}`"
        case Path() as value:
            return f"`{value.relative_to(ROOT)}`"
        case value:
            return f"`{value}`"


def metrics(text: str, known: set[str]) -> Iterator[str]:
    rows = re.findall(r"^\| `([^`]*)`", text, re.MULTILINE)
    queries = re.findall(r"^```promql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    named = metrics_named("\n".join([*rows, *queries]))
    yield from (f"there is no metric {name}" for name in sorted(named - known))
    yield from (f"the metric {name} is not explained" for name in sorted(known - named))


def metrics_named(text: str) -> set[str]:
    """Without what Prometheus puts behind a histogram's name."""
    text = re.sub(r"#.*", "", text) if text.startswith("groups:") else text
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in _METRIC.findall(text)}


def metrics_of(root: Path) -> set[str]:
    """As they are exposed: a counter ends in `_total`."""
    names = set()
    for node in _nodes(root):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
            match node.args:
                case [ast.Constant(str(name)), *_]:
                    names.add(f"{name.removesuffix('_total')}_total" if node.func.id == "Counter" else name)
    return names


def events(text: str, root: Path = ROOT) -> Iterator[str]:
    """The table of log events names only what is logged somewhere."""
    table = text.partition("<!-- events -->\n")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    logged = {node.value for node in _nodes(root) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for name in _EVENT.findall("\n".join(cells)):
        if name not in logged:
            yield f"nothing logs {name}"


def _nodes(root: Path) -> Iterator[ast.AST]:
    for room in CODE:
        for path in sorted((root / room).rglob("*.py")):
            yield from ast.walk(ast.parse(path.read_text()))


if __name__ == "__main__":
    sys.exit("\n".join(complaints()) or 0)
