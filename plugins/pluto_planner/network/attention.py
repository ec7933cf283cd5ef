"""Multi-head attention over sets of tokens, by the fused kernels of torch."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def attendable(valid: Tensor) -> Tensor:
    """Return the mask (B, 1, 1, N) of keys that a query may see, from key validity (B, N).

    A row without any valid key sees all of them: its output is meaningless and must be masked by whoever asked, but
    it and its gradient stay finite, which a softmax over nothing would not.
    """
    seen = valid | ~valid.any(dim=-1, keepdim=True)
    return seen[:, None, None, :]


class MultiheadAttention(nn.Module):
    """Scaled dot-product attention with the parameters and arithmetic of `torch.nn.MultiheadAttention`."""

    def __init__(self, dim: int, num_heads: int, dropout: float = 0.0) -> None:
        """Make the packed projections (q, k, v in this order) and the output projection."""
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attend: Tensor | None = None) -> Tensor:
        """Attend from (B, Nq, D) to (B, Nk, D); inputs that are one object share one projection.

        Args:
            query: Tokens that ask.
            key: Tokens that are compared.
            value: Tokens that are read.
            attend: Boolean, broadcastable to (B, heads, Nq, Nk); True where a key may be seen.
        """
        q, k, v = self._project(query, key, value)
        if attend is not None:
            attend = attend.expand(-1, -1, q.shape[2], -1)
        rate = self.dropout if self.training else 0.0
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=attend, dropout_p=rate)
        return self.out_proj(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the heads (B, heads, N, D / heads) of query, key and value."""
        if query is key and key is value:
            q, k, v = self._linear(query, 0, 3)
        elif query is key:
            (q, k), (v,) = self._linear(query, 0, 2), self._linear(value, 2, 3)
        elif key is value:
            (q,), (k, v) = self._linear(query, 0, 1), self._linear(key, 1, 3)
        else:
            (q,), (k,), (v,) = self._linear(query, 0, 1), self._linear(key, 1, 2), self._linear(value, 2, 3)
        return q, k, v

    def _linear(self, x: Tensor, start: int, stop: int) -> tuple[Tensor, ...]:
        """Project x (B, N, D) by parts `start` to `stop` of the packed weights, split into heads."""
        dim = x.shape[-1]
        rows = slice(start * dim, stop * dim)
        packed = functional.linear(x, self.in_proj_weight[rows], self.in_proj_bias[rows])
        heads = packed.view(*x.shape[:2], stop - start, self.num_heads, dim // self.num_heads)
        return tuple(part.transpose(1, 2) for part in heads.unbind(2))
