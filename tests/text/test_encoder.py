"""A language model that is tuned on descriptions, then reads them."""

import copy
import math
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sktime_llm.backbone.adapters import AdapterConfig
from sktime_llm.backbone.loading import load_frozen
from sktime_llm.backbone.make import BackboneChoice, make_backbone
from sktime_llm.errors import InputError, TrainingDivergedError
from sktime_llm.layers.dropout import BlockDropout
from sktime_llm.text import encoder as module
from sktime_llm.text.encoder import (
    DescriptionEmbeddings,
    DescriptionEncoder,
    PackedEncoder,
)

TEXTS = ["traffic rises all day", "falls", "flat, with a peak at noon", "no trend"]
TINY = ["tiny-random", "tiny-random-decoder"]

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(params=TINY)
def name(request):
    return request.param


def make(name="tiny-random", mode="pretrained", rank=4):
    tuning = AdapterConfig(lora_rank=rank, lora_dropout=0.0, reduced_memory=True)
    return DescriptionEncoder(make_backbone(BackboneChoice(name, mode=mode), tuning))


def without_dropout(encoder):
    for part in encoder.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return encoder


def ids_of(encoder, text):
    ids = encoder.backbone.tokenizer()(text, add_special_tokens=False)["input_ids"]
    return torch.tensor([ids])


def given_ids(encoder, monkeypatch):
    """Token ids that the language model is given, a list that grows."""
    batches, embed = [], encoder.backbone.embed

    def spy(token_ids):
        batches.append(token_ids)
        return embed(token_ids)

    monkeypatch.setattr(encoder.backbone, "embed", spy)
    return batches


def weights(module):
    return {n: p.detach().clone() for n, p in module.named_parameters()}


@pytest.mark.parametrize("at_once", [64, 3])
def test_states_are_those_of_the_model_on_each_text_alone(name, at_once, monkeypatch):
    monkeypatch.setattr(module, "_READ_AT_ONCE", at_once)
    encoder = make(name)
    read = encoder.read(TEXTS)
    model = load_frozen(BackboneChoice(name)).model
    words = load_frozen(BackboneChoice(name)).word_embeddings
    for text, states, mask in zip(TEXTS, *read, strict=True):
        ids = ids_of(encoder, text)
        expected = model(inputs_embeds=F.embedding(ids, words)).last_hidden_state[0]
        assert mask.tolist() == [1] * ids.shape[1] + [0] * (len(mask) - ids.shape[1])
        close(states[mask.bool()], expected, rtol=1e-4, atol=1e-5)


def test_texts_of_like_length_are_read_together(name, monkeypatch):
    monkeypatch.setattr(module, "_READ_AT_ONCE", 2)
    encoder, shapes = make(name), []
    read = encoder._states

    def noting(token_ids, is_token):
        shapes.append(tuple(token_ids.shape))
        return read(token_ids, is_token)

    monkeypatch.setattr(encoder, "_states", noting)
    encoder.read(["a" * n for n in (9, 2, 3, 7, 5)])
    assert shapes == [(2, 3), (2, 7), (1, 9)]


def test_reading_has_no_gradient_and_no_dropout(name):
    encoder = make(name).train()
    one, other = encoder.read(TEXTS), encoder.read(TEXTS)
    assert torch.equal(one.states, other.states)
    assert not one.states.requires_grad
    assert not encoder.training


def test_texts_that_do_not_fit(name):
    encoder = make(name)
    message = r"513 tokens, .* only 512 positions\. Shorten it.*'bbbb.*'\.\.\.$"
    with pytest.raises(InputError, match=message):
        encoder.read(["a" * 512, "b" * 513])
    assert encoder.read(["a" * 512]).states.shape[1] == 512
    with pytest.raises(InputError, match="description of 'north' has 513 tokens"):
        encoder.read(["b" * 513], names=["north"])
    with pytest.raises(InputError, match="description of 'south' is '', in which"):
        encoder.read(["a", ""], names=["north", "south"])


def test_loss_of_a_decoder_is_of_the_next_token():
    encoder = without_dropout(make("tiny-random-decoder")).double()
    with torch.no_grad():
        encoder.lm_head.weight.add_(0.3 * torch.randn(16, 16))
        encoder.lm_head.bias.normal_()
    words = encoder.backbone.word_embeddings().double()
    nats, n = 0.0, 0
    for text in TEXTS:
        ids = ids_of(encoder, text)
        states = encoder.backbone(F.embedding(ids, words))[-1][0]
        scores = (encoder.lm_head(states) @ words.T).log_softmax(dim=1)
        for t in range(ids.shape[1] - 1):
            nats -= scores[t, ids[0, t + 1]]
            n += 1
    (loss,) = encoder.tune(TEXTS, n_steps=1, seed=0)
    assert loss == pytest.approx((nats / n).item(), rel=1e-9)


def test_loss_of_an_encoder_is_of_the_masked_tokens(monkeypatch):
    encoder = without_dropout(make()).double()
    words = encoder.backbone.word_embeddings().double()
    order = torch.randperm(len(TEXTS), generator=torch.Generator().manual_seed(3))
    before = copy.deepcopy(encoder)
    batches = given_ids(encoder, monkeypatch)
    (loss,) = encoder.tune(TEXTS, n_steps=1, seed=3)
    mask_token = encoder.backbone.tokenizer().mask_token_id
    nats, n = 0.0, 0
    for hidden, which in zip(batches[0], order, strict=True):
        ids = ids_of(encoder, TEXTS[which])[0]
        hidden = hidden[: len(ids)]
        masked = (hidden == mask_token).nonzero().flatten()
        assert len(masked)  # every text counts
        assert torch.equal(hidden[hidden != mask_token], ids[hidden != mask_token])
        states = before.backbone(F.embedding(hidden[None], words))[-1][0]
        scores = (before.lm_head(states) @ words.T).log_softmax(dim=1)
        for t in masked:
            nats -= scores[t, ids[t]]
            n += 1
    assert loss == pytest.approx((nats / n).item(), rel=1e-9)


def test_some_15_percent_are_masked(monkeypatch):
    encoder = make()
    batches = given_ids(encoder, monkeypatch)
    encoder.tune(["a" * 200] * 16, n_steps=2, seed=0)
    masked = torch.stack(batches) == encoder.backbone.tokenizer().mask_token_id
    assert 0.12 < masked.float().mean() < 0.18
    assert not torch.equal(masked[0], masked[1])


def test_the_loss_falls(name):
    losses = make(name).tune(TEXTS, n_steps=90, seed=0, learning_rate=0.05)
    assert len(losses) == 90
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_adapters_and_the_map_to_words_train_and_nothing_else(name):
    encoder = make(name)
    before = weights(encoder)
    shared = weights(load_frozen(BackboneChoice(name)).model)
    expected = {n for n, p in encoder.named_parameters() if p.requires_grad}
    assert any("lora_" in n for n in expected)
    own = {n for n in expected if "lora_" not in n}
    assert own == {"lm_head.weight", "lm_head.bias"}
    encoder.tune(TEXTS, n_steps=3, seed=0)
    changed = {n for n, p in weights(encoder).items() if not p.equal(before[n])}
    assert changed == expected
    for n, p in load_frozen(BackboneChoice(name)).model.named_parameters():
        assert torch.equal(p, shared[n])


def test_threads_may_be_the_first_to_use_a_copy(name):
    texts = TEXTS[:2]
    made = DescriptionEmbeddings(make(name))
    for _ in range(5):
        one = pickle.loads(pickle.dumps(made))
        start = threading.Barrier(4)

        def use(one=one, start=start):
            start.wait()
            return one.encoder

        with ThreadPoolExecutor(4) as pool:
            found = [future.result() for future in [pool.submit(use) for _ in range(4)]]
        assert all(each is found[0] for each in found)
        close(found[0].read(texts).states, made.encoder.read(texts).states)


@pytest.mark.parametrize("n_steps", [0, 5])
def test_afterwards_it_is_frozen(name, n_steps):
    encoder = make(name)
    before, read_before = weights(encoder), encoder.read(TEXTS).states
    assert len(encoder.tune(TEXTS, n_steps=n_steps, seed=0)) == n_steps
    read = encoder.read(TEXTS).states
    assert torch.allclose(read, read_before, atol=1e-3) == (n_steps == 0)
    copies = copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))
    for one in (encoder, *copies):
        assert not any(p.requires_grad for p in one.parameters())
        assert not any(part.training for part in one.modules())
        close(one.read(TEXTS).states, read)
    same = [p.equal(before[n]) for n, p in encoder.named_parameters()]
    assert all(same) == (n_steps == 0)


def test_the_seed_decides(name):
    def losses(seed):
        torch.manual_seed(5)  # of the adapters
        return without_dropout(make(name)).tune(TEXTS * 8, n_steps=3, seed=seed)

    one, same, other = losses(1), losses(1), losses(2)
    assert one == same != other


def test_tuning_drops_by_the_seed_and_in_blocks(name):
    def dropped(seed):
        encoder, masks = make(name), []
        parts = [part for part in encoder.modules() if isinstance(part, nn.Dropout)]
        for part in parts:
            part.register_forward_hook(lambda *call: masks.append(call[-1] == 0))
        encoder.tune(["all the same"] * 4, n_steps=1, seed=seed)
        assert {type(part) for part in parts} == {BlockDropout}
        return torch.cat([mask.flatten() for mask in masks])

    one, same, other = map(dropped, (1, 1, 2))
    assert 0.02 < one.float().mean() < 0.2
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_sixteen_texts_make_a_step(name, monkeypatch):
    encoder = make(name)
    batches = given_ids(encoder, monkeypatch)
    encoder.tune([f"text {i}" for i in range(40)], n_steps=3, seed=0)
    assert [len(ids) for ids in batches] == [16, 16, 16]
    assert not torch.equal(batches[0], batches[1])


@pytest.mark.parametrize("mode", ["random", "none", "attention", "transformer"])
def test_ablations_are_tuned_too(mode):
    encoder = make(mode=mode)
    losses = encoder.tune(TEXTS, n_steps=3, seed=0)
    assert all(math.isfinite(loss) for loss in losses)
    assert encoder.read(TEXTS).states.isfinite().all()


def test_as_many_embeddings_are_kept_as_series_are_known(name):
    descriptions = DescriptionEmbeddings(make(name))
    descriptions.add(TEXTS, 2, n_known=0)
    first = descriptions.embeddings[:1]
    descriptions.add(["another", "one more"], 2, n_known=1)
    assert descriptions.embeddings.shape == (2, 2, descriptions.width)
    close(descriptions.embeddings[:1], first)


def test_pooling_learns_again_where_nothing_is_known(name):
    descriptions = DescriptionEmbeddings(make(name))
    for n_known, learns in ((0, True), (2, False), (0, True)):
        descriptions.add(TEXTS, 2, n_known=n_known)
        assert descriptions.pooling.query.requires_grad == learns


@pytest.mark.parametrize("mode", ["pretrained", "random", "attention"])
def test_what_is_unpacked_reads_as_what_was_packed(name, mode):
    encoder = make(name, mode)
    encoder.tune(TEXTS, n_steps=3, seed=0)
    unpacked = PackedEncoder.of(encoder).unpack()
    close(unpacked.read(TEXTS).states, encoder.read(TEXTS).states)
    assert not any(p.requires_grad for p in unpacked.parameters())


def test_one_token_leaves_a_decoder_nothing_to_predict(monkeypatch):
    encoder = make("tiny-random-decoder")
    with pytest.raises(InputError, match=r"more than one token, such as 'a'; expected"):
        encoder.tune(["a", "b"], n_steps=1, seed=0)
    batches = given_ids(encoder, monkeypatch)
    assert encoder.tune(["a", "bc", "d"], n_steps=1, seed=0)[0] > 0
    assert batches[0].tolist() == ids_of(encoder, "bc").tolist()
    # an encoder masks it
    assert math.isfinite(make().tune(["a"], n_steps=1, seed=0)[0])


def test_a_tokenizer_without_a_mask(monkeypatch):
    encoder = make()
    tokenizer = copy.deepcopy(encoder.backbone.tokenizer())
    tokenizer.mask_token = None
    monkeypatch.setattr(encoder.backbone, "tokenizer", lambda: tokenizer)
    with pytest.raises(InputError, match=r"no mask token.*language_model_steps=0"):
        encoder.tune(TEXTS, n_steps=1, seed=0)
    assert encoder.tune(TEXTS, n_steps=0, seed=0) == []


def test_a_loss_that_is_not_finite(name):
    message = r"is nan in step 2 of 5\. Set language_model_steps=0"
    with pytest.raises(TrainingDivergedError, match=message):
        make(name).tune(TEXTS, n_steps=5, seed=0, learning_rate=float("inf"))
