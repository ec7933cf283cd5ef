"""What the bridge to nuplan-devkit offers keeps the contracts of its kinds."""

from typing import ClassVar

from pluto_core.testing import BuilderSuite, HooksSuite

DEVKIT = "pluto_devkit.hooks"


class TestHooks(HooksSuite):
    """The hooks."""

    hooks = DEVKIT


class TestImported(BuilderSuite):
    """`devkit_imported`: it says what imported samples hold, and computes none."""

    hooks, use, kind = DEVKIT, "devkit_imported", "features"
    gaps: ClassVar = dict.fromkeys(
        (
            "test_output_is_what_the_spec_says",
            "test_no_state_between_scenes",
            "test_scene_is_left_alone",
            "test_same_in_another_process",
            "test_wider_window_changes_nothing",
            "test_samples_can_be_stored",
            "test_samples_make_a_batch",
        ),
        "what was imported cannot be computed from scenes",
    )
