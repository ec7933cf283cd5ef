"""Initial values of the published network."""

from torch import nn

from pluto_planner.network.normalization import MaskedBatchNorm

EMBEDDING_STD = 0.02


def initialize(root: nn.Module) -> None:
    """Set linear layers, norms and embeddings of a network as published (model spec section 10).

    Packed attention weights, convolutions and free parameters keep what their modules gave them.
    """
    for module in root.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm | MaskedBatchNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=EMBEDDING_STD)
