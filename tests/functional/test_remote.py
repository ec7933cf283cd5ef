"""The whole way on an S3 server: logs and maps read from a bucket, the cache pushed to one and pulled on another machine."""

import json

import pytest

from pluto_nuplan.synth.dataset import write_dataset

pytest.importorskip("s3fs", reason="the extra `remote` is not installed")
moto = pytest.importorskip("moto.server", reason="moto's server is not installed")
import boto3  # noqa: E402 -- comes with moto

pytestmark = pytest.mark.slow

EXPERIMENT = """
name = "far"
steps = ["cache"]
output_dir = "runs"

[source]
use = "nuplan"
data_root = "s3://lake/data"
remote_cache_gb = 0.5

[filter]
num_scenarios_per_type = 3

[cache]
path = "cache"

[worker]
use = "processes"
count = 2

[[targets]]
use = "ego_trajectory"
"""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Return the settings of a server whose bucket `lake` holds a dataset of two logs under `data`."""
    dataset = write_dataset(tmp_path_factory.mktemp("lake") / "data", logs=2, seconds=14, grid=(1, 1))
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106 -- nobody's
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="lake")
    for path in sorted(dataset.root.rglob("*")):
        if path.is_file():
            client.upload_file(str(path), "lake", f"data/{path.relative_to(dataset.root).as_posix()}")
    yield settings, client
    server.stop()


@pytest.fixture
def far(pluto, lake, tmp_path):
    """Return a function that runs `pluto` where only the bucket holds data."""
    settings, _ = lake
    path = tmp_path / "far.toml"
    path.write_text(EXPERIMENT, encoding="utf-8")

    def run(*arguments, **env):
        home = {"PLUTO_CACHE_HOME": str(tmp_path / "home")}
        return pluto(*arguments, cwd=tmp_path, env={**home, **settings, **env})

    return run


def test_from_a_bucket_to_a_bucket(far, lake, tmp_path):
    """Scenarios are listed and cached by two processes; the cache goes to the bucket and comes back whole."""
    _, client = lake
    far("run", "far.toml").ok()
    held = sorted(path.name for path in (tmp_path / "home" / "remote").glob("*/*"))
    assert len([name for name in held if name.endswith(".db")]) == 2
    assert held.count("map.gpkg") == 1
    told = json.loads(far("cache", "info", "cache", "--json").ok())
    assert told["samples"] > 10
    assert told["failures"] == {}
    far("cache", "export", "cache", "--to", "s3://lake/caches/far").ok()
    keys = [one["Key"] for one in client.list_objects_v2(Bucket="lake", Prefix="caches/far/")["Contents"]]
    assert {"caches/far/pushed.json", "caches/far/manifest.json"} <= set(keys)
    far("cache", "import", "s3://lake/caches/far", "--to", "back").ok()
    assert "nothing is wrong" in far("cache", "verify", "back").ok()
    assert json.loads(far("cache", "info", "back", "--json").ok())["samples"] == told["samples"]
    assert "nothing recomputed" in far("run", "far.toml", "--set", "cache.path=back").ok()


def test_doctor_looks_into_a_bucket(far):
    """It finds the logs, and opens one."""
    told = json.loads(far("doctor", "--json", NUPLAN_DATA_ROOT="s3://lake/data").ok())
    texts = [one["text"] for one in told["sections"]["nuPlan"] if one["subject"] == "NUPLAN_DATA_ROOT"]
    assert texts[0].startswith("1 of 1 logs open, of 2 with")


def test_a_bucket_that_is_not_there(far):
    """One message, no traceback."""
    outcome = far("run", "far.toml", "--set", "source.data_root=s3://pond/data")
    assert outcome.code == 1
    assert "error: source.data_root: there is no folder or file s3://pond/data" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_server_that_is_not_there(far):
    """Tried again for some seconds, then one message."""
    outcome = far("run", "far.toml", AWS_ENDPOINT_URL="http://127.0.0.1:9", AWS_MAX_ATTEMPTS="1")
    assert outcome.code == 1
    assert "s3://lake/data cannot be reached" in outcome.err
    assert "Traceback" not in outcome.err
