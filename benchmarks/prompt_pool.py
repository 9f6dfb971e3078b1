"""Do trained keys send series of one pattern to the same prompts?

Noisy series of five patterns, of random phase, height and level; the network forecasts
them and never hears of patterns. Its pool has ten prompts, and a series takes one. What
is printed, for 500 series that were not trained on:

- agreement: share of the series of a pattern that choose its most frequent prompt, mean
  over the patterns; 1 also if all patterns choose the same prompt,
- AMI: adjusted mutual information of pattern and chosen prompt; 0 by chance, 1 if each
  tells the other,
- prompts: how many different prompts are the most frequent one of a pattern, at most 5,
- in use: share of the pool in use, `share_in_use`,
- MSE of the forecast.

    python benchmarks/prompt_pool.py

Each cell has the mean and, in brackets, the lowest and highest over the seeds. The last
line is a control: the scores of the pools of the line before, dealt to other series.
A run that is already in the results file is not repeated.
"""

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from _records import RESULTS, provenance, run_missing
from sklearn.metrics import adjusted_mutual_info_score
from torch import Tensor, nn

from sktime_llm.layers.normalization import instance_norm
from sktime_llm.layers.prompt_pool import (
    PromptPool,
    PromptSelection,
    selection_loss,
    share_in_use,
    usage_counts,
)

PATTERNS = ("sine of period 8", "sine of period 24", "sawtooth", "step", "trend")
CONTEXT_LENGTH, PREDICTION_LENGTH = 48, 12
N_PROMPTS, PROMPT_LENGTH, D_MODEL = 10, 2, 32
# How the keys of the pool are trained; "untrained" is a network as it is made.
KEYS = {
    "untrained": {"loss_weight": 0.0, "n_steps": 0},
    "selection loss x 0": {"loss_weight": 0.0},
    "selection loss x 0.1": {"loss_weight": 0.1},
    "selection loss x 1": {"loss_weight": 1.0},
    "scores shuffled": {"loss_weight": 1.0, "shuffled": True},
}
COLUMNS = ("agreement", "mutual_information", "n_prompts", "share_in_use", "mse")


class Routing(NamedTuple):
    """How well the chosen prompts tell the patterns."""

    agreement: float
    mutual_information: float
    n_prompts: int
    share_in_use: float


def make_series(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Series (n, time) and the number of the pattern of each, (n,)."""
    length = CONTEXT_LENGTH + PREDICTION_LENGTH
    time = torch.arange(length)
    patterns = torch.randint(len(PATTERNS), (n,), generator=generator)
    phase, height = torch.rand(2, n, 1, generator=generator)
    shapes = torch.stack(
        [
            torch.sin(2 * math.pi * (time / 8 + phase)),
            torch.sin(2 * math.pi * (time / 24 + phase)),
            2 * ((time / 12 + phase) % 1) - 1,
            torch.where(time < 10 + 28 * phase, -1.0, 1.0),
            (2 * time / length - 1) * torch.where(phase < 0.5, -1.0, 1.0),
        ]
    )
    noise = 0.1 * torch.randn(n, length, generator=generator)
    level = torch.randn(n, 1, generator=generator)
    return (0.5 + height) * shapes[patterns, torch.arange(n)] + level + noise, patterns


class PromptedForecaster(nn.Module):
    """Encoder, pool and head; the encoder reads the amplitudes of frequencies.

    So the query knows no phase, which tells series of one pattern apart.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(CONTEXT_LENGTH // 2 + 1, 64),
            nn.GELU(),
            nn.Linear(64, D_MODEL),
            nn.LayerNorm(D_MODEL),
        )
        self.pool = PromptPool(N_PROMPTS, PROMPT_LENGTH, D_MODEL, n_selected=1)
        self.head = nn.Sequential(
            nn.Linear(CONTEXT_LENGTH + PROMPT_LENGTH * D_MODEL, 64),
            nn.GELU(),
            nn.Linear(64, PREDICTION_LENGTH),
        )

    def forward(self, context: Tensor) -> tuple[Tensor, PromptSelection]:
        """Forecast (batch, time) and give the prompts that were chosen for it."""
        window = instance_norm(context.unsqueeze(2))
        values = window.values.squeeze(2)
        amplitudes = torch.fft.rfft(values, norm="ortho").abs()
        selection = self.pool(self.encoder(amplitudes))
        forecast = self.head(torch.cat([selection.tokens.flatten(1), values], dim=1))
        return forecast * window.scale[:, 0] + window.loc[:, 0], selection


def train(loss_weight: float, seed: int, n_steps: int = 300) -> PromptedForecaster:
    """Train on fresh series at every step; 0 steps for a network as it is made."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = PromptedForecaster()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    for _ in range(n_steps):
        series, _ = make_series(64, generator)
        forecast, selection = network(series[:, :CONTEXT_LENGTH])
        loss = F.mse_loss(forecast, series[:, CONTEXT_LENGTH:])
        loss = loss + loss_weight * selection_loss(selection.scores)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def measure(scores: Tensor, patterns: Tensor) -> Routing:
    """Compare the best prompt of each series, by (series, prompt), with its pattern."""
    best = scores.argmax(dim=1)
    counts = [usage_counts(best[patterns == p], N_PROMPTS) for p in patterns.unique()]
    return Routing(
        float(torch.stack([c.max() / c.sum() for c in counts]).mean()),
        float(adjusted_mutual_info_score(patterns, best)),
        len({int(c.argmax()) for c in counts}),
        float(share_in_use(usage_counts(best, N_PROMPTS).double())),
    )


def shuffle(scores: Tensor) -> Tensor:
    """Deal the scores to other series."""
    order = torch.randperm(len(scores), generator=torch.Generator().manual_seed(0))
    return scores[order]


def unseen_series() -> tuple[Tensor, Tensor]:
    """Series that are not trained on, and their patterns."""
    return make_series(500, torch.Generator().manual_seed(10_000))


@torch.no_grad()
def evaluate(network: PromptedForecaster, shuffled: bool = False) -> tuple[float, ...]:
    """Routing of unseen series, and the error of their forecasts."""
    series, patterns = unseen_series()
    forecast, selection = network(series[:, :CONTEXT_LENGTH])
    scores = shuffle(selection.scores) if shuffled else selection.scores
    error = F.mse_loss(forecast, series[:, CONTEXT_LENGTH:])
    return (*measure(scores, patterns), float(error))


def print_row(name: str, rows: list[dict]) -> None:
    """Mean and, in brackets, lowest and highest of each column."""
    cells = []
    for column in COLUMNS:
        values = [row[column] for row in rows]
        spread = f"[{min(values):.3f}, {max(values):.3f}]"
        cells.append(f"{np.mean(values):.3f} {spread}")
    print(f"{name:22}" + "".join(f"{cell:>24}" for cell in cells), flush=True)


def run(settings: dict) -> dict:
    """Train one network and measure it."""
    options, seed = KEYS[settings["keys"]], settings["seed"]
    network = train(options["loss_weight"], seed, options.get("n_steps", 300))
    measured = evaluate(network, options.get("shuffled", False))
    found = dict(zip(COLUMNS, measured, strict=True))
    return {**found, **provenance(torch.device("cpu"))}


def main() -> None:
    """Run what is not in the results yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS / "prompt_pool.jsonl")
    args = parser.parse_args()
    runs = [{"keys": k, "seed": seed} for k in KEYS for seed in range(args.seeds)]
    records = list(run_missing(args.results, runs, run, lambda s: s["keys"]))
    header = ("agreement", "AMI", "prompts", "in use", "MSE")
    print(" " * 22 + "".join(f"{name:>24}" for name in header))
    for keys in KEYS:
        print_row(keys, [r for r in records if r["keys"] == keys])


if __name__ == "__main__":
    main()
