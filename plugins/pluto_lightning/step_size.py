"""How many samples a step of the optimizer sees, and how devices share them."""

import attrs


@attrs.frozen(kw_only=True)
class StepSize:
    """The samples of one step of the optimizer."""

    of_device: int
    """Samples in a batch of one device."""
    devices: int
    accumulated: int
    """Batches to a step."""

    @property
    def samples(self) -> int:
        """Return the samples of a step."""
        return self.of_device * self.devices * self.accumulated

    def numbers(self) -> dict[str, int]:
        """Return all numbers, for the results."""
        return {**attrs.asdict(self), "samples": self.samples}

    def text(self) -> str:
        """Return the numbers in one line."""
        where = f" on each of {self.devices:,} devices" if self.devices > 1 else ""
        batches = f", {self.accumulated:,} batches to a step" if self.accumulated > 1 else ""
        total = f": {self.samples:,} samples a step" if where or batches else ""
        return f"batches of {self.of_device:,} samples{where}{batches}{total}"
