"""What a run says while it works."""

from pluto_core.pipeline.progress import Progress
from pluto_core.run.display import Display


def test_logs_get_one_line_a_tenth(capsys):
    """Where nobody looks, every tenth is one line: how many, how fast, how much, what failed."""
    with Display(progress=False).caching() as show:
        for done in (0, 50, 51, 1000):
            show(Progress(done=done, total=1000, failed=done // 50, bytes=done << 10, seconds=done * 4.0))
        show(Progress(done=1000, total=1000, failed=20, bytes=0, seconds=4000.0))
    assert capsys.readouterr().err.splitlines() == ["cache: 1000 of 1000, 0.2/s, 1000.0 KiB, 20 failed"]


def test_logs_tell_the_time_left(capsys):
    """What is left of a step is told as people say it."""
    with Display(progress=False).caching() as show:
        show(Progress(done=100, total=1000, failed=0, bytes=100, seconds=600.0))
    assert capsys.readouterr().err.splitlines() == ["cache: 100 of 1000, 0.2/s, 100 B, 1.5 h left"]
