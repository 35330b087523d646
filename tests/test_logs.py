"""A job's log says how far it is, and why it ended."""

import os
import subprocess
import sys
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest

from rockglacier import logs

ROOT = Path(__file__).parents[1]
FAILS = """\
from rockglacier import logs
from rockglacier.errors import SceneError
logs.start({log!r})
raise {error}
"""


@pytest.mark.parametrize(
    ("error", "traceback"),
    [("SceneError('pair 7 is truncated; fetch it again')", False), ("KeyError('seven')", True)],
)
def test_the_log_holds_the_error_that_ended_the_job(tmp_path, error, traceback):
    log = tmp_path / "logs" / "job.log"
    code = FAILS.format(log=str(log), error=error)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    for text in (log.read_text(), done.stderr):
        assert "seven" in text or "pair 7 is truncated" in text
        assert ("Traceback" in text) == traceback


def test_pairs_are_counted(caplog):
    logger = logs.start(None)
    logger.propagate = True
    with caplog.at_level("INFO"):
        assert list(logs.progress("abc", "pair", 3, seconds=0.0)) == ["a", "b", "c"]
    assert [r.getMessage().split(" (")[0] for r in caplog.records] == [
        "pair 1 of 3",
        "pair 2 of 3",
        "pair 3 of 3",
    ]


def test_dask_says_how_far_it_is(caplog):
    logger = logs.start(None)
    logger.propagate = True
    with dask.config.set(), caplog.at_level("INFO"):
        logs.compute_with(2, seconds=0.0)
        try:
            assert da.ones((40, 4), chunks=(10, 4)).sum().compute() == 160.0
        finally:
            for callback in list(dask.callbacks.Callback.active):
                dask.callbacks.Callback.active.discard(callback)
        assert dask.config.get("num_workers") == 2
    shares = [float(r.getMessage().split()[1]) for r in caplog.records if "computed" in r.message]
    assert shares[-1] == 100.0 and np.all(np.diff(shares) >= 0)
