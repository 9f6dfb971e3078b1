"""Configurations, tokenizers and frozen weights: read right, once, and refused."""

import itertools
import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from sktime_llm.backbone import files, loading
from sktime_llm.backbone.loading import (
    BackboneChoice,
    FrozenModel,
    clear_backbone_cache,
    count_layers,
    load_config,
    load_frozen,
    load_tokenizer,
    tokenizer_fingerprint,
)
from sktime_llm.backbone.make import BACKBONE_MODES, make_backbone
from sktime_llm.backbone.tiny import make_tiny_tokenizer
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    InputError,
    UnsupportedBackboneError,
)

TINY = BackboneChoice("tiny-random")


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


@pytest.mark.parametrize(
    ("kind", "model_class"),
    [("bert", "BertModel"), ("gpt2", "GPT2Model"), ("qwen3", "Qwen3Model")],
)
def test_first_layers_are_kept(folders, kind, model_class):
    frozen = load_frozen(BackboneChoice(folders[kind], n_layers=2))
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


def test_half_precision_files_are_read_as_float32(copied):
    folder = copied()
    weights = load_file(folder / "model.safetensors")
    half = {name: tensor.half() for name, tensor in weights.items()}
    save_file(half, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    frozen = load_frozen(BackboneChoice(str(folder)))
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
        load_frozen(BackboneChoice(folders["llama"], n_layers=n_layers))


def test_tiny_models_do_not_remember_what_was_asked_for():
    for mode in ("pretrained", "random"):
        one = load_frozen(BackboneChoice("tiny-random", n_layers=1, mode=mode))
        two = load_frozen(BackboneChoice("tiny-random", n_layers=2, mode=mode))
        assert len(one.model.encoder.layer) == 1
        assert len(two.model.encoder.layer) == 2
    load_config("tiny-random").hidden_size = 7
    assert load_config("tiny-random").hidden_size == 16


def test_reading_needs_no_network(folders, minilm, no_network):
    for name in (folders["gpt2"], minilm, "tiny-random"):
        load_config(name)
        load_frozen(BackboneChoice(name, n_layers=1))
    load_tokenizer(minilm)
    assert no_network == []


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
        load_frozen(BackboneChoice(folder))


def test_narrow_word_embeddings_are_refused(save_model):
    options = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    folder = save_model("albert", vocab_size=40, embedding_size=8, **options)
    message = r"AlbertModel has word embeddings of width 8 and a hidden size of 16"
    with pytest.raises(UnsupportedBackboneError, match=message):
        load_frozen(BackboneChoice(folder))


def spoil(folder, **options):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | options))
    return str(folder)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "not a valid JSON file"),
        ('{"model_type": "from-the-future"}', "from-the-future"),
        ("[" * 100_000, "RecursionError"),
        ("[]", "Error: "),
        ('{"model_type": "gpt2", "n_layer": "three"}', "n_layer"),
    ],
)
def test_unreadable_config(copied, config, reason):
    folder = copied()
    (folder / "config.json").write_text(config)
    message = rf"config\.json that transformers cannot use.*{reason}"
    with pytest.raises(UnsupportedBackboneError, match=message):
        load_config(str(folder))


@pytest.mark.parametrize("mode", ["pretrained", "random"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_unknown_activation(copied, kind, mode):
    name = "activation_function" if kind == "gpt2" else "hidden_act"
    choice = BackboneChoice(spoil(copied(kind), **{name: "new"}), mode=mode)
    message = r"has a config\.json that transformers cannot use.*KeyError: 'new'"
    with pytest.raises(UnsupportedBackboneError, match=message):
        load_frozen(choice)


@pytest.mark.parametrize("mode", BACKBONE_MODES)
@pytest.mark.parametrize(("kind", "n_heads"), [("bert", 3), ("gpt2", 5), ("bert", 0)])
def test_heads_that_do_not_divide_the_width(copied, kind, n_heads, mode):
    option = "n_head" if kind == "gpt2" else "num_attention_heads"
    name = spoil(copied(kind), **{option: n_heads})
    message = rf"has {n_heads} attention heads .*a divisor of its width 16"
    with pytest.raises(UnsupportedBackboneError, match=message):
        make_backbone(BackboneChoice(name, mode=mode))


@pytest.mark.parametrize("mode", ["attention", "transformer"])
def test_heads_of_a_width_of_their_own(copied, mode):
    name = spoil(copied("qwen3"), num_attention_heads=6)
    make_backbone(BackboneChoice(name, mode="random"))
    with pytest.raises(UnsupportedBackboneError, match="has 6 attention heads"):
        make_backbone(BackboneChoice(name, mode=mode))


@pytest.mark.parametrize("method", ["gptq", "bitsandbytes", "fp8", "new"])
def test_quantized_models_are_refused(copied, method):
    name = spoil(copied(), quantization_config={"quant_method": method, "bits": 4})
    message = r"is quantized \(quantization_config .*expected weights in full precision"
    with pytest.raises(UnsupportedBackboneError, match=message):
        load_frozen(BackboneChoice(name))
    load_frozen(BackboneChoice(name, mode="random"))


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
    load_frozen(BackboneChoice(str(folder)))
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


def test_tokenizer_is_looked_for_beyond_a_cache_without_one(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--some--model" / "snapshots" / ("c" * 40)
    cached.mkdir(parents=True)
    (cached / "config.json").write_text("{}")
    fetched = tmp_path / "fetched"
    make_tiny_tokenizer().save_pretrained(fetched)
    monkeypatch.setattr(files, "_from_hub", lambda *arguments: fetched)
    tokenizer = load_tokenizer("some/model", "c" * 40)
    assert tokenizer.get_vocab() == make_tiny_tokenizer().get_vocab()


@pytest.mark.parametrize("data", [b"", b"not safetensors", "cut off"])
def test_unreadable_weights(copied, data):
    folder = copied()
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-40] if data == "cut off" else data)
    message = r"weights of backbone='.*gpt2' in .* cannot be read \(.*header.*again"
    with pytest.raises(BackboneCorruptedError, match=message):
        load_frozen(BackboneChoice(str(folder)))


def test_missing_tensors_are_not_made_up(copied):
    folder = copied()
    file = folder / "model.safetensors"
    weights = load_file(file)
    names = sorted(name for name in weights if name.startswith("h.1."))
    rest = {name: tensor for name, tensor in weights.items() if name not in names}
    message = rf"lack.*, {len(names)} of the tensors .*config\.json.*: {names[0]}, "
    attention = "h.0.attn.c_attn.weight"
    other = weights | {attention: torch.zeros(16, 5)}
    of_shape = rf"another shape, 1 of the tensors .*{attention}"
    for spoiled, expected in ((rest, message), (other, of_shape)):
        save_file(spoiled, file, {"format": "pt"})
        with pytest.raises(BackboneCorruptedError, match=expected):
            load_frozen(BackboneChoice(str(folder)))


def test_a_pooler_may_be_missing(copied):
    folder = copied("bert")
    file = folder / "model.safetensors"
    weights = load_file(file)
    rest = {k: v for k, v in weights.items() if not k.startswith("pooler")}
    assert len(rest) < len(weights)
    save_file(rest, file, {"format": "pt"})
    assert load_frozen(BackboneChoice(str(folder))).model.pooler is None


@pytest.mark.parametrize("head", ["BertForMaskedLM", "GPT2LMHeadModel"])
def test_checkpoint_with_a_head(folders, tmp_path, head):
    folder = folders["bert" if head.startswith("Bert") else "gpt2"]
    getattr(transformers, head).from_pretrained(folder).save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors")
    assert all(name.startswith(("bert.", "cls.", "transformer.")) for name in names)
    with_head = load_frozen(BackboneChoice(str(tmp_path)))
    without = load_frozen(BackboneChoice(folder))
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
        load_frozen(BackboneChoice(str(folder)))
    (folder / "model.safetensors").write_bytes(good)
    assert load_frozen(BackboneChoice(str(folder))).word_embeddings.shape == (40, 16)


@pytest.mark.parametrize("mode", BACKBONE_MODES)
def test_all_files_are_those_of_the_revision(folders, mode, monkeypatch):
    clear_backbone_cache()
    asked = []

    def locate(name, *, revision=None, **_):
        asked.append(revision)
        return Path(name)

    monkeypatch.setattr(loading, "locate_backbone", locate)
    backbone = make_backbone(BackboneChoice(folders["bert"], "v1.0", mode=mode))
    with pytest.raises(BackboneNotFoundError, match="has no tokenizer"):
        backbone.tokenizer()
    # configuration, weights and tokenizer
    assert asked == (3 if mode == "pretrained" else 2) * ["v1.0"]


@pytest.mark.parametrize("mode", ["pretrained", "random"])
def test_frozen_models_do_not_drop(folders, mode):
    for name in ("tiny-random", folders["gpt2"]):
        model = load_frozen(BackboneChoice(name, mode=mode)).model
        assert not any(part.training for part in model.modules())


def test_files_are_read_once(folders, minilm, count_calls):
    reads = count_calls(transformers.AutoModel, "from_pretrained")
    hashes = count_calls(files, "_sha256")
    sources = BackboneChoice(folders["gpt2"]), BackboneChoice(minilm, n_layers=1)
    first = [load_frozen(source) for source in sources]
    assert (len(reads), len(hashes)) == (2, 1)
    second = [load_frozen(replace(source)) for source in sources]
    assert (len(reads), len(hashes)) == (2, 1)
    assert all(a is b for a, b in zip(first, second, strict=True))
    clear_backbone_cache()
    assert load_frozen(sources[0]) is not first[0]
    assert len(reads) == 3


def test_cache_keeps_the_last_four():
    sources = [
        BackboneChoice("tiny-random", mode="random", random_seed=i) for i in range(5)
    ]
    loaded = [load_frozen(source) for source in sources[:4]]
    assert load_frozen(sources[0]) is loaded[0]  # used again: now the latest
    loaded.append(load_frozen(sources[4]))
    for i in (0, 2, 3, 4):
        assert load_frozen(sources[i]) is loaded[i]
    assert load_frozen(sources[1]) is not loaded[1]


def test_many_threads_load_once(count_calls):
    loads = count_calls(loading, "load_config", seconds=0.05)
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


RANDOM = [
    BackboneChoice("tiny-random"),
    BackboneChoice("tiny-random-decoder"),
    BackboneChoice("bert", mode="random", random_seed=1),
    BackboneChoice("llama", mode="random", random_seed=2),
    BackboneChoice("bert"),  # with a pooler that is not in the file
]


@pytest.fixture(params=RANDOM, ids=str)
def choice(request, folders, copied):
    """A choice that draws random numbers when it is loaded."""
    if request.param.name.startswith("tiny"):
        return request.param
    folder = copied(request.param.name)
    file = folder / "model.safetensors"
    weights = load_file(file)
    rest = {k: v for k, v in weights.items() if not k.startswith("pooler")}
    save_file(rest, file, {"format": "pt"})
    return replace(request.param, name=str(folder))


def test_weights_do_not_depend_on_what_other_threads_draw(choice, monkeypatch):
    """Nor do the others' numbers on ours."""
    alone = load_frozen(choice)
    clear_backbone_cache()
    drawn = []

    def draw():
        thread = threading.Thread(target=lambda: drawn.append(torch.rand(3)))
        thread.start()
        thread.join()

    for layer in (torch.nn.Linear, torch.nn.Embedding):
        original = layer.reset_parameters

        def reset_parameters(self, original=original):
            draw()
            original(self)
            draw()

        monkeypatch.setattr(layer, "reset_parameters", reset_parameters)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(5)
        again = load_frozen(choice)
    assert (again.fingerprint, again.words_fingerprint) == (
        alone.fingerprint,
        alone.words_fingerprint,
    )
    reference = torch.Generator().manual_seed(5)
    assert len(drawn) > 3
    for numbers in drawn:
        assert torch.equal(numbers, torch.rand(3, generator=reference))


def test_global_random_state_is_left_alone(choice, monkeypatch):
    seeded = []
    monkeypatch.setattr("torch.cuda.manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    load_frozen(choice)
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []


def test_random_weights_are_those_of_pytorchs_own_generator(folders):
    frozen = load_frozen(BackboneChoice(folders["gpt2"], mode="random", random_seed=3))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        model = transformers.AutoModel.from_config(load_config(folders["gpt2"]))
    expected = dict(model.named_parameters())
    assert torch.equal(frozen.word_embeddings, expected["wte.weight"])
    for name, parameter in frozen.model.named_parameters():
        assert torch.equal(parameter, expected[name])


def test_random_weights_differ_by_seed(folders):
    choice = BackboneChoice(folders["bert"], mode="random")
    others = replace(choice, random_seed=1), replace(choice, mode="pretrained")
    tables = [load_frozen(one).word_embeddings for one in (choice, *others)]
    assert all(0.01 < table.std() < 0.03 for table in tables[:2])  # BERT's own
    for one, other in itertools.combinations(tables, 2):
        assert not torch.equal(one, other)


def test_random_weights_need_only_a_config(folders, tmp_path):
    shutil.copy(Path(folders["llama"]) / "config.json", tmp_path)
    choice = BackboneChoice(str(tmp_path), n_layers=2, mode="random", random_seed=0)
    assert len(load_frozen(choice).model.layers) == 2
    with pytest.raises(BackboneNotFoundError, match="no safetensors weights"):
        load_frozen(replace(choice, mode="pretrained"))


def test_tokenizer_of_the_default_backbone(minilm):
    tokenizer = load_tokenizer(minilm)
    assert tokenizer("hello world")["input_ids"] == [101, 7592, 2088, 102]
    assert tokenizer.is_fast


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("tokenizer.json", '"##z"', '"##zz"'),  # a word
        ("tokenizer_config.json", '"do_lower_case": true', '"do_lower_case": false'),
    ],
)
def test_fingerprint_of_a_tokenizer(minilm, tmp_path, file, old, new):
    folder = shutil.copytree(files.locate_backbone(minilm), tmp_path / "copy")
    before = fingerprint_at(folder)
    assert before == fingerprint_at(minilm)
    content = (folder / file).read_text(encoding="utf-8")
    assert old in content
    (folder / file).write_text(content.replace(old, new), encoding="utf-8")
    assert fingerprint_at(folder) != before


def test_fingerprint_of_words_is_that_of_their_scale_too():
    one = load_frozen(BackboneChoice("tiny-random"))
    prints = {
        replace(one, embedding_scale=scale).words_fingerprint for scale in (1, 2, 4)
    }
    assert one.words_fingerprint in prints
    assert len(prints) == 3


def test_fingerprint_does_not_depend_on_how_the_tokenizer_was_used():
    before = fingerprint_at("tiny-random")
    tokenizer = load_tokenizer("tiny-random")
    tokenizer.pad_token = "[MASK]"
    tokenizer(["a", "bcd"], padding=True, truncation=True, max_length=2)
    tokenizer_fingerprint.cache_clear()
    assert fingerprint_at("tiny-random") == before


def fingerprint_at(name):
    return tokenizer_fingerprint(load_tokenizer(str(name)))


def spoil_weight(folder):
    weights = load_file(folder / "model.safetensors")
    weights["wte.weight"][0] += 1
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_name_is_that_of_the_folder_it_stands_for_now(copied, monkeypatch):
    folder = copied()
    choice, prints = BackboneChoice(folder.name), []
    for place in ("one", "two"):
        other = shutil.copytree(folder, folder.parent / place / folder.name)
        if place == "two":
            spoil_weight(other)
        monkeypatch.chdir(other.parent)
        prints.append(load_frozen(choice).words_fingerprint)
    assert prints[0] != prints[1]
    again = load_frozen(choice)
    monkeypatch.chdir(folder.parent / "one")
    assert load_frozen(choice) is not again
    assert load_frozen(choice).words_fingerprint == prints[0]


@pytest.mark.parametrize("mode", ["pretrained", "random"])
def test_files_that_changed_are_read_again(copied, mode):
    folder = copied()
    choice = BackboneChoice(str(folder), mode=mode)
    first = load_frozen(choice)
    assert load_frozen(choice) is first
    (folder / "notes.txt").write_text("what a model is not made of")
    assert load_frozen(choice) is first
    spoil_weight(folder)
    changed = load_frozen(choice).words_fingerprint != first.words_fingerprint
    assert changed == (mode == "pretrained")


KEPT = {
    "weights": lambda frozen: frozen.tensors_on(torch.device("cpu")).values(),
    "copies": lambda frozen: frozen.tensors_on(torch.device("meta")).values(),
    "words": lambda frozen: [frozen.word_embeddings_on(torch.device("meta"))],
}


@pytest.mark.parametrize("what", KEPT)
def test_no_tensor_that_is_kept_is_an_inference_tensor(what):
    frozen = load_frozen(TINY)
    with torch.inference_mode():
        kept = KEPT[what](frozen)
    assert not any(one.is_inference() for one in kept)


def test_transformers_is_quiet_and_then_as_before(folders, capfd):
    logs = transformers.utils.logging
    verbosity, bar = logs.get_verbosity(), logs.is_progress_bar_enabled()
    load_frozen(BackboneChoice(folders["bert"]))
    assert (logs.get_verbosity(), logs.is_progress_bar_enabled()) == (verbosity, bar)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")
