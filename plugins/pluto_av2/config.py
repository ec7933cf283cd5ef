"""Settings of the source `av2`."""

import attrs

from pluto_core.component import setting


@attrs.frozen(kw_only=True)
class Av2Config:
    """Where Argoverse 2 recordings lie, and which of their frames begin a scenario."""

    data_root: str = setting(
        help="Folder of sensor logs (`<log>/city_SE3_egovehicle.feather`) or motion scenarios, up to three folders down; here "
        "or behind a URL (s3://...)."
    )
    stride: int = setting(1, "Take every n-th possible start frame.", minimum=1)
    history_s: float = setting(2.0, "Frames with less past than this begin no scenario, seconds.", minimum=0)
    future_s: float = setting(8.0, "Frames with less future than this begin no scenario, seconds.", minimum=0)
    lane_types: tuple[str, ...] = setting(("VEHICLE", "BUS"), "Kinds of lane segments that become lanes; bicycle lanes do not.")
    remote_cache_gb: float = setting(
        200.0, "How much of what lies behind URLs is kept in the user's cache folder, gigabytes; the latest used.", above=0
    )
    route_lookahead_m: float = setting(
        120.0, "How far a route goes on, straight ahead, behind the place where the recording ends, metres.", minimum=0
    )
