import numpy as np

from pluto_augment.frames import refuse_unknown, seen_from
from pluto_basics.config import EgoHistoryConfig, EgoTrajectoryConfig
from pluto_basics.ego_history import EgoHistory
from pluto_basics.ego_trajectory import EgoTrajectory
from pluto_core.geometry import rotation
from pluto_core.scene import LightStatus
from pluto_core.testing.scenes import make_scene


def test_other_builders_follow(made, spec, world):
    """The truth and the ego history of the basic builders move as PLUTO's own future and past do."""
    builders = (EgoTrajectory(EgoTrajectoryConfig()), EgoHistory(EgoHistoryConfig()))
    scene = make_scene(agents=5, seed=4, light=LightStatus.RED)
    sample, whole = dict(made.led), dict(spec)
    for builder in builders:
        sample |= {key: np.asarray(array) for key, array in builder.build(scene).items()}
        whole |= builder.spec
    refuse_unknown("any", whole)
    state = np.array([0.6, -0.4, 0.3, 5.0, 0.0, 0.0, 0.0])
    found = seen_from(sample, state, world.now)
    turn = rotation(0.3)
    for key in ("truth/trajectory", "ego_history/position"):
        wanted = (sample[key][..., :2] - state[:2]) @ turn
        np.testing.assert_allclose(found[key][..., :2], wanted, atol=1e-5)
        assert found[key].dtype == sample[key].dtype
    np.testing.assert_allclose(found["ego_history/heading"], sample["ego_history/heading"] - 0.3, atol=1e-6)
    np.testing.assert_allclose(found["truth/trajectory"][:, 2], sample["truth/trajectory"][:, 2] - 0.3, atol=1e-6)
    obeyed = found["agent/valid_mask"][0, world.now + 1 :]
    assert len(found["truth/valid"]) == len(obeyed)
    np.testing.assert_allclose(found["truth/trajectory"][obeyed], found["agent/target"][0][obeyed], atol=1e-4)
    assert found["truth/speed"] is sample["truth/speed"]
