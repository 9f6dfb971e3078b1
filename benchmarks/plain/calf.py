"""CALF, arXiv 2403.07300, as its paper describes it."""

import copy

import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import nn


def attention_projections(model: nn.Module) -> list[str]:
    """Return the names of the projections to queries, keys and values."""
    is_gpt2 = model.config.model_type == "gpt2"
    return ["c_attn"] if is_gpt2 else ["query", "key", "value"]


class PlainCALF(nn.Module):
    """Two branches through two copies of a language model, joined by three losses."""

    def __init__(self, model, n_principal: int, context_length: int, horizon: int):
        super().__init__()
        width, n_heads = model.config.hidden_size, model.config.num_attention_heads
        words = model.get_input_embeddings().weight.detach().T
        words = words - words.mean(dim=0)
        n_principal = min(n_principal, width - 1)
        basis = torch.pca_lowrank(words, q=n_principal, center=False)[2]
        self.register_buffer("principal", basis.T @ words.T)
        frozen = model.requires_grad_(False)
        self.text_model = copy.deepcopy(frozen)
        lora = LoraConfig(
            r=8,
            lora_alpha=32,
            lora_dropout=0.1,
            target_modules=attention_projections(model),
            fan_in_fan_out=model.config.model_type == "gpt2",
        )
        self.time_model = get_peft_model(copy.deepcopy(frozen), lora)
        for name, parameter in self.time_model.named_parameters():
            is_norm = any(part in name for part in ("LayerNorm", "ln_"))
            if is_norm or "position_embeddings" in name or "wpe" in name:
                parameter.requires_grad_(True)
        for name, parameter in self.text_model.named_parameters():
            if "position_embeddings" in name or "wpe" in name:
                parameter.requires_grad_(True)
        self.embed = nn.Linear(context_length, width)
        self.encoder = nn.TransformerEncoderLayer(
            width, n_heads, round(2048 * width / 768), 0.1, batch_first=True
        )
        self.match = nn.MultiheadAttention(width, n_heads, batch_first=True)
        n_states = model.config.num_hidden_layers + 1
        self.time_projections, self.text_projections = (
            nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(n_states))
            for _ in range(2)
        )
        self.head = nn.Linear(width, horizon)

    def forward(self, context, target=None):
        """Forecast (batch, time, channel); with a target, return the loss."""
        mean = context.mean(dim=1, keepdim=True)
        scale = (context.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()
        time = self.encoder(self.embed(((context - mean) / scale).transpose(1, 2)))
        principal = self.principal.repeat(len(context), 1, 1)
        text, _ = self.match(time, principal, principal)
        states = [
            model(inputs_embeds=tokens, output_hidden_states=True).hidden_states
            for model, tokens in ((self.time_model, time), (self.text_model, text))
        ]
        of_time, of_text = (
            self.head(each[-1] + tokens).transpose(1, 2) * scale + mean
            for each, tokens in zip(states, (time, text), strict=True)
        )
        if target is None:
            return of_time
        loss = F.l1_loss(of_time, target) + F.l1_loss(of_time, of_text)
        last = len(states[0]) - 1
        for i, pair in enumerate(zip(*states, strict=True)):
            projected = (
                self.time_projections[i](pair[0]),
                self.text_projections[i](pair[1]),
            )
            loss = loss + 0.01 * 0.8 ** (last - i) * F.l1_loss(*projected)
        return loss
