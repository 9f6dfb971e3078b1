"""Descriptions by a text-generation model of transformers, on this machine."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sktime_llm._progress import progress_bar
from sktime_llm._threads import LOADING
from sktime_llm._validation import STRING, VERBOSE, integer, one_of, real
from sktime_llm.errors import DescriptionError, InputError, UnsupportedBackboneError
from sktime_llm.text._description_prompt import (
    DEFAULT_PROMPT,
    check_prompt,
    make_prompt,
)
from sktime_llm.text._interface import Describer, NamedSeries

# torch and transformers take seconds to import, so the functions that need them do it
if TYPE_CHECKING:
    import torch

_TINY = "tiny-random-decoder"
_TINY_SEED = 2_408_014_387


@dataclass(eq=False, repr=False)
class GenerationDescriber(Describer):
    """Ask a causal language model of transformers, on this machine.

    The model is looked for in a local folder, the local Hugging Face cache and the Hub,
    and loaded when it is first used. The model used last stays in memory, shared by all
    describers, until `clear_generation_cache`.

    Parameters
    ----------
    model : str
        Folder, or name on the Hub, of a causal language model with safetensors weights;
        ``"tiny-random-decoder"`` writes nonsense, for tests. If its tokenizer has a
        chat template, the prompt is the user's message.
    revision : str, optional
        Branch, tag or commit on the Hub.
    prompt : str, optional
        Template of the prompt, with some of the fields ``{name}``, ``{n_steps}``,
        ``{step}``, ``{statistics}`` (the text of `TemplateDescriber`), ``{values}``
        (means of equal parts of the span, oldest first) and ``{n_values}``. Default is
        `DEFAULT_PROMPT`.
    n_values : int, default=48
        Number of these means.
    max_new_tokens : int, default=128
        Longest description, in tokens; a longer one is cut off.
    batch_size : int, default=8
        Series described at once.
    temperature : float, default=0.0
        0 takes the most likely token each time; above 0, tokens are drawn at random.
    random_state : int, default=0
        Seed of these draws; the global random state stays as it is.
    device : str, default="auto"
        Such as ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    dtype : str, default="auto"
        Type of the weights: ``"auto"`` for that of the file, ``"float32"``,
        ``"bfloat16"`` or ``"float16"``.
    verbose : int, default=1
        1 shows a progress bar on a terminal if it takes long, 0 shows none.

    Raises
    ------
    BackboneNotFoundError, BackboneCorruptedError, UnsupportedBackboneError
        By `describe`, if the model is not found, is damaged, or is not a causal
        language model. These messages call it ``backbone``.
    InputError
        By `describe`, if a parameter is out of range or a prompt is too long.
    DescriptionError
        By `describe`, if the model fails or writes nothing for a series.

    Notes
    -----
    Code that comes with a model is never run. Source: LLM-TS Net, arXiv 2408.14387,
    where the model is Llama2-70B; prompt and choice of model are ours.

    Examples
    --------
    >>> import numpy as np
    >>> from sktime_llm.text.describers import GenerationDescriber
    >>> describer = GenerationDescriber(
    ...     "tiny-random-decoder", prompt="trend of {values}:", max_new_tokens=8
    ... )
    >>> len(describer.describe([np.arange(20.0)], ["flow"]))
    1
    """

    model: str
    _: KW_ONLY
    revision: str | None = None
    prompt: str = DEFAULT_PROMPT
    n_values: int = 48
    max_new_tokens: int = 128
    batch_size: int = 8
    temperature: float = 0.0
    random_state: int = 0
    device: str = "auto"
    dtype: str = "auto"
    verbose: int = 1

    _parameter_constraints = {
        "model": STRING,
        "revision": STRING | None,
        "prompt": STRING,
        "n_values": integer(1),
        "max_new_tokens": integer(1),
        "batch_size": integer(1),
        "temperature": real(0),
        "random_state": integer(0, 2**32 - 1),
        "device": STRING,
        "dtype": one_of("auto", "float32", "bfloat16", "float16"),
        "verbose": VERBOSE,
    }

    def _describe(self, series: Sequence[NamedSeries]) -> list[str]:
        from sktime_llm._devices import RandomStream, resolve_device

        check_prompt(self.prompt)
        device = resolve_device(self.device)
        key = (self.model, self.revision, self.dtype, device)
        with LOADING:
            if key not in _LOADED:
                _LOADED.clear()  # first, as there may not be memory for two
                _LOADED[key] = _load(*key)
            loaded = _LOADED[key]
        texts: list[str] = []
        sampling = RandomStream(int(self.random_state), device)
        with progress_bar(len(series), "describing", "series", self.verbose) as bar:
            for start in range(0, len(series), self.batch_size):
                batch = series[start : start + self.batch_size]
                with sampling.drawing():
                    texts += self._describe_batch(batch, loaded)
                bar.update(len(batch))
        return texts

    def _describe_batch(
        self, batch: Sequence[NamedSeries], loaded: "LanguageModel"
    ) -> list[str]:
        n_new = int(self.max_new_tokens)
        encoded = loaded.encode(
            [make_prompt(self.prompt, one, self.n_values) for one in batch]
        )
        n_positions = getattr(loaded.model.config, "max_position_embeddings", None)
        lengths = encoded["attention_mask"].sum(dim=1).tolist()
        for one, length in zip(batch, lengths, strict=True):
            if n_positions is not None and length + n_new > n_positions:
                raise InputError(
                    f"series {one.name!r}: the prompt has {length} tokens, and "
                    f"max_new_tokens={n_new} may follow, but {self.model} has "
                    f"{n_positions} positions. Lower max_new_tokens or "
                    f"n_values={self.n_values}, or give a shorter prompt."
                )
        try:
            return loaded.generate(encoded, n_new, float(self.temperature))
        except RuntimeError as error:  # out of memory is one, too
            raise DescriptionError(
                f"series {[one.name for one in batch]}: {self.model} failed to "
                f"generate a text ({type(error).__name__}: {error}). If memory is "
                f"short, take a batch_size below {self.batch_size} or a smaller model."
            ) from error


class LanguageModel(NamedTuple):
    """A causal language model, ready to generate, and its tokenizer."""

    model: Any
    tokenizer: Any

    def encode(self, prompts: Sequence[str]) -> Any:
        """Tokenize prompts, padded on the left; as chats if the model is for chats."""
        if self.tokenizer.chat_template:
            prompts = self.tokenizer.apply_chat_template(
                [[{"role": "user", "content": prompt}] for prompt in prompts],
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,  # ignored by templates without it
            )
        return self.tokenizer(
            list(prompts),
            add_special_tokens=not self.tokenizer.chat_template,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            verbose=False,
        )

    def generate(
        self, encoded: Any, max_new_tokens: int, temperature: float
    ) -> list[str]:
        """Return the text after each prompt, its white space as single spaces."""
        sampling: dict[str, Any] = {}
        if temperature > 0:  # among all tokens; transformers would take the best 50
            sampling = {"temperature": temperature, "top_k": 0}
        tokens = self.model.generate(
            encoded["input_ids"].to(self.model.device),
            attention_mask=encoded["attention_mask"].to(self.model.device),
            max_new_tokens=max_new_tokens,
            do_sample=bool(sampling),
            **sampling,
        )
        new = tokens[:, encoded["input_ids"].shape[1] :]
        texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]


_LOADED: dict[tuple[Any, ...], LanguageModel] = {}
"""The one model that was used last."""


def clear_generation_cache() -> None:
    """Free the memory of the language model that was used last.

    Examples
    --------
    >>> from sktime_llm.text.describers import clear_generation_cache
    >>> clear_generation_cache()
    """
    with LOADING:
        _LOADED.clear()


def _load(
    name: str, revision: str | None, dtype: str, device: "torch.device"
) -> LanguageModel:
    from transformers import AutoModelForCausalLM, GenerationConfig

    from sktime_llm.backbone.loading import (
        load_config,
        load_tokenizer,
        random_model,
        read_weights,
    )

    config = load_config(name, revision)
    # encoders say that they are no decoders; decoders need not say that they are
    if getattr(config, "is_decoder", True) is False:
        raise UnsupportedBackboneError(
            f"model={name!r} is a {config.model_type!r} model, an encoder, which "
            "cannot write; expected a causal language model, such as GPT-2 or Llama."
        )
    tokenizer = load_tokenizer(name, revision)
    if tokenizer.pad_token is None:  # any will do, as it is masked
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    auto_class: Any = AutoModelForCausalLM
    if name == _TINY:
        model = random_model(auto_class, config, _TINY_SEED)
    else:
        model = read_weights(auto_class, name, revision, dtype=dtype, parameter="model")
    # of the model's own settings keep only the end tokens: others might add randomness
    model.generation_config = GenerationConfig(
        eos_token_id=model.generation_config.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LanguageModel(model.requires_grad_(False).eval().to(device), tokenizer)
