"""Try the package that is installed as a new user would; offline, about a minute.

    python .ci/smoke.py

Name the versions; fit every forecaster on an encoder, on a decoder and on the weights
of the extra [embedded]; load each in another process, which must forecast the same;
compare forecasters by the command. What a dependency calls deprecated is an error where
the package itself uses it. Needs the extra [all].
"""

import json
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.metadata import requires, version
from importlib.util import find_spec
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported

BACKBONES = ["tiny-random", "tiny-random-decoder", None]  # None for the default
LOAD = """
import json, sys
from sktime.base import load
from sktime_llm import load_pretrained

for read, end in ((load, ""), (load_pretrained, ".pretrained")):
    print(json.dumps([read(path + end).predict().tolist() for path in sys.argv[1:]]))
"""


class DeprecatedUseError(Exception):
    """Something deprecated is used."""


class _LoggedDeprecation(logging.Handler):
    def emit(self, record):
        if "deprecated" in record.getMessage():
            raise DeprecatedUseError(record.getMessage())


def refuse_deprecated_uses():
    """Turn into errors what dependencies say of the package's own calls.

    Filters would not do, as some dependencies put their own before them.
    """
    # a warning about an argument of a model points to the decorators around it
    blamed = ("sktime_llm", "transformers", "torch.nn.modules")
    origins = [Path(find_spec(name).origin) for name in blamed]
    folders = tuple(f"{origin.parent}{os.sep}" for origin in origins)
    show = warnings.showwarning

    def raise_or_show(message, category, filename, *where):
        deprecated = category in (DeprecationWarning, FutureWarning)
        if deprecated and filename.startswith(folders):
            raise DeprecatedUseError(message)
        show(message, category, filename, *where)

    warnings.filterwarnings("default", category=DeprecationWarning, module="sktime_llm")
    warnings.showwarning = raise_or_show
    logging.getLogger("transformers").addHandler(_LoggedDeprecation())


def print_versions():
    print(f"{'python':<20} {platform.python_version()}")
    direct = [
        re.match(r"[\w-]+", requirement).group()
        for requirement in requires("sktime-llm")
        if not re.search(r"extra == .(all|dev|docs|quantized|ray)\b", requirement)
    ]
    for name in ["sktime-llm", *sorted(direct)]:
        print(f"{name:<20} {version(name)}")


def fit_all():
    """Fit every forecaster on every backbone; give them by name."""
    from sktime.datasets import load_airline

    from sktime_llm import BALMTSFForecaster, CALFForecaster, LLMTSNetForecaster

    fitted = {}
    for kind in (CALFForecaster, BALMTSFForecaster, LLMTSNetForecaster):
        for backbone in BACKBONES:
            options = {} if backbone is None else {"backbone": backbone}
            options |= {"context_length": 36, "d_ff": 16, "max_epochs": 1}
            forecaster = kind(**options, random_state=0, verbose=0)
            start = time.perf_counter()
            forecaster.fit(load_airline(), fh=range(1, 13))
            seconds = time.perf_counter() - start
            name = f"{kind.__name__}-{backbone or 'default'}"
            print(f"{name:<40} {seconds:5.1f} s")
            fitted[name] = forecaster
    return fitted


def check_saving(fitted, folder):
    """Save all, load them in another process, and compare the forecasts."""
    import numpy as np

    expected = [forecaster.predict().tolist() for forecaster in fitted.values()]
    assert np.isfinite(expected).all()
    paths = [str(folder / name) for name in fitted]
    for forecaster, path in zip(fitted.values(), paths, strict=True):
        forecaster.save(path)
        forecaster.save_pretrained(f"{path}.pretrained")
    loaded = subprocess.run(
        [sys.executable, "-c", LOAD, *paths], check=True, stdout=subprocess.PIPE
    )
    found = [json.loads(line) for line in loaded.stdout.splitlines()]
    assert found == [expected, expected]
    print("saved, and loaded in another process: the same forecasts")


def check_command(folder):
    """Run the command as it is installed, and a comparison in this process."""
    from sktime_llm.cli import main

    command = shutil.which("sktime-llm", path=os.path.dirname(sys.executable))
    subprocess.run([command, "--help"], check=True)
    options = ["--dataset", "airline", "--forecasters", "naive", "auto-ets", "calf"]
    options += ["--backbone", "tiny-random", "--max-epochs", "1", "--folds", "1"]
    assert main(["compare", *options, "--quiet", "--output", str(folder)]) == 0
    files = {path.name for path in folder.iterdir()}
    assert files >= {"results.csv", "forecasts.csv", "forecasts.png"}


if __name__ == "__main__":
    print_versions()
    refuse_deprecated_uses()
    with tempfile.TemporaryDirectory() as work:
        check_saving(fit_all(), Path(work))
        check_command(Path(work, "compared"))
    print("all went well")
