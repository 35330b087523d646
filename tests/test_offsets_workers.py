"""Offsets are the same on any workers: threads of this process, or a scheduler given by address."""

from collections.abc import Iterator

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import LocalCluster

from rockglacier import logs
from rockglacier import simulation_pairs as pairs
from rockglacier.offsets.tracking import Matching, track


@pytest.fixture
def scheduler() -> Iterator[str]:
    """The address of a scheduler with two worker processes."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, protocol="tcp://"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.filterwarnings("ignore")  # of clients and event loops that end with the test
def test_a_scheduler_by_address_finds_what_threads_find(scheduler: str) -> None:
    pair = pairs.optical_pair(pairs.displacement("ramp", 300), seed=1).chunk(150)
    lazily = track(pair["reference"], pair["secondary"], Matching(chips=(16,)), tile=100)
    with dask.config.set(scheduler="threads", num_workers=1):
        alone = lazily.compute()
    with dask.config.set({"scheduler-address": scheduler}):
        logs.compute_with(threads=1)
        from distributed import default_client

        client = default_client()
        assert client.scheduler.address == scheduler
        together = lazily.compute()
        done = sum(client.run(lambda dask_worker: dask_worker.state.executed_count).values())
        client.close()
    assert done > 0
    xr.testing.assert_equal(alone, together)
    assert float(np.isfinite(alone["east"]).mean()) > 0.85
