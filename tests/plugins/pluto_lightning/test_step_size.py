from pluto_lightning.step_size import StepSize


def test_samples_of_a_step():
    """All devices and all accumulated batches count, and the line says what makes up the sum."""
    size = StepSize(of_device=32, devices=4, accumulated=2)
    assert size.numbers() == {"of_device": 32, "devices": 4, "accumulated": 2, "samples": 256}
    assert size.text() == "batches of 32 samples on each of 4 devices, 2 batches to a step: 256 samples a step"
    assert StepSize(of_device=8, devices=1, accumulated=1).text() == "batches of 8 samples"
