"""What matters in CALF: principal embeddings, losses, location, precision, context.

    python benchmarks/calf_questions.py --data-dir DATA

Hours of ETTh1, 96 ahead from 96, trained briefly: a few epochs of 100 steps, as many
for all settings of a question; `long_term.py` has full trainings. Memory is what
training needs at its peak, beside what the process had before. Errors are over every
tenth window of the test part, on standardized data. A run that is already in the
results file is not repeated.

The question about a wider language model is asked with ``--question`` only, and needs a
``--backbone``, such as the folder that `smollm2.py` writes: 576 features, not 384.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
from _records import RESULTS, provenance, run_missing
from long_term import read_etth1, test_errors
from speed import peak_of

from sktime_llm import CALFForecaster
from sktime_llm._devices import resolve_device

HORIZON = 96
OF_WIDER = "principal embeddings of a wider language model"
QUESTIONS: dict[str, dict[str, dict]] = {
    "principal embeddings": {
        str(n or "all"): {"n_principal_embeddings": n} for n in (50, 100, 250, None)
    },
    OF_WIDER: {str(n): {"n_principal_embeddings": n} for n in (50, 250, 500, 575)},
    "losses": {
        "all three": {},
        "no feature loss": {"feature_loss_weight": 0.0},
        "no consistency loss": {"consistency_loss_weight": 0.0},
        "task loss alone": {
            "feature_loss_weight": 0.0,
            "consistency_loss_weight": 0.0,
        },
        "task loss: MSE": {"task_loss": "mse"},
        "task loss: smooth L1": {"task_loss": "smooth_l1"},
        "consistency loss: MSE": {"consistency_loss": "mse"},
        "feature loss: MSE": {"feature_loss": "mse"},
        "no language model": {"backbone_mode": "none"},
    },
    "location of a window": {
        f"{name}{without}": {"subtract_last": last, **own}
        for name, last in (("its mean", False), ("its last value", True))
        for without, own in (
            ("", {}),
            (", no language model", {"backbone_mode": "none"}),
        )
    },
    "precision": {name: {"precision": name} for name in ("float32", "bfloat16")},
    "context": {
        f"{n} hours{without}": {"context_length": n, **own}
        for without, own in (
            ("", {}),
            (", no language model", {"backbone_mode": "none"}),
        )
        for n in (96, 192, 384, 768, 1536, 4096)
    },
}


def run(args: argparse.Namespace, settings: dict) -> dict:
    """Train and test once; return errors, costs, and the trained parameters."""
    table, train_end, test_start = read_etth1(args.data_dir)
    published = {"context_length": 96, "consistency_loss": "mae"}
    own = published | QUESTIONS[settings["question"]][settings["variant"]]
    forecaster = CALFForecaster(
        prediction_length=HORIZON,
        backbone=args.backbone,
        intervals=None,
        max_epochs=args.epochs,
        cosine_epochs=args.epochs,
        steps_per_epoch=args.steps_per_epoch,
        batch_size=32,
        learning_rate=5e-4,
        validation_fraction=1 - train_end / test_start,
        random_state=settings["seed"],
        device=args.device,
        verbose=0,
        **own,
    )
    past = table.iloc[:test_start]
    # whether an earlier run has loaded the language model makes no difference then
    forecaster.clone().set_params(max_epochs=1, steps_per_epoch=1).fit(past)
    started, cpu = time.perf_counter(), time.process_time()
    mib = peak_of(lambda: forecaster.fit(past), resolve_device(args.device))
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "peak_mib": round(mib),
        "trained_parameters": sum(
            p.numel() for p in forecaster.network_.parameters() if p.requires_grad
        ),
        **test_errors(forecaster, table, train_end, test_start, every=10),
        **provenance(resolve_device(args.device)),
    }


def main() -> None:
    """Run what is not in the results yet, and print a table of each question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument(
        "--question",
        choices=list(QUESTIONS),
        nargs="+",
        default=[name for name in QUESTIONS if name != OF_WIDER],
    )
    parser.add_argument("--backbone", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps-per-epoch", type=int, default=100)
    parser.add_argument("--seed", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--results", type=Path, default=RESULTS / "calf_questions.jsonl"
    )
    args = parser.parse_args()
    kept = ("backbone", "epochs", "steps_per_epoch")
    common = {name: getattr(args, name) for name in kept}
    runs = [
        {"question": question, "variant": variant, "seed": seed, **common}
        for question in args.question
        for seed in args.seed
        for variant in QUESTIONS[question]
    ]
    records = run_missing(
        args.results,
        runs,
        lambda settings: run(args, settings),
        lambda settings: f"{settings['question']}: {settings['variant']}",
    )
    found = pd.DataFrame(records)
    errors = ["mse", "mae", "cpu_seconds"]
    for question, rows in found.groupby("question", sort=False):
        table = rows.groupby("variant", sort=False)[errors].mean()
        print(f"{question}\n{table.round(3).to_string()}\n", flush=True)


if __name__ == "__main__":
    main()
