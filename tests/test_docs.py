"""What the pages of docs/ name has to exist; `make docs` runs their examples."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from sktime_llm.cli._arguments import make_parser

ROOT = Path(__file__).parents[1]
FAULTS = ROOT / "docs" / "faults.md"
if not FAULTS.exists():  # as in the sdist
    pytest.skip("there are no docs here", allow_module_level=True)
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
FILES = re.compile(
    r"https://github\.com/sktime/sktime-llm/(?:blob|tree)/main/([\w./-]+)"
)
TESTS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", FAULTS.read_text())


@pytest.mark.parametrize(("path", "name"), sorted(set(TESTS)))
def test_a_test_of_a_fault_exists(path, name):
    assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^):#]+\.md)[#)]", text):
        assert (page.parent / target).is_file(), target
    for path in FILES.findall(text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_shown_but_not_run_could_run(page):
    """Blocks that need the Hub, a tracker or other hardware; names have to exist."""
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(
                "sktime_llm"
            ):
                for name in node.names:
                    assert hasattr(import_module(node.module), name.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_of_the_command_exist(page):
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```(?:console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for line in re.findall(
        r"^(?:\$ )?sktime-llm (.*)", "\n".join(blocks), re.MULTILINE
    ):
        make_parser().parse_args(shlex.split(line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_pattern_of_a_download_has_its_option(page):
    """Words without one are names of files, for which patterns are ignored."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^\$ hf download (.*)", text, re.MULTILINE):
        words = shlex.split(line)
        assert all(option.startswith("--") for option in words[1::2]), line
