import pytest
import torch

from sktime_llm import _devices as devices
from sktime_llm._devices import (
    RandomStream,
    autocast,
    own_random_numbers,
    resolve_device,
)
from sktime_llm.errors import DeviceNotAvailableError, InputError

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("present", "rank", "expected"),
    [
        (["cpu"], "", "cpu"),
        (["cpu"], "1", "cpu"),
        (["mps", "cpu"], "", "mps"),
        (["cuda", "mps", "cpu"], "", "cuda"),
        (["cuda", "mps", "cpu"], "1", "cuda:1"),
    ],
)
def test_auto_takes_the_best_there_is(present, rank, expected, monkeypatch):
    monkeypatch.setattr(devices, "_count", lambda kind: 2 * (kind in present))
    monkeypatch.setenv("LOCAL_RANK", rank)
    assert resolve_device("auto") == torch.device(expected)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "tpu"])
def test_unknown_device(name):
    with pytest.raises(InputError, match="expected 'auto', 'cpu', 'cuda'"):
        resolve_device(name)


def test_absent_device_is_not_replaced(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceNotAvailableError, match=r"'cuda:1'.* finds 0 device"):
        resolve_device("cuda:1")


def test_unknown_precision():
    with pytest.raises(InputError, match="float16"):
        autocast("float16", CPU)


def test_precision_that_the_device_lacks(monkeypatch):
    monkeypatch.setattr(devices, "_has_bfloat16", lambda device: False)
    with pytest.raises(DeviceNotAvailableError, match=r"bfloat16.*does not have it"):
        autocast("bfloat16", CPU)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("float32", torch.float32),
        ("bfloat16", torch.bfloat16),
        ("auto", torch.float32),
    ],
)
def test_precision_is_what_is_computed_in(precision, dtype):
    with autocast(precision, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_a_random_stream_goes_on_where_it_was():
    expected = torch.rand(6, generator=torch.Generator().manual_seed(3))
    before = torch.get_rng_state()
    one, other = RandomStream(3, CPU), RandomStream(4, CPU)
    with one.drawing():
        first = torch.rand(2)
        with other.drawing():
            torch.rand(9)
        second = torch.rand(2)
    with other.drawing():
        torch.rand(1)
    with pytest.raises(KeyboardInterrupt), one.drawing():
        raise KeyboardInterrupt
    with one.drawing():
        third = torch.rand(2)
    assert torch.equal(torch.cat([first, second, third]), expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.gpu
def test_a_random_stream_on_a_gpu():
    device = torch.device("cuda")
    with torch.random.fork_rng(devices=[0]):
        torch.cuda.manual_seed(3)
        expected = torch.rand(4, device=device)
    before, stream = torch.cuda.get_rng_state(), RandomStream(3, device)
    parts = []
    for _ in range(2):
        with stream.drawing():
            parts.append(torch.rand(4, device=device))
    assert torch.equal(parts[0], expected)
    assert not torch.equal(*parts)
    assert torch.equal(torch.cuda.get_rng_state(), before)


DRAWS = [
    lambda: torch.randn(40),
    lambda: torch.rand(20),
    lambda: torch.randint(9, (5,)),
    lambda: torch.randperm(7),
    lambda: torch.empty(30).normal_(),
    lambda: torch.empty(3, 4).uniform_(),
    lambda: torch.normal(0.0, 1.0, (4,)),
    lambda: torch.bernoulli(torch.full((9,), 0.5)),
    lambda: torch.nn.init.trunc_normal_(torch.empty(50)),
    lambda: torch.nn.init.orthogonal_(torch.empty(4, 4)),
    lambda: torch.nn.Linear(4, 5).weight,
]


def test_own_random_numbers_are_those_of_the_shared_generator():
    with RandomStream(3, CPU).drawing():
        expected = [draw() for draw in DRAWS]
    before = torch.get_rng_state()
    with own_random_numbers(3):
        for draw, numbers in zip(DRAWS, expected, strict=True):
            assert torch.equal(draw(), numbers)
    assert torch.equal(torch.get_rng_state(), before)


def test_own_random_numbers_nest_and_end():
    with own_random_numbers(3):
        with own_random_numbers(4):
            inner = torch.rand(3)
        outer = torch.rand(3)
    after = torch.rand(3)
    generators = [torch.Generator().manual_seed(seed) for seed in (4, 3)]
    assert torch.equal(inner, torch.rand(3, generator=generators[0]))
    assert torch.equal(outer, torch.rand(3, generator=generators[1]))
    assert not torch.equal(after, torch.rand(3, generator=generators[1]))
