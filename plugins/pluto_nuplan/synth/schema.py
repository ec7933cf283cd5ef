"""Tables of a nuPlan v1.1 log, and the indices that a reader is glad of."""

_KEY = "token BLOB NOT NULL PRIMARY KEY"
_TABLES = {
    "category": f"{_KEY}, name VARCHAR(64), description TEXT",
    "log": f"{_KEY}, vehicle_name VARCHAR(64), date VARCHAR(64), timestamp INTEGER, logfile VARCHAR(64), "
    "location VARCHAR(64), map_version VARCHAR(64)",
    "camera": f"{_KEY}, log_token BLOB NOT NULL, channel VARCHAR(64), model VARCHAR(64), translation BLOB, "
    "rotation BLOB, intrinsic BLOB, distortion BLOB, width INTEGER, height INTEGER",
    "ego_pose": f"{_KEY}, timestamp INTEGER, x FLOAT, y FLOAT, z FLOAT, qw FLOAT, qx FLOAT, qy FLOAT, qz FLOAT, "
    "vx FLOAT, vy FLOAT, vz FLOAT, acceleration_x FLOAT, acceleration_y FLOAT, acceleration_z FLOAT, "
    "angular_rate_x FLOAT, angular_rate_y FLOAT, angular_rate_z FLOAT, epsg INTEGER, log_token BLOB NOT NULL",
    "image": f"{_KEY}, next_token BLOB, prev_token BLOB, ego_pose_token BLOB NOT NULL, camera_token BLOB NOT NULL, "
    "filename_jpg VARCHAR(128), timestamp INTEGER",
    "lidar": f"{_KEY}, log_token BLOB NOT NULL, channel VARCHAR(64), model VARCHAR(64), translation BLOB, rotation BLOB",
    "lidar_pc": f"{_KEY}, next_token BLOB, prev_token BLOB, ego_pose_token BLOB NOT NULL, lidar_token BLOB NOT NULL, "
    "scene_token BLOB NOT NULL, filename VARCHAR(128), timestamp INTEGER",
    "lidar_box": f"{_KEY}, lidar_pc_token BLOB NOT NULL, track_token BLOB, next_token BLOB, prev_token BLOB, x FLOAT, "
    "y FLOAT, z FLOAT, width FLOAT, length FLOAT, height FLOAT, vx FLOAT, vy FLOAT, vz FLOAT, yaw FLOAT, confidence FLOAT",
    "track": f"{_KEY}, category_token BLOB NOT NULL, width FLOAT, length FLOAT, height FLOAT",
    "scene": f"{_KEY}, log_token BLOB NOT NULL, name TEXT, goal_ego_pose_token BLOB, roadblock_ids TEXT",
    "scenario_tag": f"{_KEY}, lidar_pc_token BLOB NOT NULL, type TEXT, agent_track_token BLOB",
    "traffic_light_status": f"{_KEY}, lidar_pc_token BLOB NOT NULL, lane_connector_id INTEGER, status VARCHAR(8)",
}
_INDICES = (
    ("lidar_box", "lidar_pc_token"),
    ("lidar_box", "track_token"),
    ("lidar_pc", "timestamp"),
    ("lidar_pc", "scene_token"),
    ("lidar_pc", "ego_pose_token"),
    ("scenario_tag", "lidar_pc_token"),
    ("traffic_light_status", "lidar_pc_token"),
)

CREATE_TABLES = ";\n".join(f"CREATE TABLE {name} ({columns})" for name, columns in _TABLES.items())
CREATE_INDICES = ";\n".join(f"CREATE INDEX ix_{table}_{column} ON {table} ({column})" for table, column in _INDICES)
WIDTHS = {name: columns.count(",") + 1 for name, columns in _TABLES.items()}


def insert_statement(table: str) -> str:
    """The statement that inserts one full row into a table."""
    return f"INSERT INTO {table} VALUES ({', '.join('?' * WIDTHS[table])})"  # noqa: S608  (the name is one of ours)
