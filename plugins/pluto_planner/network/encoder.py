"""One block of the scene encoder."""

from torch import Tensor, nn

from pluto_planner.network.attention import MultiheadAttention
from pluto_planner.network.mlp import DropPath, Mlp

MLP_RATIO = 4


class EncoderBlock(nn.Module):
    """Pre-norm self-attention over all tokens of a scene, then an MLP (model spec section 6)."""

    def __init__(self, dim: int, num_heads: int, drop_path: float) -> None:
        """Make the block."""
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = MultiheadAttention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, MLP_RATIO)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, attend: Tensor) -> Tensor:
        """Map tokens (B, N, D) to (B, N, D); `attend` (B, 1, 1, N) is True at tokens that may be seen."""
        y = self.norm1(x)
        x = x + self.drop_path(self.attn(y, y, y, attend))
        return x + self.drop_path(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]
