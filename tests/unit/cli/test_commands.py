"""The command: every verb teaches, and starts what it should."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli import fleet, lock
from cli.__main__ import app

VERBS = ["up", "test", "check", "bench", "lock", "api", "work", "db upgrade", "agent run", "agent enrol"]
VERBS += ["fleet token", "fleet list", "fleet show", "fleet cordon", "fleet uncordon", "fleet drain", "fleet rename"]
VERBS += ["fleet limit", "fleet retire", "fleet pools", "fleet pool", "fleet init"]
VERBS += ["dead-letter list", "dead-letter replay"]
VERBS += ["audit verify"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_that_says_what_it_does(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        app([*verb.split(), "--help"])
    assert not ended.value.code
    said = capsys.readouterr().out
    assert f"Usage: seedlift {verb}" in said
    assert len(said.split("\n\n")[1]) > 20


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from cli.__main__ import app\n"
        "try: app(['up', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('httpx', 'stack', 'control', 'agent', 'cryptography', 'libtorrent') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.endswith("[]\n")


def seedlift(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), **env}
    return subprocess.run([sys.executable, "-m", "cli", *arguments], env=environ, capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments", [("check", "nothing"), ("bench", "nothing"), ("fleet", "list", "--data", "/none")]
)
def test_a_refusal_is_one_sentence_and_no_traceback(arguments: tuple[str, ...]) -> None:
    result = seedlift(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("seedlift: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("said", "bytes_a_second"), [("0", 0), ("500K", 512_000), ("1.5M", 1_572_864), ("16384", 16_384)]
)
def test_a_speed_is_bytes_a_second_or_short_for_them(said: str, bytes_a_second: int) -> None:
    assert fleet._speed(said) == bytes_a_second


@pytest.mark.parametrize("said", ["", "K", "fast", "1T", "inf", "nanM", "4 MB"])
def test_what_is_no_speed_is_refused_with_a_sentence(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        fleet._speed(said)
    assert "is no speed" in capsys.readouterr().err


def test_what_one_bench_alone_understands_reaches_it() -> None:
    result = seedlift("bench", "window", "--quick", "--longer")
    assert result.returncode == 2
    assert "unrecognized arguments: --longer" in result.stderr


def test_an_unknown_setting_is_refused_by_name() -> None:
    result = seedlift("up", SEEDLIFT_COLOUR="red")
    assert result.returncode == 1
    assert "unknown setting SEEDLIFT_COLOUR" in result.stderr


def test_a_local_operator_is_found_in_the_data_folder_and_an_absent_api_is_said(tmp_path: Path) -> None:
    (tmp_path / "operator.json").write_text(json.dumps({"url": "http://127.0.0.1:9", "api_key": "slk_0_x"}))
    result = seedlift("fleet", "list", "--data", str(tmp_path))
    assert result.returncode == 1
    assert "http://127.0.0.1:9 does not answer" in result.stderr


def test_a_table_has_every_cell_whole_also_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, object]] = [
        {"name": "rack-1", "disk_free_bytes": 3 * 2**30, "seen_at": "2026-11-21T15:00:00.123456Z", "region": "x" * 63},
        {"name": "a-longer-name", "disk_free_bytes": None, "seen_at": None, "region": ""},
    ]
    fleet._table(rows, ("name", "region", "disk_free_bytes", "seen_at"), as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        f"name           region{' ' * 57}  disk_free  seen",
        f"rack-1         {'x' * 63}  3.0 GiB    2026-11-21 15:00:00",
        "a-longer-name",
    ]


def test_the_lock_names_no_address() -> None:
    assert lock.addresses(lock.LOCK.read_text()) == []
    assert lock.addresses("--index-url https://example.org/simple\nuv==1\n") == [
        "--index-url https://example.org/simple"
    ]


def test_a_lock_that_does_not_fit_the_project_is_told_apart() -> None:
    project = (
        '[project]\nname = "seedlift"\ndependencies = ["uv", "Ruff"]\n[project.optional-dependencies]\nx = ["y[z]"]'
    )
    entry = "{0}==1 \\\n    --hash=sha256:00\n    # via seedlift (pyproject.toml)\n"
    good = "# made by us\n" + "".join(entry.format(name) for name in ("ruff", "uv", "y"))
    assert lock.complaints(good, project) == []
    assert lock.complaints(good.replace("uv==", "vu=="), project) == [
        "uv is in pyproject.toml and not in the lock: run ./seedlift lock",
        "vu is locked and not in pyproject.toml: run ./seedlift lock",
    ]
    assert lock.complaints(good + "late==1\n", project) == ["late is locked without a hash"]
