"""The pages say what is true of the code, as far as a program can tell."""

import pytest

from tests.support import docs


def test_commands_links_settings_metrics_and_events_in_the_pages_exist() -> None:
    assert docs.complaints() == []


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("`./seedlift fly`", "there is no command 'fly'"),
        ("`./seedlift fleet token\\|fly`", "there is no command 'fleet fly'"),
        ("`./seedlift up --colour red`", "'up' knows no --colour"),
        ("./seedlift up --set control.port=1 \\\n  --ready red\n", "'up' knows no --ready"),
        ("`./seedlift check nothing`", "there is no check 'nothing'"),
        ("`./seedlift bench nothing`", "there is no bench 'nothing'"),
    ],
)
def test_a_command_that_does_not_exist_is_found(said: str, complaint: str) -> None:
    assert list(docs.commands(said)) == [complaint]


def test_commands_that_exist_are_left_alone() -> None:
    said = "`./seedlift up [--demo] [--port N]`, `./seedlift fleet token|list|retire`, `./seedlift test -k x`\n"
    assert list(docs.commands(said + "./seedlift db upgrade  # --now\n")) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    assert list(docs.links("[a](README.md#x) [b](nowhere.md) [c](https://example.org)")) == [
        "the link to nowhere.md leads nowhere"
    ]


def test_a_setting_that_is_missing_unknown_or_of_another_default_is_found() -> None:
    page = (docs.ROOT / "DEPLOYMENT.md").read_text()
    assert list(docs.settings(page)) == []
    wrong = page.replace("SEEDLIFT_LEASE_S", "SEEDLIFT_LEASH_S").replace("| `1.5` |", "| `2` |")
    assert sorted(docs.settings(wrong)) == [
        "control has no setting SEEDLIFT_LEASH_S",
        "control's SEEDLIFT_SYNC_S is by default `1.5`, not `2`",
        "control's setting SEEDLIFT_LEASE_S is not in its table",
    ]


def test_a_metric_that_is_made_up_or_not_explained_is_found() -> None:
    assert list(docs.metrics("| `control_magic_total{loop}` | x |\n", {"bus_connected"})) == [
        "there is no metric control_magic_total",
        "the metric bus_connected is not explained",
    ]


def test_an_event_that_nothing_logs_is_found() -> None:
    table = "<!-- events -->\n| event | what |\n|---|---|\n| `transfer.claimed` | x |\n| `transfer.eaten` | y |\n"
    assert list(docs.events(table)) == ["nothing logs transfer.eaten"]
