import os
import stat
from pathlib import Path

import pytest

from sktime_llm._files import replacing


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail_midway():
        with replacing(path) as beside:
            beside.write_text("half")
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail_midway()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_keeps_pointing_to_the_file_that_is_replaced(tmp_path):
    path, link = tmp_path / "table.csv", tmp_path / "link.csv"
    path.write_text("old")
    link.symlink_to(path)
    with replacing(link) as beside:
        beside.write_text("new")
    assert link.is_symlink()
    assert path.read_text() == "new"


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_stays(mode, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as beside:
        beside.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path):
    with replacing(tmp_path / "table.csv") as beside:
        beside.write_text("new")
    (tmp_path / "other").touch()
    modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert len(modes) == 1


def test_what_is_no_regular_file_is_written_to():
    device = Path(os.devnull)
    with replacing(device) as beside:
        assert beside == device.resolve()
    assert not device.is_file()
