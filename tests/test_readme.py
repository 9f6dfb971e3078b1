"""The readme is also shown on the package index, which has none of the other files."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = "https://github.com/sktime/sktime-llm/blob/main/"


def links():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    inline = re.findall(r"\]\(([^)\s]+)\)", text)
    return inline + re.findall(r"^\[[^\]]+\]: +(\S+)$", text, re.MULTILINE)


def test_links_are_whole_addresses():
    assert len(links()) > 10
    assert [link for link in links() if not link.startswith("https://")] == []


def test_linked_files_exist():
    if not (ROOT / ".git").exists():
        pytest.skip("a release has only some of the files")
    paths = [link.removeprefix(FILES) for link in links() if link.startswith(FILES)]
    assert len(paths) >= 6
    assert [path for path in paths if not (ROOT / path).is_file()] == []


def test_names_of_links_are_defined():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    used = set(re.findall(r"\]\[([^\]]+)\]", text))
    assert used == set(re.findall(r"^\[([^\]]+)\]: ", text, re.MULTILINE))
