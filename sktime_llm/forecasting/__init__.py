"""The forecasters."""

from sktime_llm._threads import load_torch

load_torch()
