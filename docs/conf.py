"""How Sphinx builds the documentation: `make docs`."""

import os
import sys
from pathlib import Path

from sktime_llm import __version__

HERE = Path(__file__).parent

# What the pages execute: offline, from this checkout, with the commands of this
# environment, and on as many threads as a small machine has.
BIN = Path(sys.executable).parent
os.environ["PATH"] = os.pathsep.join([str(BIN), os.environ["PATH"]])
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), str(HERE / "examples")])
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # of tqdm

project = "sktime-llm"
author = "sktime-llm developers"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = True
# Parameters and attributes in single backticks have no page of their own.
nitpick_ignore_regex = [("py:obj", r"[a-z_]+")]
default_role = "autolink"  # names in docstrings that have a page are links

# Markdown
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

# Execution. Every code cell runs, and the outputs on the pages are theirs.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_show_tb = True  # and a failing cell is a warning, which fails the build
nb_execution_timeout = 300
nb_merge_streams = True
# A warning fails the build, unless its cell has the tag "remove-stderr".
nb_output_stderr = "remove-warn"

# Reference
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Theme
html_theme = "pydata_sphinx_theme"
html_title = "sktime-llm"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "github_url": "https://github.com/sktime/sktime-llm",
    "navbar_align": "left",
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
html_sidebars = {name: [] for name in ("index", "getting_started", "results")}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
