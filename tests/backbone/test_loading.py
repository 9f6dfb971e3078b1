"""Configurations, tokenizers and frozen weights: read right, once, and refused."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sktime_llm.backbone import files, loading
from sktime_llm.backbone.loading import (
    BackboneSource,
    FrozenModel,
    clear_backbone_cache,
    count_layers,
    load_config,
    load_frozen,
    load_tokenizer,
)
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    InputError,
    UnsupportedBackboneError,
)

TINY = BackboneSource("tiny-random")


@pytest.fixture
def copied(folders, tmp_path):
    """A copy of a model's folder, to be spoiled."""

    def copy(kind="gpt2"):
        return Path(shutil.copytree(folders[kind], tmp_path / kind))

    return copy


@pytest.fixture
def count_calls(monkeypatch):
    """Count the calls of a function, while it goes on working."""

    def count(owner, name, seconds=0.0):
        original = getattr(owner, name)
        calls = []

        def counted(*args, **kwargs):
            calls.append(args)
            time.sleep(seconds)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)
        return calls

    return count


def in_threads(function, n=8):
    """Call a function from `n` threads at the same moment; give the results."""
    start = threading.Barrier(n)
    results = []

    def run():
        start.wait()
        results.append(function())

    threads = [threading.Thread(target=run) for _ in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == n
    return results


# configurations and layers


@pytest.mark.parametrize(
    ("kind", "model_class"),
    [("bert", "BertModel"), ("gpt2", "GPT2Model"), ("qwen3", "Qwen3Model")],
)
def test_first_layers_are_kept(folders, kind, model_class):
    frozen = load_frozen(BackboneSource(folders[kind], n_layers=2))
    assert type(frozen.model).__name__ == model_class
    assert frozen.model.config.num_hidden_layers == 2
    saved = load_file(Path(folders[kind]) / "model.safetensors")
    kept = dict(frozen.model.named_parameters())
    table = "wte.weight" if kind == "gpt2" else "word_embeddings.weight"
    table = "embed_tokens.weight" if kind == "qwen3" else table
    left_out = {name for name in saved if name not in kept}
    assert kept.keys() <= saved.keys()
    assert all(
        name.endswith(table) or name.startswith("pooler") or ".2." in name
        for name in left_out
    )
    for name, parameter in kept.items():
        assert torch.equal(parameter, saved[name])
    words = next(name for name in left_out if name.endswith(table))
    assert torch.equal(frozen.word_embeddings, saved[words])


def test_frozen_models_are_frozen(folders):
    frozen = load_frozen(BackboneSource(folders["bert"]))
    assert not frozen.model.training
    assert not frozen.word_embeddings.requires_grad
    assert all(not p.requires_grad for p in frozen.model.parameters())
    assert {p.dtype for p in frozen.model.parameters()} == {torch.float32}


def test_half_precision_files_are_read_as_float32(copied):
    folder = copied()
    weights = load_file(folder / "model.safetensors")
    half = {name: tensor.half() for name, tensor in weights.items()}
    save_file(half, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    frozen = load_frozen(BackboneSource(str(folder)))
    assert {p.dtype for p in frozen.model.parameters()} == {torch.float32}
    assert frozen.word_embeddings.dtype == torch.float32


def test_number_of_layers(folders):
    config = load_config(folders["llama"])
    assert [count_layers(config, n) for n in (None, 1, 3)] == [3, 1, 3]
    config.num_hidden_layers = 24
    assert count_layers(config, None) == 6  # as published


@pytest.mark.parametrize(
    ("n_layers", "expected"),
    [
        (0, "an integer of at least 1"),
        (4, "between 1 and the 3 layers of this 'llama' model, or None"),
    ],
)
def test_number_of_layers_out_of_range(folders, n_layers, expected):
    message = rf"^n_backbone_layers={n_layers}, expected {expected}\.$"
    with pytest.raises(InputError, match=message):
        load_frozen(BackboneSource(folders["llama"], n_layers=n_layers))


def test_tiny_models_do_not_remember_what_was_asked_for():
    for seed in (None, 1):
        one = load_frozen(BackboneSource("tiny-random", None, 1, seed))
        two = load_frozen(BackboneSource("tiny-random", None, 2, seed))
        assert len(one.model.encoder.layer) == 1
        assert len(two.model.encoder.layer) == 2
    load_config("tiny-random").hidden_size = 7
    assert load_config("tiny-random").hidden_size == 16


def test_reading_needs_no_network(folders, minilm, no_network):
    for name in (folders["gpt2"], minilm, "tiny-random"):
        load_config(name)
        load_frozen(BackboneSource(name, n_layers=1))
    load_tokenizer(minilm)
    assert no_network == []


# what is refused


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("t5", {"vocab_size": 40, "d_model": 16, "num_layers": 1, "num_heads": 2}),
        ("vit", {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}),
        ("mamba", {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1}),
    ],
)
def test_other_models_are_refused(save_model, kind, options):
    folder = save_model(kind, **options)
    message = (
        rf"{kind}.*is a '{kind}' model; expected an encoder .*BERT.*decoder.*GPT-2"
    )
    with pytest.raises(UnsupportedBackboneError, match=message):
        load_frozen(BackboneSource(folder))


def test_narrow_word_embeddings_are_refused(save_model):
    options = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    folder = save_model("albert", vocab_size=40, embedding_size=8, **options)
    message = r"AlbertModel has word embeddings of width 8 and a hidden size of 16"
    with pytest.raises(UnsupportedBackboneError, match=message):
        load_frozen(BackboneSource(folder))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "not a valid JSON file"),
        ('{"model_type": "from-the-future"}', "from-the-future"),
    ],
)
def test_unreadable_config(copied, config, reason):
    folder = copied()
    (folder / "config.json").write_text(config)
    message = rf"config\.json that transformers cannot read.*{reason}"
    with pytest.raises(UnsupportedBackboneError, match=message):
        load_config(str(folder))


@pytest.mark.parametrize("answer", ["y", "n"])
def test_code_of_a_model_is_never_run(copied, monkeypatch, answer):
    questions = []
    monkeypatch.setattr("builtins.input", lambda *a: questions.append(a) or answer)
    folder = copied()
    ran = folder / "ran"
    (folder / "code.py").write_text(
        f"open({str(ran)!r}, 'w').close()\n"
        "from transformers import GPT2Config as Config, GPT2Model as Model\n"
        "from transformers import PreTrainedTokenizerFast as Tokenizer\n"
    )
    config = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "code.Config", "AutoModel": "code.Model"}
    config = {**config, "auto_map": auto}
    # an architecture that transformers has: its own code is used
    (folder / "config.json").write_text(json.dumps(config))
    load_frozen(BackboneSource(str(folder)))
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "new"}))
    with pytest.raises(UnsupportedBackboneError, match=r"running code .*never done"):
        load_config(str(folder))
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {
        "tokenizer_class": "T",
        "auto_map": {"AutoTokenizer": ["code.T", None]},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    with pytest.raises(BackboneNotFoundError, match=r"no tokenizer .*tokenizer\.json"):
        load_tokenizer(str(folder))
    (folder / "vocab.json").write_text("{}")
    with pytest.raises(UnsupportedBackboneError, match=r"has a tokenizer .*never done"):
        load_tokenizer(str(folder))
    assert not ran.exists()
    assert questions == []


@pytest.mark.parametrize("data", [b"", b"not safetensors", "cut off"])
def test_unreadable_weights(copied, data):
    folder = copied()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-40] if data == "cut off" else data)
    message = r"weights of backbone='.*gpt2' in .* cannot be read \(.*header.*again"
    with pytest.raises(BackboneCorruptedError, match=message):
        load_frozen(BackboneSource(str(folder)))


def test_missing_tensors_are_not_made_up(copied):
    folder = copied()
    file = folder / "model.safetensors"
    weights = load_file(file)
    names = sorted(name for name in weights if name.startswith("h.1."))
    rest = {name: tensor for name, tensor in weights.items() if name not in names}
    save_file(rest, file, {"format": "pt"})
    message = rf"lack.*, {len(names)} of the tensors .*config\.json.*: {names[0]}, "
    with pytest.raises(BackboneCorruptedError, match=message):
        load_frozen(BackboneSource(str(folder)))


def test_tensors_of_another_shape_are_not_made_up(copied):
    folder = copied()
    file = folder / "model.safetensors"
    weights = load_file(file) | {"h.0.attn.c_attn.weight": torch.zeros(16, 5)}
    save_file(weights, file, {"format": "pt"})
    message = r"another shape, 1 of the tensors .*h\.0\.attn\.c_attn\.weight"
    with pytest.raises(BackboneCorruptedError, match=message):
        load_frozen(BackboneSource(str(folder)))


def test_a_pooler_may_be_missing(copied):
    folder = copied("bert")
    file = folder / "model.safetensors"
    weights = load_file(file)
    rest = {k: v for k, v in weights.items() if not k.startswith("pooler")}
    assert len(rest) < len(weights)
    save_file(rest, file, {"format": "pt"})
    assert load_frozen(BackboneSource(str(folder))).model.pooler is None


@pytest.mark.parametrize("head", ["BertForMaskedLM", "GPT2LMHeadModel"])
def test_checkpoint_with_a_head(folders, tmp_path, head):
    folder = folders["bert" if head.startswith("Bert") else "gpt2"]
    getattr(transformers, head).from_pretrained(folder).save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors")
    assert all(name.startswith(("bert.", "cls.", "transformer.")) for name in names)
    with_head = load_frozen(BackboneSource(str(tmp_path)))
    without = load_frozen(BackboneSource(folder))
    assert torch.equal(with_head.word_embeddings, without.word_embeddings)
    expected = dict(without.model.named_parameters())
    for name, parameter in with_head.model.named_parameters():
        assert torch.equal(parameter, expected.pop(name))
    assert not expected


def test_failed_loading_is_not_cached(copied):
    folder = copied()
    good = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(BackboneCorruptedError):
        load_frozen(BackboneSource(str(folder)))
    (folder / "model.safetensors").write_bytes(good)
    assert load_frozen(BackboneSource(str(folder))).word_embeddings.shape == (40, 16)


# the cache


def test_files_are_read_once(folders, minilm, count_calls):
    reads = count_calls(loading.AutoModel, "from_pretrained")
    hashes = count_calls(files, "_sha256")
    sources = BackboneSource(folders["gpt2"]), BackboneSource(minilm, n_layers=1)
    first = [load_frozen(source) for source in sources]
    assert (len(reads), len(hashes)) == (2, 1)
    second = [load_frozen(BackboneSource(*vars(s).values())) for s in sources]
    assert (len(reads), len(hashes)) == (2, 1)
    assert all(a is b for a, b in zip(first, second, strict=True))
    clear_backbone_cache()
    assert load_frozen(sources[0]) is not first[0]
    assert len(reads) == 3


def test_cache_keeps_the_last_four():
    sources = [BackboneSource("tiny-random", random_seed=i) for i in range(5)]
    loaded = [load_frozen(source) for source in sources[:4]]
    assert load_frozen(sources[0]) is loaded[0]  # used again: now the latest
    loaded.append(load_frozen(sources[4]))
    for i in (0, 2, 3, 4):
        assert load_frozen(sources[i]) is loaded[i]
    assert load_frozen(sources[1]) is not loaded[1]


def test_many_threads_load_once(count_calls):
    loads = count_calls(loading, "_load", seconds=0.05)
    frozen = in_threads(lambda: load_frozen(TINY))
    assert len(loads) == 1
    assert all(one is frozen[0] for one in frozen)


def test_many_threads_get_one_copy_per_device():
    class SlowModel:
        def named_parameters(self):
            time.sleep(0.02)
            yield "weight", torch.ones(2)

    frozen = FrozenModel(SlowModel(), torch.ones(2))
    tensors = in_threads(lambda: frozen.tensors_on(torch.device("cpu")))
    assert all(one is tensors[0] for one in tensors)


# randomness


def test_random_weights_are_reproducible(folders):
    def weights(seed):
        frozen = load_frozen(BackboneSource(folders["bert"], random_seed=seed))
        clear_backbone_cache()
        return {"words": frozen.word_embeddings} | dict(frozen.model.named_parameters())

    pretrained, one, again, other = map(weights, (None, 1, 1, 2))
    assert pretrained.keys() == one.keys()
    for name, value in one.items():
        assert torch.equal(value, again[name])
        assert not torch.equal(value, pretrained[name])
        if value.ndim == 2:
            assert not torch.equal(value, other[name])
            assert 0.01 < value.std() < 0.03  # BERT's own initialization


def test_random_weights_need_only_a_config(folders, tmp_path):
    shutil.copy(Path(folders["llama"]) / "config.json", tmp_path)
    frozen = load_frozen(BackboneSource(str(tmp_path), n_layers=2, random_seed=0))
    assert len(frozen.model.layers) == 2
    with pytest.raises(BackboneNotFoundError, match="no safetensors weights"):
        load_frozen(BackboneSource(str(tmp_path), n_layers=2))


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("kind", ["gpt2", "tiny-random", "tiny-random-decoder"])
def test_global_random_state_is_left_alone(folders, monkeypatch, kind, seed):
    seeded = []
    monkeypatch.setattr("torch.cuda.manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    load_frozen(BackboneSource(folders.get(kind, kind), random_seed=seed))
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []


# tokenizers


def test_tokenizer_of_the_default_backbone(minilm):
    tokenizer = load_tokenizer(minilm)
    assert tokenizer("hello world")["input_ids"] == [101, 7592, 2088, 102]
    assert tokenizer.is_fast


def test_transformers_is_quiet_and_then_as_before(folders, capfd):
    logs = loading.transformers_logging
    verbosity, bar = logs.get_verbosity(), logs.is_progress_bar_enabled()
    load_frozen(BackboneSource(folders["bert"]))
    assert (logs.get_verbosity(), logs.is_progress_bar_enabled()) == (verbosity, bar)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
