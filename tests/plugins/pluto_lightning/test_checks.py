EXPERIMENT = """
plugins = ["pluto_core.testing.plugin"]
source.use = "fake"
model = {use = "ego_mlp"}
loader = {batch_size = 32, batch_size_of = "all"}
trainer = {use = "lightning", devices = 4}
"""
PLACE = "a.toml:6"


def test_a_batch_of_all_devices(problems):
    """A number that the devices cannot share evenly is refused before anything runs; a batch of each device always fits."""
    assert problems() == ""
    assert problems("trainer.devices='auto'") == ""
    assert problems("loader.batch_size=30").startswith(f"{PLACE}: trainer.devices: loader.batch_size = 30")
    assert problems("trainer.devices=3").endswith("make it 30 or 33")
    assert problems("trainer.devices=3", "loader.batch_size_of='device'") == ""
