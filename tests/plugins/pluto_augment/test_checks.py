import pytest

EXPERIMENT = """
plugins = ["pluto_core.testing.plugin"]
steps = ["cache", "train"]
source.use = "fake"
features = [{use = "pluto"}]
augmentations = [{use = "contrastive"}]
model = {use = "pluto", use_hidden_proj = true}
objective = {use = "pluto", contrast = true}
"""


def test_a_sound_experiment(problems):
    """Triplets of the features' own sizes are fine, and so are augmentations of others, and steps without training."""
    assert problems() == ""
    assert problems("augmentations=[{use = 'fake'}]") == ""
    assert problems("augmentations=[]", "objective.contrast=false") == ""
    assert problems("augmentations=[]", "steps=['cache']") == ""


def test_nothing_to_contrast(problems):
    """Without negatives the contrastive loss would be zero for ever."""
    assert "add [[augmentations]]" in problems("augmentations=[]")
    assert "use_negative_sample = true" in problems("augmentations.0.use_negative_sample=false")


@pytest.mark.parametrize("use", ["contrastive", "ego_noise"])
def test_features_of_other_sizes(problems, use):
    """Another past or another pixel than the features have is named, with the value to write."""
    table = f"augmentations=[{{use = '{use}'}}, {{use = 'fake'}}]"
    assert "write history_steps = 11" in problems(table, "features.0.history_horizon=1.0", "model.history_steps=11")
    assert "write cost_map_resolution_m = 0.5" in problems(table, "features.0.cost_map_resolution_m=0.5")
