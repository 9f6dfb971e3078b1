"""Text generation by tiny random models, saved here."""

import copy
import pickle
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    AutoModelForCausalLM,
    BertForMaskedLM,
    GPT2LMHeadModel,
    GPT2Model,
    T5Config,
)

from sktime_llm.backbone.tiny import TINY_CONFIGS, make_tiny_tokenizer
from sktime_llm.errors import (
    BackboneCorruptedError,
    BackboneNotFoundError,
    DescriptionError,
    InputError,
    UnsupportedBackboneError,
)
from sktime_llm.text import _generation
from sktime_llm.text.describers import GenerationDescriber, clear_generation_cache

PROMPT = "{name} {values}:"
SERIES = [np.arange(5.0), np.array([7.0, np.nan, 2.0]), np.zeros(12), np.ones(2) * 99]
WEIGHTS = "model.safetensors"
NAMES = ["a", "bb", "ccc", 4]


@pytest.fixture(autouse=True)
def _empty_cache():
    clear_generation_cache()
    yield
    clear_generation_cache()


def save(
    folder,
    model_class,
    config="tiny-random-decoder",
    *,
    chat=None,
    bias=None,
    start=False,
):
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        model = model_class(copy.deepcopy(TINY_CONFIGS.get(config, config)))
        with torch.no_grad():  # so that the next token depends on the prompt
            for parameter in model.parameters():
                parameter.normal_(std=0.5)
    if bias is not None:
        bias(model)
    model.save_pretrained(folder)
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = chat
    if start:
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="[CLS] $A", special_tokens=[("[CLS]", tokenizer.cls_token_id)]
        )
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return save(tmp_path_factory.mktemp("decoder"), GPT2LMHeadModel)


def make(model, **options):
    return GenerationDescriber(
        model, **{"prompt": PROMPT, "max_new_tokens": 6, "device": "cpu", **options}
    )


def spy(monkeypatch, method):
    """First arguments that a method of the language model gets, a list that grows."""
    seen, call = [], getattr(_generation.LanguageModel, method)
    monkeypatch.setattr(
        _generation.LanguageModel,
        method,
        lambda self, first, *rest: seen.append(first) or call(self, first, *rest),
    )
    return seen


def greedy(folder, prompt, n_tokens):
    """Append the most likely token again and again."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    tokenizer = make_tiny_tokenizer()
    tokens = tokenizer(prompt, return_tensors="pt").input_ids
    start = tokens.shape[1]
    for _ in range(n_tokens):
        with torch.no_grad():
            best = model(tokens).logits[0, -1].argmax()
        if best == model.config.eos_token_id:
            break
        tokens = torch.cat([tokens, best.view(1, 1)], dim=1)
    text = tokenizer.decode(tokens[0, start:], skip_special_tokens=True)
    return " ".join(text.split())


def test_text_is_the_greedy_continuation(decoder):
    texts = make(decoder, batch_size=3).describe(SERIES, NAMES)
    prompts = ["a 0, 1, 2, 3, 4:", "bb 7, missing, 2:"]
    assert texts[:2] == [greedy(decoder, prompt, 6) for prompt in prompts]
    assert len(set(texts)) > 1
    assert texts == make(decoder, batch_size=1).describe(SERIES, NAMES)


def test_number_of_tokens(decoder):
    def length(n):
        text = make(decoder, max_new_tokens=n).describe(SERIES[:1], ["a"])[0]
        return len(text.replace(" ", ""))

    assert 0 < length(2) <= 2 < length(12) <= 12


def test_sampling_follows_its_seed_and_leaves_the_global_state(decoder):
    def sample(seed):
        return make(decoder, temperature=5.0, random_state=seed).describe(SERIES, NAMES)

    before = torch.get_rng_state()
    assert sample(0) == sample(0) != sample(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_all_tokens_may_be_drawn(decoder):
    model = _generation._load(str(decoder), None, "float32", torch.device("cpu"))
    n_words = model.model.config.vocab_size
    assert n_words > 50
    ids = torch.zeros(4000, 1, dtype=torch.long)
    encoded = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    drawn = []
    tokenizer = SimpleNamespace(
        batch_decode=lambda new, **_: drawn.append(new) or ["-"] * len(new)
    )
    torch.manual_seed(0)
    model._replace(tokenizer=tokenizer).generate(encoded, 1, 1000.0)
    assert len(drawn[0].unique()) > 0.9 * n_words


def test_a_temperature_of_next_to_nothing_draws_the_most_likely(decoder):
    texts = make(decoder, temperature=1e-6).describe(SERIES, NAMES)
    assert texts == make(decoder).describe(SERIES, NAMES)


def test_own_settings_of_the_model_do_not_count(tmp_path, decoder):
    def draw(model):
        model.generation_config.do_sample = True
        model.generation_config.temperature = 9.0
        model.generation_config.max_new_tokens = 1

    folder = save(tmp_path, GPT2LMHeadModel, bias=draw)
    texts = make(folder).describe(SERIES, NAMES)
    assert texts == make(decoder).describe(SERIES, NAMES)


def test_chat_template(tmp_path, decoder):
    template = (
        "{% for m in messages %}[CLS]{{ m.role }}: {{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %} bot:{% endif %}"
    )
    folder = save(tmp_path, GPT2LMHeadModel, chat=template)
    (text,) = make(folder).describe(SERIES[:1], ["a"])
    assert text == greedy(decoder, "[CLS]user: a 0, 1, 2, 3, 4: bot:", 6)


@pytest.mark.parametrize("chat", [None, "[CLS]{{ messages[0].content }}"])
def test_one_start_from_template_or_tokenizer(tmp_path, monkeypatch, chat):
    seen = spy(monkeypatch, "generate")
    make(save(tmp_path, GPT2LMHeadModel, chat=chat, start=True)).describe(SERIES[:1])
    tokens = seen[0]["input_ids"]
    start = make_tiny_tokenizer().cls_token_id
    assert tokens[0, 0] == start
    assert (tokens == start).sum() == 1


def test_all_ends_of_the_model_count(tmp_path, decoder):
    (whole,) = make(decoder).describe(SERIES[:1], ["a"])
    first, *rest = whole.split()
    assert rest

    def end_there(model):
        identifier = make_tiny_tokenizer().convert_tokens_to_ids(first)
        model.generation_config.eos_token_id = [3, identifier]

    folder = save(tmp_path, GPT2LMHeadModel, bias=end_there)
    assert make(folder).describe(SERIES[:1], ["a"]) == [first]


def test_model_is_loaded_once_and_late(decoder, monkeypatch):
    loads = []
    load = _generation._load
    monkeypatch.setattr(
        _generation, "_load", lambda *key: loads.append(key) or load(*key)
    )
    first = make(decoder)
    assert loads == []
    texts = first.describe(SERIES, NAMES)
    assert make(decoder).describe(SERIES, NAMES) == texts
    assert len(loads) == 1
    clear_generation_cache()
    first.describe(SERIES, NAMES)
    assert len(loads) == 2


def test_used_describer_holds_no_weights(decoder):
    describer = make(decoder)
    texts = describer.describe(SERIES, NAMES)
    dumped = pickle.dumps(describer)
    assert len(dumped) < 2_000
    assert pickle.loads(dumped).describe(SERIES, NAMES) == texts


def test_dtype(decoder):
    def kept(dtype):
        make(decoder, dtype=dtype).describe(SERIES[:1])
        (loaded,) = _generation._LOADED.values()
        return loaded.model.dtype

    assert kept("auto") == torch.float32
    assert kept("bfloat16") == torch.bfloat16


def test_default_prompt_tells_statistics_and_values(decoder, monkeypatch):
    seen = spy(monkeypatch, "encode")
    describer = GenerationDescriber(decoder, n_values=4, max_new_tokens=5)
    with pytest.raises(InputError, match="the prompt has 590 tokens"):
        describer.describe([np.arange(100.0)])
    assert "Statistics: 100 steps. Mean 49.5, " in seen[0][0]
    assert "Means of 4 equal parts, oldest first: 12, 37, 62, 87\n" in seen[0][0]


def test_a_prompt_has_no_more_values_than_the_series(decoder, monkeypatch):
    seen = spy(monkeypatch, "encode")
    prompt = "{n_values} of {n_steps}: {values}"
    make(decoder, prompt=prompt, n_values=4).describe([[1.0, 2.0]])
    assert seen == [["2 of 2: 1, 2"]]


def test_prompt_that_is_too_long_names_the_series(decoder):
    describer = make(decoder, max_new_tokens=500)
    message = r"'bb': the prompt has 17 tokens, and max_new_tokens=500 .* 512 positions"
    with pytest.raises(InputError, match=message):
        describer.describe([[1.0], SERIES[1]], ["a", "bb"])


def test_empty_text_names_the_series(tmp_path):
    def only_ends(model):
        model.transformer.ln_f.weight.data.zero_()
        model.transformer.ln_f.bias.data.copy_(model.transformer.wte.weight[3] * 100)

    describer = make(save(tmp_path, GPT2LMHeadModel, bias=only_ends))
    with pytest.raises(DescriptionError, match="series 'a': GenerationDescriber gave"):
        describer.describe(SERIES, NAMES)


def test_failure_of_the_model_names_the_series(decoder, monkeypatch):
    def fail(self, *args):
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(_generation.LanguageModel, "generate", fail)
    message = r"\['a', 'bb'\].*OutOfMemoryError: no memory left.*batch_size below 2"
    with pytest.raises(DescriptionError, match=message):
        make(decoder, batch_size=2).describe(SERIES, NAMES)


def without_a_layer(model):
    del model.h[1]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda folder: save(folder, BertForMaskedLM, "tiny-random"),
            UnsupportedBackboneError,
            "'bert' model, an encoder",
        ),
        (T5Config().save_pretrained, UnsupportedBackboneError, "'t5' model"),
        (
            lambda folder: save(folder, GPT2Model, bias=without_a_layer),
            BackboneCorruptedError,
            r"lack, .*config.json asks for: transformer",
        ),
        (
            lambda folder: (folder / WEIGHTS).write_bytes(b"no weights"),
            BackboneCorruptedError,
            r"weights of model=.* cannot be",
        ),
        (
            lambda folder: (folder / WEIGHTS).rename(folder / "pytorch_model.bin"),
            BackboneNotFoundError,
            "never loaded",
        ),
        (shutil.rmtree, BackboneNotFoundError, "no such model"),
    ],
    ids=["encoder", "T5", "no head", "damaged", "pickled", "unknown"],
)
def test_models_that_are_refused(tmp_path, decoder, spoil, error, message):
    folder = Path(shutil.copytree(decoder, tmp_path / "model"))
    spoil(folder)
    with pytest.raises(error, match=message):
        make(str(folder)).describe(SERIES)


def test_scalars_of_numpy(decoder):
    options = {"temperature": 0.5, "max_new_tokens": 4, "n_values": 4, "batch_size": 2}
    options["random_state"] = 1
    scalars = {name: np.asarray(value)[()] for name, value in options.items()}
    assert all(isinstance(value, np.generic) for value in scalars.values())
    expected = make(decoder, **options).describe(SERIES)
    assert make(decoder, **scalars).describe(SERIES) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_values": 0}, "n_values=0, expected an integer of at least 1"),
        ({"max_new_tokens": 0}, "max_new_tokens=0, expected an integer of at least 1"),
        ({"device": "abacus"}, "device='abacus'"),
        ({"prompt": "{values} {nam}"}, r"fields \['nam'\]; expected some of"),
        ({"prompt": "{values.real}"}, r"fields \['values.real'\]"),
        ({"prompt": "{values"}, "cannot be read"),
        ({"prompt": "{values:d}"}, "cannot be read .*format code 'd'"),
        ({"prompt": "{values:{width}}"}, "cannot be read .*'width'"),
        ({"prompt": "what now?"}, "would say nothing of the series"),
    ],
)
def test_parameters_out_of_range(decoder, options, message):
    describer = make(decoder, **options)
    with pytest.raises(InputError, match=message):
        describer.describe(SERIES)
