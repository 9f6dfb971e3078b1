"""LLM-TS Net, arXiv 2408.14387, after its descriptions have been read once."""

import torch
import torch.nn.functional as F
from torch import nn

DROPOUT = 0.1


class GroupedAttention(nn.Module):
    """Attention whose query heads share fewer heads of keys and values."""

    def __init__(self, width: int, n_heads: int, n_groups: int):
        super().__init__()
        self.n_heads, self.n_groups = n_heads, n_groups
        d_kv = width // n_heads * n_groups
        self.query, self.output = nn.Linear(width, width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(width, d_kv), nn.Linear(width, d_kv)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(DROPOUT)

    def forward(self, tokens):
        """(batch, token, width) to the same, with residual and norm."""

        def split(rows, n):
            return rows.unflatten(2, (n, -1)).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(
            split(self.query(tokens), self.n_heads),
            split(self.key(tokens), self.n_groups),
            split(self.value(tokens), self.n_groups),
            enable_gqa=True,
        )
        mixed = self.output(mixed.transpose(1, 2).flatten(2))
        return self.norm(tokens + self.dropout(mixed))


class Block(nn.Module):
    """Attention in time, then in space, then a feed-forward layer."""

    def __init__(self, width: int, n_heads: int, n_groups: int, d_ff: int):
        super().__init__()
        self.in_time, self.in_space = (
            GroupedAttention(width, n_heads, n_groups) for _ in range(2)
        )
        self.feed = nn.Sequential(
            nn.Linear(width, d_ff),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(d_ff, width),
            nn.Dropout(DROPOUT),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens):
        """(batch, series, token, width) to the same."""
        shape = tokens.shape
        tokens = self.in_time(tokens.flatten(0, 1)).view(shape)
        across = tokens.transpose(1, 2)
        across = self.in_space(across.flatten(0, 1)).view(across.shape)
        tokens = across.transpose(1, 2)
        return self.norm(tokens + self.feed(tokens))


class PlainLLMTSNet(nn.Module):
    """Prompts from a pool, attention in time and space, and texts of the series."""

    def __init__(
        self,
        texts: torch.Tensor,
        context_length: int,
        horizon: int,
        *,
        width: int = 64,
        n_heads: int = 4,
        n_groups: int = 2,
        d_ff: int = 128,
        n_blocks: int = 2,
        n_prompts: int = 16,
        n_chosen: int = 2,
    ):
        super().__init__()
        self.register_buffer("texts", texts)  # (series, width of the language model)
        self.n_patches = min(12, context_length)
        self.patch_length = -(-context_length // self.n_patches)
        self.n_patches = -(-context_length // self.patch_length)
        self.n_chosen = n_chosen
        self.embed = nn.Linear(self.patch_length, width)
        self.query = nn.Linear(context_length, width)
        self.keys, self.values = (
            nn.Parameter(torch.randn(n_prompts, width)) for _ in range(2)
        )
        self.of_query, self.of_key = (nn.Linear(width, width) for _ in range(2))
        self.score = nn.Linear(width, 1)
        self.blocks = nn.ModuleList(
            Block(width, n_heads, n_groups, d_ff) for _ in range(n_blocks)
        )
        self.summary = nn.Linear((self.n_patches + n_chosen) * width, width)
        self.project = nn.Linear(texts.shape[1], width)
        self.fuse = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(DROPOUT)
        self.head = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.Dropout(DROPOUT),
            nn.Linear(width, horizon),
        )

    def forward(self, context, target=None):
        """Forecast (batch, time, channel); with a target, return the loss."""
        mean = context.mean(dim=1, keepdim=True)
        scale = (context.var(dim=1, keepdim=True, correction=0) + 1e-5).sqrt()
        series = ((context - mean) / scale).transpose(1, 2)
        front = self.n_patches * self.patch_length - series.shape[2]
        patches = F.pad(series, (front, 0), mode="replicate")
        tokens = self.embed(patches.unflatten(2, (self.n_patches, -1)))
        query = self.of_query(self.query(series))[:, :, None]
        scores = self.score(torch.tanh(query + self.of_key(self.keys))).squeeze(-1)
        chosen = scores.topk(self.n_chosen, dim=-1).indices
        weights = scores.softmax(dim=-1).gather(-1, chosen)
        prompts = self.values[chosen] * weights.unsqueeze(-1)
        tokens = torch.cat([prompts, tokens], dim=2)
        for block in self.blocks:
            tokens = block(tokens)
        states = self.summary(tokens.flatten(2))
        texts = self.project(self.texts).expand(len(states), -1, -1)
        mixed, _ = self.fuse(states, texts, texts)
        states = self.norm(states + self.dropout(mixed))
        forecast = self.head(states).transpose(1, 2) * scale + mean
        return forecast if target is None else F.l1_loss(forecast, target)
