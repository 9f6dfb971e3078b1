"""What the pages of docs/ name has to exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAULTS = ROOT / "docs" / "faults.md"
if not FAULTS.exists():  # as in the sdist
    pytest.skip("there are no docs here", allow_module_level=True)
TESTS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", FAULTS.read_text())


@pytest.mark.parametrize(("path", "name"), sorted(set(TESTS)))
def test_a_test_of_a_fault_exists(path, name):
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_links_between_pages_lead_somewhere():
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
    ]
    for page in pages:
        for target in re.findall(r"\]\(([^):#]+\.md)[#)]", page.read_text()):
            assert (page.parent / target).is_file(), (page.name, target)
