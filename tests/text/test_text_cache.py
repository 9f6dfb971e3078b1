"""Texts on disk."""

import os
import subprocess
import sys

import pytest

from sktime_llm.text._endpoint import TextCache


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    cache = TextCache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.put({"a": 1}, "text")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert cache.get({"a": 1}) is None


_WRITE_AND_READ = """
import sys
from sktime_llm.text._endpoint import TextCache

cache = TextCache(sys.argv[1])
text = sys.argv[2] * 50_000
for _ in range(50):
    cache.put({"a": 1}, text)
    found = cache.get({"a": 1})
    assert len(found) == 50_000 and len(set(found)) == 1, found[:20]
"""


def test_several_processes_share_a_cache(tmp_path):
    workers = [
        subprocess.Popen([sys.executable, "-c", _WRITE_AND_READ, str(tmp_path), letter])
        for letter in "xyz"
    ]
    assert [worker.wait(120) for worker in workers] == [0, 0, 0]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
