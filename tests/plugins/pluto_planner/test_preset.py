"""`extends = "preset:pluto"`: every value that the reference's training configuration sets."""

import pytest

from pluto_core.experiment import read

REFERENCE = {
    "seed": 0,
    "source.use": "nuplan",
    "splitter.use": "nuplan_logs",
    "filter.expand_scenarios": True,
    "filter.remove_invalid_goals": True,
    "filter.shuffle": False,
    "filter.limit_total_scenarios": 1_000_000,
    "features.0.use": "pluto",
    "features.0.radius": 120.0,
    "features.0.history_horizon": 2.0,
    "features.0.future_horizon": 8.0,
    "features.0.sample_interval": 0.1,
    "features.0.max_agents": 48,
    "features.0.build_reference_line": True,
    "features.0.disable_agent": False,
    "augmentations.0.use": "contrastive",
    "augmentations.0.probability": 1.0,
    "augmentations.0.history_steps": 21,
    "augmentations.0.low": [-1.0, -0.75, -0.35, -1.0, -0.5, -0.2, -0.1],
    "augmentations.0.high": [1.0, 0.75, 0.35, 1.0, 0.5, 0.2, 0.1],
    "augmentations.0.max_interaction_horizon": 40.0,
    "augmentations.0.use_negative_sample": True,
    "model.use": "pluto",
    "model.dim": 128,
    "model.history_steps": 21,
    "model.future_steps": 80,
    "model.encoder_depth": 4,
    "model.decoder_depth": 4,
    "model.drop_path": 0.2,
    "model.dropout": 0.1,
    "model.num_heads": 4,
    "model.num_modes": 12,
    "model.use_ego_history": False,
    "model.state_attn_encoder": True,
    "model.state_dropout": 0.75,
    "model.use_hidden_proj": False,
    "model.cat_x": False,
    "model.ref_free_traj": False,
    "objective.use": "pluto",
    "objective.contrast": False,
    "objective.collision": True,
    "objective.regulate_yaw": False,
    "objective.radius": 120.0,
    "objective.temperature": 0.1,
    "optimizer.use": "adamw",
    "optimizer.lr": 1e-3,
    "optimizer.weight_decay": 1e-4,
    "optimizer.betas": [0.9, 0.999],
    "optimizer.eps": 1e-8,
    "schedule.use": "warmup_cosine",
    "schedule.warmup_epochs": 3,
    "schedule.lr_min": 1e-6,
    "schedule.interval": "epoch",
    "trainer.use": "lightning",
    "trainer.epochs": 25,
    "trainer.devices": "auto",
    "trainer.precision": "32",
    "trainer.gradient_clip": 5.0,
    "trainer.accumulate": 1,
    "trainer.validate_every": 1,
    "trainer.save_top_k": 5,
    "trainer.monitor": "val/loss",
    "trainer.monitor_mode": "min",
    "loggers.0.use": "tensorboard",
    "loader.batch_size": 32,
    "loader.drop_last": True,
    "loader.shuffle": True,
    "loader.train_fraction": 1.0,
    "loader.val_fraction": 1.0,
    "loader.type_weights": {},
}
"""Key by key what the reference's training reads, in our words."""


@pytest.fixture
def experiment(tmp_path):
    """Return an experiment that is nothing but the preset."""
    path = tmp_path / "a.toml"
    path.write_text('extends = "preset:pluto"\n', encoding="utf-8")
    return read(path, environment={"NUPLAN_DATA_ROOT": "data", "NUPLAN_MAPS_ROOT": "maps"})


def test_every_value(experiment):
    """The preset resolves to the reference's values, without notes."""

    def value(key):
        found = experiment.settings
        for part in key.split("."):
            found = found[int(part)] if isinstance(found, list) else found[part]
        return found

    assert {key: value(key) for key in REFERENCE} == REFERENCE
    assert not experiment.notes
    assert not experiment.unset
    assert len(experiment.filter.scenario_types) == 73


def test_changes_of_the_released_network(tmp_path):
    """The three keys that the preset's comment names make the network of the released weights."""
    path = tmp_path / "a.toml"
    path.write_text('extends = "preset:pluto"\n', encoding="utf-8")
    settings = ["model.use_hidden_proj=true", "model.cat_x=true", "model.ref_free_traj=true", "objective.contrast=true"]
    read(path, settings=settings, environment={"NUPLAN_DATA_ROOT": "data", "NUPLAN_MAPS_ROOT": "maps"})
