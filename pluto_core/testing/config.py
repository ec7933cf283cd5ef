"""Settings of the small real parts."""

import attrs

from pluto_core.component import setting


@attrs.frozen(kw_only=True)
class FakeSourceConfig:
    """Scenes made in memory."""

    logs: int = setting(4, "How many logs.", minimum=1)
    scenarios: int = setting(6, "Scenarios of each log, a second apart.", minimum=1)
    agents: int = setting(3, "Tracks of each scene.", minimum=0)
    lanes: int = setting(2, "Lanes side by side.", minimum=0)
    before_s: float = setting(3.0, "What is recorded before a log's first scenario, seconds.", minimum=0)
    after_s: float = setting(9.0, "What is recorded after a log's last scenario, seconds.", minimum=0)


@attrs.frozen(kw_only=True)
class FakeAgentsConfig:
    """Where others are, seen from the ego vehicle."""

    history_s: float = setting(1.0, "Seconds before time zero.", minimum=0)


@attrs.frozen(kw_only=True)
class FakeTruthConfig:
    """Where the ego vehicle goes."""

    horizon_s: float = setting(2.0, "How far to look ahead, seconds.", above=0)


@attrs.frozen(kw_only=True)
class NothingConfig:
    """Nothing to set."""
