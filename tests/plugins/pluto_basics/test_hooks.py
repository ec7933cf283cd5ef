import subprocess
import sys

import attrs
import pytest

from pluto_basics import hooks
from pluto_core.component import load

COMPONENTS = [
    component
    for register in (
        hooks.pluto_register_caches,
        hooks.pluto_register_features,
        hooks.pluto_register_splitters,
        hooks.pluto_register_targets,
        hooks.pluto_register_workers,
    )
    for component in register()
]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: component.name)
def test_every_import_string_leads_somewhere(component):
    """Factories can be called, configs are frozen classes that work without arguments."""
    assert callable(load(component.factory))
    config = load(component.config)
    assert config.__doc__
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config().anything = 1
    if component.provides:
        assert load(component.provides)(config())


def test_offering_costs_no_numpy(repository):
    """Hooks, configs and schemas load neither numpy nor torch in a fresh interpreter."""
    program = (
        f"import sys; sys.path[:0] = [{str(repository)!r}, {str(repository / 'plugins')!r}]\n"
        "import pluto_basics.hooks, pluto_basics.config, pluto_basics.schema\n"
        "print(sorted({'numpy', 'torch', 'scipy', 'lmdb'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
