"""What an agent says of itself, read from its settings; what cannot be said is refused at the start."""

from pathlib import Path

import pytest

from agent.about import about, check
from agent.config import Settings
from wire.settings import BadSettings


def test_region_labels_and_disk_are_said(tmp_path: Path) -> None:
    settings = Settings(agent_dir=tmp_path, agent_region="eu-1", agent_labels="rack=7, disk=nvme,")
    check(settings)
    said = about(settings, 10, -1)
    assert (said.region, said.labels) == ("eu-1", {"rack": "7", "disk": "nvme"})
    assert (said.disk_budget_bytes, said.disk_free_bytes) == (10, 0)


@pytest.mark.parametrize("labels", ["rack", "=7", "rack=", "a b=c", "k=" + "x" * 64])
def test_a_label_that_is_none_is_refused_by_name(tmp_path: Path, labels: str) -> None:
    with pytest.raises(BadSettings, match="SEEDLIFT_AGENT_LABELS"):
        check(Settings(agent_dir=tmp_path, agent_labels=labels))
