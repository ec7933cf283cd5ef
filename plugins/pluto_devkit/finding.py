"""Asking a scenario builder of nuplan-devkit for scenarios."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pluto_core.errors import PlutoError
from pluto_core.filters import ScenarioFilter
from pluto_core.scene import ScenarioId
from pluto_devkit.config import DevkitSourceConfig
from pluto_devkit.targets import call

try:
    from nuplan.planning.scenario_builder.scenario_filter import ScenarioFilter as DevkitFilter
    from nuplan.planning.utils.multithreading.worker_sequential import Sequential
except ImportError as error:
    message = f"nuplan-devkit cannot be imported ({error}); docs/coming-from-nuplan-devkit.md says how to install it"
    raise ImportError(message) from error

_BASIC = ("scenario_types", "scenario_tokens", "log_names", "map_names", "expand_scenarios", "remove_invalid_goals")
_COUNTED = ("num_scenarios_per_type", "limit_total_scenarios", "timestamp_threshold_s", "ego_displacement_minimum_m")
_COMPANIONS = {
    "ego_start_speed_threshold": ("speed_noise_tolerance",),
    "ego_stop_speed_threshold": ("speed_noise_tolerance",),
    "fraction_in_token_set_threshold": ("token_set_path",),
}
_KEPT = 20_000
"""Scenarios that are remembered, so that loading one after the other does not ask for each."""

Found = dict[ScenarioId, Any]


class Finder:
    """A scenario builder, and the scenarios that it found lately."""

    def __init__(self, config: DevkitSourceConfig) -> None:
        """Make the builder.

        Raises:
            PlutoError: It does not exist, refuses its arguments, or is none.
        """
        self.builder = call(config.builder, config.arguments)
        if not hasattr(self.builder, "get_scenarios"):
            raise PlutoError(f"source.builder: {config.builder} has no get_scenarios; name an AbstractScenarioBuilder")
        self._seen: Found = {}

    def find(self, wanted: ScenarioFilter, also: str | None = None) -> Found:
        """Return the scenarios that a filter's extraction gives; with `also`, those that one more field keeps."""
        fields = {name: _plain(getattr(wanted, name)) for name in _BASIC}
        more = (also, *_COMPANIONS.get(also, ())) if also else ()
        fields |= {name: _plain(getattr(wanted, name)) for name in more}
        if fields.get("token_set_path"):
            fields["token_set_path"] = Path(fields["token_set_path"])
        return self._asked(fields)

    def take(self, ids: Sequence[ScenarioId]) -> list[Any]:
        """Return the scenarios of some ids of one log, None for those that there are not.

        They are asked for by token alone: what a scenario is must not depend on the filter that listed it.
        """
        unseen = [one for one in ids if one not in self._seen]
        for expand in (True, False):
            if unseen:
                fields: dict[str, Any] = dict.fromkeys(_BASIC)
                fields |= {"expand_scenarios": expand, "remove_invalid_goals": False, "log_names": [unseen[0].log]}
                fields["scenario_tokens"] = [one.token for one in unseen if _is_hex(one.token)]
                found = self._asked(fields) if fields["scenario_tokens"] else {}
                self._seen = (self._seen if len(self._seen) < _KEPT else {}) | found
                unseen = [one for one in unseen if one not in self._seen]
        return [self._seen.get(one) for one in ids]

    def _asked(self, fields: dict[str, Any]) -> Found:
        unset: dict[str, Any] = {**dict.fromkeys(_COUNTED), "shuffle": False}
        scenarios = self.builder.get_scenarios(DevkitFilter(**(unset | fields)), Sequential())
        found: Found = {}
        for scenario in scenarios:
            identity = ScenarioId(scenario.log_name, scenario.token, scenario.start_time.time_us)
            found.setdefault(identity, scenario)
        return found

    def dataset(self) -> dict[str, int]:
        """Return names and sizes of the log files that the builder names, where it names them."""
        files = getattr(self.builder, "_db_files", None) or ()
        paths = [Path(file) for file in ([files] if isinstance(files, str) else files)]
        return {path.stem: path.stat().st_size for path in sorted(paths) if path.is_file()} or {"devkit": 0}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _is_hex(token: str) -> bool:
    try:
        bytes.fromhex(token)
    except ValueError:
        return False
    return True
