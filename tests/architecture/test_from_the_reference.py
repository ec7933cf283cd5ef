"""`docs/from-the-reference.md`: every key of the reference stack is there, and everything that it leads to exists."""

import re

import click
import pytest

from pluto_core.cli.main import pluto
from pluto_core.experiment.structure import fields_of
from pluto_core.filters import ScenarioFilter
from pluto_core.kinds import BY_SECTION
from pluto_core.plugins import Catalogue
from pluto_core.settings import CacheSettings, LoaderSettings, TopLevel

EXPERIMENT = """
group experiment experiment_name job_name experiment_uid date_format output_dir seed log_config enable_profiling gpu verbose
logger_level logger_format_string max_number_of_workers metric_dir aggregator_metric_dir runner_report_file
selected_simulation_metrics distribute_by_scenario distributed_timeout_seconds objective training_metric
objective_aggregate_mode data_augmentation data_augmentation_scheduler warm_up_lr_scheduler warm_up_steps epochs warmup_epochs
lr
augment_prob max_augment_prob max_aug_attribute_pct_increase pct_time_increasing scheduling_strategy
avg_displacement_error final_displacement_error avg_heading_error final_heading_error agents_avg_displacement_error
agents_final_displacement_error agents_avg_heading_error agents_final_heading_error
weight_decay checkpoint use_contrast_loss use_collision_loss regulate_yaw objective.weight optimizer.lr optimizer.betas
optimizer.weight_decay splitter.log_splits
"""
TABLES = {
    "cache": "cache_path use_cache_without_dataset force_feature_computation cleanup_cache",
    "data_loader.datamodule": "train_fraction val_fraction test_fraction",
    "data_loader.params": "batch_size num_workers pin_memory drop_last",
    "scenario_filter": """scenario_types scenario_tokens log_names map_names num_scenarios_per_type limit_total_scenarios
        timestamp_threshold_s ego_displacement_minimum_m ego_start_speed_threshold ego_stop_speed_threshold
        speed_noise_tolerance expand_scenarios remove_invalid_goals shuffle token_set_path fraction_in_token_set_threshold
        ego_route_radius""",
    "scenario_builder": """data_root db_files map_root map_version sensor_root include_cameras scenario_mapping
        vehicle_parameters max_workers verbose""",
    "optimizer": "momentum dampening nesterov",
    "lr_scheduler": """max_lr pct_start anneal_strategy div_factor final_div_factor cycle_momentum base_momentum max_momentum
        epochs steps_per_epoch last_epoch milestones gamma""",
    "lightning.trainer.params": """max_time max_epochs check_val_every_n_epoch val_check_interval limit_train_batches
        limit_val_batches limit_test_batches gpus accelerator precision amp_level num_nodes auto_scale_batch_size auto_lr_find
        terminate_on_nan num_sanity_val_steps fast_dev_run accumulate_grad_batches track_grad_norm gradient_clip_val
        gradient_clip_algorithm checkpoint_callback""",
    "lightning.trainer.checkpoint": "resume_training save_top_k monitor mode",
    "lightning.trainer.overfitting": "enable params",
    "lightning.distributed_training": "equal_variance_scaling_strategy",
    "callbacks": "learning_rate_monitor model_checkpoint time_logging visualization scenario_scoring",
    "worker": "max_workers threads_per_node master_node_ip use_distributed debug_mode log_to_driver logs_subdir",
    "model": """dim num_heads encoder_depth decoder_depth num_modes drop_path dropout history_steps future_steps state_channel
        polygon_channel history_channel state_attn_encoder state_dropout use_ego_history use_hidden_proj cat_x ref_free_traj""",
    "model.feature_builder": """radius history_horizon future_horizon sample_interval max_agents max_static_obstacles
        build_reference_line disable_agent""",
    "scenario_type_weights": "scenario_type_sampling_weights scenario_type_loss_weights",
}
CHOICES = """
py_func=cache py_func=train py_func=validate py_func=test scenario_builder=nuplan scenario_builder=nuplan_mini
scenario_builder=nuplan_boston scenario_builder=nuplan_challenge optimizer=adam optimizer=adamw optimizer=sgd
lr_scheduler=one_cycle_lr lr_scheduler=multistep_lr worker=sequential worker=single_machine_thread_pool
worker=ray_distributed splitter=nuplan
scenario_filter=one_continuous_log scenario_filter=training_scenarios scenario_filter=training_scenarios_1M
scenario_filter=training_scenarios_tiny scenario_filter=val14_benchmark scenario_filter=random14_benchmark
scenario_filter=test14-hard scenario_filter=test14-random
objective=imitation_objective objective=trajectory_weight_decay_imitation_objective objective=agents_imitation_objective
data_augmentation=contrastive_scenario_generator data_augmentation=simple_agent_augmentation
data_augmentation=gaussian_smooth_agent_augmentation data_augmentation=kinematic_agent_augmentation
data_augmentation=kinematic_history_agent_augmentation data_augmentation=kinematic_history_generic_agent_augmentation
data_augmentation=agent_dropout_augmentation data_augmentation=generic_agent_dropout_augmentation
model=pluto_model model=raster_model model=vector_model model=simple_vector_model model=urban_driver_open_loop_model
"""
VARIABLES = "NUPLAN_DATA_ROOT NUPLAN_MAPS_ROOT NUPLAN_EXP_ROOT NUPLAN_DATA_STORE NUPLAN_DATA_ROOT_S3_URL NUM_NODES NODE_RANK"
KEYS = {*EXPERIMENT.split(), *CHOICES.split(), *VARIABLES.split()}
KEYS |= {f"{table}.{key}" for table, keys in TABLES.items() for key in keys.split()}
"""Keys, choices and variables of the reference's configuration."""


@pytest.fixture(scope="module")
def rows(request):
    """Return the rows of all tables: what stands in backticks on the left and on the right, and the text on the right."""
    path = request.config.rootpath / "docs" / "from-the-reference.md"
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if cells and cells[0] != "reference":
            assert len(cells) == 2, line
            found.append((re.findall("`([^`]+)`", cells[0]), re.findall("`([^`]+)`", cells[1]), cells[1]))
    return found


@pytest.fixture(scope="module")
def catalogue():
    """Return the catalogue of the bundled plugins."""
    return Catalogue.load(environment={})


def test_every_key_of_the_reference(rows):
    """No key of the reference is left out, and none stands there twice."""
    left = [key for keys, _, _ in rows for key in keys]
    assert not KEYS - set(left)
    assert not {key for key in KEYS if left.count(key) > 1}


def test_every_row_answers(rows):
    """Every row names something of ours, or says that there is none."""
    for left, right, text in rows:
        assert right or text.startswith(("None", "the same")), left


def _fields(catalogue, section):
    if section in BY_SECTION:
        kind = BY_SECTION[section]
        classes = [catalogue.config_class(kind.name, component.name) for component in catalogue.components(kind.name)]
        own = fields_of(CacheSettings) if section == "cache" else {}
        return {"use", "preset", *own, *(key for cls in classes for key in fields_of(cls))}
    return set(fields_of({"filter": ScenarioFilter, "loader": LoaderSettings}[section]))


def test_settings_exist(rows, catalogue):
    """Every `section.key` that the right-hand side names is a setting, every component and preset is offered."""
    seen = 0
    for text in (text for _, right, _ in rows for text in right):
        key, equals, value = text.partition(" = ")
        section, dot, name = key.partition(".")
        if dot and (section in BY_SECTION or section in ("filter", "loader")) and re.fullmatch("[a-z_]+", name):
            assert name in _fields(catalogue, section), text
            seen += 1
            if name == "use" and equals:
                assert catalogue.has(BY_SECTION[section].name, value.strip('"')), text
        elif key in ("preset", "extends"):
            assert value.strip('"').removeprefix("preset:") in catalogue.presets, text
        elif equals:
            assert key in (*fields_of(TopLevel), "plugins"), text
    assert seen > 80


def test_commands_exist(rows):
    """Every command that the right-hand side names exists, with its options."""
    context = click.Context(pluto)
    seen = 0
    for words in (text.split() for _, right, _ in rows for text in right if text.startswith("pluto ")):
        command = pluto.get_command(context, words[1])
        assert command is not None, words
        if isinstance(command, click.Group) and len(words) > 2 and words[2] in command.commands:
            command = command.commands[words[2]]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= options, words
        seen += 1
    assert seen > 10
