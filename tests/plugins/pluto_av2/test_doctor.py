"""What `pluto doctor` says about Argoverse 2."""

import shutil

import pytest

from pluto_av2.doctor import ROOT, examine
from pluto_core.moments import Surroundings


def look(root, tmp_path):
    """Return what is found where the variable has a value, or none."""
    environment = {} if root is None else {ROOT: str(root)}
    return list(examine(Surroundings(environment=environment, cache_home=tmp_path)))


def test_unset_is_a_note_and_wrong_is_broken(tmp_path):
    """Nobody needs Argoverse 2, but a variable that leads nowhere is a mistake."""
    assert [one.state for one in look(None, tmp_path)] == ["note"]
    assert [one.state for one in look(tmp_path / "nowhere", tmp_path)] == ["broken"]


@pytest.fixture
def recordings(shared_data):
    """Return the folder of recorded logs."""
    return shared_data / "av2"


def test_recordings_are_opened(recordings, tmp_path):
    """All of them open; one without its boxes is named."""
    (found,) = look(recordings, tmp_path)
    assert found.state == "ok"
    assert found.command == "pluto run experiments/av2.toml"
    boxes = next(recordings.rglob("annotations.feather"))
    shutil.copytree(boxes.parent, tmp_path / "logs" / boxes.parent.name)
    (tmp_path / "logs" / boxes.parent.name / boxes.name).write_bytes(b"")
    first, named = look(tmp_path / "logs", tmp_path)
    assert first.state == named.state == "broken"
    assert named.subject == boxes.parent.name
