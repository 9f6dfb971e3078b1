"""BALM-TSF, arXiv 2509.00622, as its paper describes it."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def describe(window: torch.Tensor, n_lags: int = 5) -> str:
    """Write the statistics of a window, (time,), as one sentence."""
    trend = "upward" if window.diff().sum() > 0 else "downward"
    spectrum = torch.fft.rfft(window - window.mean())
    correlation = torch.fft.irfft(spectrum * spectrum.conj(), n=len(window))
    lags = correlation.topk(min(n_lags, len(window))).indices.tolist()
    return (
        f"min value {window.min().item()}, max value {window.max().item()}, median "
        f"value {window.median().item()}, the trend of input is {trend}, top {n_lags} "
        f"lags are : {lags}"
    )


class PlainBALMTSF(nn.Module):
    """Patches and a text of each window, balanced and aligned."""

    def __init__(
        self,
        model,
        tokenizer,
        context_length: int,
        horizon: int,
        *,
        patch_length: int = 16,
        stride: int = 8,
        d_model: int = 32,
        d_ff: int = 128,
    ):
        super().__init__()
        width = model.config.hidden_size
        self.model, self.tokenizer = model.requires_grad_(False), tokenizer
        if self.tokenizer.pad_token is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.patch_length, self.stride = patch_length, stride
        self.d_ff = d_ff = min(d_ff, width)
        n_patches = (context_length - patch_length) // stride + 2
        n_prompts = max(1, min(n_patches, n_patches * horizon // context_length))
        self.prompts = nn.Parameter(torch.randn(n_prompts, width))
        self.convolve = nn.Conv1d(
            patch_length, d_model, 3, padding=1, padding_mode="circular", bias=False
        )
        self.dropout = nn.Dropout(0.1)
        self.project = nn.Linear(d_model, width)
        self.temperature = nn.Parameter(torch.tensor(math.log(0.07)))
        self.head = nn.Linear((n_prompts + n_patches) * d_ff, horizon)

    def read(self, series):
        """Return the states of texts, (series, prompt, width)."""
        texts = [describe(window) for window in series]
        tokens = self.tokenizer(
            texts, return_tensors="pt", padding=True, add_special_tokens=False
        )
        words = self.model.get_input_embeddings()(tokens["input_ids"].to(series.device))
        prompts = self.prompts.expand(len(texts), -1, -1)
        mask = F.pad(tokens["attention_mask"], (len(self.prompts), 0), value=1)
        states = self.model(
            inputs_embeds=torch.cat([prompts, words], dim=1),
            attention_mask=mask.to(series.device),
        ).last_hidden_state
        if self.model.config.model_type == "gpt2":
            return states[:, -len(self.prompts) :]
        return states[:, : len(self.prompts)]

    def forward(self, context, target=None):
        """Forecast (batch, time, channel); with a target, return the loss."""
        mean = context.mean(dim=1, keepdim=True)
        scale = (context.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()
        series = ((context - mean) / scale).transpose(1, 2).flatten(0, 1)
        padded = F.pad(series[:, None], (0, self.stride), mode="replicate")[:, 0]
        patches = padded.unfold(1, self.patch_length, self.stride)
        tokens = self.convolve(patches.transpose(1, 2)).transpose(1, 2)
        tokens = self.project(self.dropout(tokens))
        text = self.read(series)
        text = text / (text.std(dim=1, keepdim=True, correction=0) + 1e-5)
        text = text * tokens.std(dim=1, keepdim=True, correction=0)
        both = torch.cat([text, tokens], dim=1)[:, :, : self.d_ff]
        steps = self.dropout(self.head(both.flatten(1)))
        forecast = steps.unflatten(0, (len(context), -1)).transpose(1, 2) * scale + mean
        if target is None:
            return forecast
        pair = (F.normalize(each.mean(dim=1), dim=1) for each in (tokens, text))
        query, key = pair
        similarity = query @ key.T / self.temperature.exp()
        own = torch.arange(len(query), device=query.device)
        return F.mse_loss(forecast, target) + F.cross_entropy(similarity, own)
