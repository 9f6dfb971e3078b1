import torch

from sktime_llm.layers.time_space import TimeSpaceBlock
from tests.layers.tools import random, shaken

BATCH, SERIES, TOKENS, WIDTH, HEADS, KV_HEADS = 2, 3, 4, 8, 4, 2
ALL, INTRA, INTER, NONE = (
    {"intra_series": intra, "inter_series": inter}
    for intra, inter in ((True, True), (True, False), (False, True), (False, False))
)

close = torch.testing.assert_close


def make_block(parts=ALL, **kwargs):
    torch.manual_seed(0)
    return shaken(TimeSpaceBlock(WIDTH, HEADS, KV_HEADS, d_ff=12, **parts, **kwargs))


def make_tokens():
    return random(BATCH, SERIES, TOKENS, WIDTH)


def test_memory_is_linear_in_the_number_of_series():
    def kept_bytes(n_series):
        kept = {}

        def pack(t):
            storage = t.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return t

        block = make_block(dropout=0.1).float()
        tokens = torch.randn(2, n_series, 3, WIDTH)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            out = block(tokens)
        return sum(kept.values()) / n_series + 0 * float(out.detach().sum())

    assert kept_bytes(200) < 1.1 * kept_bytes(100)
