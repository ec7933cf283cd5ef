"""Types of the nested batch that the network reads and of what it returns."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

Group = Mapping[str, Tensor]
"""One group of a batch, such as `agent`: arrays by name, batch first."""
Batch = Mapping[str, Any]
"""A collated batch: groups (`agent`, `map`, `reference_line`, `static_objects`) and plain tensors by name."""
Outputs = dict[str, Tensor]
"""What the network returns, by the names of the model spec, section 9."""
