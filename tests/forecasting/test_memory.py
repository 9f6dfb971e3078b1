"""What many fits and updates leave behind, counted exactly: nothing."""

import functools
import gc
import sys
import weakref
from collections import Counter
from typing import NamedTuple

import pytest
import torch

from .common import each_forecaster, make_series

pytestmark = [each_forecaster, pytest.mark.slow]

N_WARM, N_FITS, N_UPDATES = 5, 50, 200
TENSORS = (torch.Tensor, torch.nn.Parameter)


class Alive(NamedTuple):
    """Bytes of tensors, blocks that Python has allocated, and objects by type."""

    n_bytes: int
    n_blocks: int
    objects: Counter


def alive():
    clear_caches_of_sktime()
    gc.collect()
    n_blocks = sys.getallocatedblocks()
    # pandas drops dead references to a frame from time to time
    objects = [o for o in gc.get_objects() if type(o) is not weakref.ReferenceType]
    storages = [o.untyped_storage() for o in objects if type(o) in TENSORS]
    sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
    kinds = Counter(type(o).__name__ for o in objects)
    return Alive(sum(sizes.values()), n_blocks, kinds)


def clear_caches_of_sktime():
    """Forget the last 128 horizons, which sktime keeps."""
    for each in gc.get_objects():
        is_cache = type(each) is functools._lru_cache_wrapper
        if is_cache and str(each.__module__).startswith("sktime."):
            each.cache_clear()


def repeat(step, n_rounds):
    """Take steps, and look at what those after the first few leave behind."""
    for _ in range(N_WARM):
        step()
    alive()  # looking leaves something behind itself, once
    before = alive()
    for _ in range(n_rounds):
        step()
    after = alive()
    assert after.n_bytes <= before.n_bytes
    # less than one object in two rounds, of any kind
    grown = after.objects - before.objects
    assert {kind: n for kind, n in grown.items() if n > n_rounds // 2} == {}
    # the references of pandas to frames of the test, at most 500 of each
    assert after.n_blocks - before.n_blocks < 2000 + 2 * n_rounds


def test_fits_leave_nothing_behind(make):
    y = make_series()
    repeat(lambda: make(max_epochs=1).fit(y, fh=[1, 2]).predict(), N_FITS)


@pytest.mark.parametrize("trains", [False, True])
def test_a_stream_of_updates_leaves_nothing_behind(make, trains):
    y = make_series(60 + N_WARM + N_UPDATES)
    forecaster = make(max_epochs=1).fit(y[:60])
    rows = iter(range(60, len(y)))

    def update():
        row = next(rows)
        forecaster.update(y[row : row + 1], update_params=trains)
        forecaster.predict(fh=[1])

    repeat(update, N_UPDATES)
