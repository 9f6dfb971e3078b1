"""What autograd keeps for backward: full fine-tuning, LoRA and LoRA-AMR.

python benchmarks/lora_amr_memory.py

Fine-tunes the default backbone, with a masked-language-model head, on descriptions of
trends. Kept bytes are exact and the same on every machine: each storage that autograd
saves is counted once, and the model's own weights are not counted.
"""

import argparse
import copy
import csv
import random
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.nn import functional
from transformers import AutoModelForMaskedLM, AutoTokenizer

from sktime_llm.backbone.adapters import attention_projection_names
from sktime_llm.backbone.files import DEFAULT_BACKBONE, locate_backbone
from sktime_llm.backbone.lora_amr import LoraAmrConfig

RESULTS = Path(__file__).parent / "results" / "lora_amr_memory.csv"
RANKS = (16, 32, 64)
METHODS = [
    ("full", 0, 1e-4),
    *(("LoRA", rank, 1e-3) for rank in RANKS),
    *(("LoRA-AMR", rank, 1e-3) for rank in RANKS),
    *((method, 64, 4e-3) for method in ("LoRA", "LoRA-AMR")),
]
"""Method, rank and learning rate."""
BATCH_SIZE, LENGTH, N_DESCRIPTIONS, N_HELD_OUT = 8, 48, 256, 32
MASKED_SHARE, HEAD_STEPS, SEED = 0.15, 40, 0


def describe(rng: random.Random) -> str:
    """Make a description of an invented series of traffic speeds."""
    level = rng.randint(20, 70)
    trend = rng.choice(["rises", "falls", "stays level", "first falls, then rises"])
    speed = rng.choice(["slowly", "steadily", "quickly"])
    noise = rng.choice(["little", "moderate", "strong"])
    season = rng.choice(["every day", "every week", "at no regular interval"])
    hour = rng.randint(6, 20)
    return (
        f"The speed is {level} miles per hour on average and {trend} {speed}, with "
        f"{noise} volatility. The pattern repeats {season}; the lowest values are "
        f"near {hour} o'clock, at about {level - rng.randint(5, 15)} miles per hour."
    )


def load() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Model, and tokens of the descriptions before and after masking."""
    folder = locate_backbone(DEFAULT_BACKBONE)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rng = random.Random(SEED)
    texts = [describe(rng) for _ in range(N_DESCRIPTIONS + N_HELD_OUT)]
    tokens = tokenizer(texts, max_length=LENGTH, truncation=True, padding="max_length")[
        "input_ids"
    ]
    tokens = torch.tensor(tokens)
    special = torch.isin(tokens, torch.tensor(tokenizer.all_special_ids))
    chosen = torch.rand(tokens.shape) < MASKED_SHARE
    masked = tokens.masked_fill(chosen & ~special, tokenizer.mask_token_id)
    return AutoModelForMaskedLM.from_pretrained(folder), tokens, masked


def loss_of(model: nn.Module, tokens: torch.Tensor, masked: torch.Tensor):
    """Cross-entropy of the masked tokens; the head sees no other."""
    where = tokens != masked
    states = model.base_model(masked).last_hidden_state
    return functional.cross_entropy(model.cls(states[where]), tokens[where])


def train(model, tokens, masked, n_steps, learning_rate) -> None:
    """Adam on the first descriptions, the same batches for every method."""
    torch.manual_seed(SEED)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=learning_rate)
    model.train()
    for _ in range(n_steps):
        batch = torch.randperm(N_DESCRIPTIONS)[:BATCH_SIZE]
        optimizer.zero_grad()
        loss_of(model, tokens[batch], masked[batch]).backward()
        optimizer.step()


@torch.no_grad()
def held_out_loss(model, tokens, masked) -> float:
    """Loss on the descriptions that training does not see."""
    return loss_of(model.eval(), tokens[-N_HELD_OUT:], masked[-N_HELD_OUT:]).item()


def kept_bytes(model, names, tokens, masked) -> tuple[int, int]:
    """What a forward keeps for backward: in all, and in the adapted projections."""
    own = {t.untyped_storage().data_ptr() for t in model.state_dict().values()}
    everything, projections, inside = {}, {}, []

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            # the storage itself, too, lest its address be used again
            everything[storage.data_ptr()] = storage
            if inside:
                projections[storage.data_ptr()] = storage
        return tensor

    hooks = []
    for layer in map(model.get_submodule, names):
        hooks.append(layer.register_forward_pre_hook(lambda *_: inside.append(1)))
        hooks.append(layer.register_forward_hook(lambda *_: inside.clear()))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_of(model.train(), tokens[:BATCH_SIZE], masked[:BATCH_SIZE])
    for hook in hooks:
        hook.remove()
    return tuple(
        sum(storage.nbytes() for storage in kept.values())
        for kept in (everything, projections)
    )


def adapt(model: nn.Module, names: list[str], method: str, rank: int) -> None:
    """Make trainable what the method trains."""
    model.requires_grad_(method == "full")
    if method != "full":
        make = {"LoRA": LoraConfig, "LoRA-AMR": LoraAmrConfig}[method]
        config = make(r=rank, lora_alpha=2 * rank, target_modules=names)
        inject_adapter_in_model(config, model)


def run(n_steps: int) -> list[dict]:
    """Measure all methods from the same start."""
    torch.manual_seed(SEED)
    start, tokens, masked = load()
    names = attention_projection_names(start)
    # the checkpoint has no head for masked tokens: train one first, for all methods
    start.requires_grad_(False)
    start.cls.predictions.transform.requires_grad_(True)
    train(start, tokens, masked, HEAD_STEPS, 1e-3)
    rows = []
    for method, rank, learning_rate in METHODS:
        torch.manual_seed(SEED)
        model = copy.deepcopy(start)
        adapt(model, names, method, rank)
        total, projections = kept_bytes(model, names, tokens, masked)
        before = held_out_loss(model, tokens, masked)
        train(model, tokens, masked, n_steps, learning_rate)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
        rows.append(
            {
                "method": method,
                "rank": rank,
                "trained_parameters": trained,
                "kept_bytes": total,
                "kept_bytes_projections": projections,
                "loss_before": round(before, 4),
                "loss_after": round(held_out_loss(model, tokens, masked), 4),
                "steps": n_steps,
                "learning_rate": learning_rate,
            }
        )
        print(",".join(map(str, rows[-1].values())), flush=True)
    return rows


def main() -> None:
    """Print the table, and check the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=60, help="of fine-tuning")
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = run(arguments.steps)
    with arguments.output.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    kept = {(row["method"], row["rank"]): row["kept_bytes"] for row in rows}
    for rank in RANKS:
        if kept["LoRA-AMR", rank] >= kept["LoRA", rank]:
            raise SystemExit(f"LoRA-AMR keeps no less than LoRA at rank {rank}")


if __name__ == "__main__":
    main()
