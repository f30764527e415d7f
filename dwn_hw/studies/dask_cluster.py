"""Trials on a cluster, by Dask's distributed scheduler: each is a task, and a task whose worker died is given to another."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import distributed

from dwn_hw.errors import OptionError, Problem, ToolError
from dwn_hw.studies import workers
from dwn_hw.studies.job import Job

#: Half of its functions say no types.
_dask: Any = distributed

#: What stands for a cluster on this machine.
LOCAL = "local"

#: Seconds to wait for a scheduler.
_PATIENCE = 20


def on(address: str, job: Job, count: int) -> Callable[[], None]:
    """A function that works on a cluster, by its scheduler's address; ``local``: with ``count`` processes of this machine."""

    def work() -> None:
        if address == LOCAL:
            threads = str(max(1, (os.cpu_count() or 1) // count))
            env = {"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads}
            how = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": logging.ERROR}
            cluster = _dask.LocalCluster(n_workers=count, env=env, **how)
            with cluster, _dask.Client(cluster) as client:
                _all(client, job)
            return
        try:
            client = _dask.Client(address, timeout=_PATIENCE)
        except (OSError, ValueError) as error:
            remedy = (
                "Start `dask scheduler`, and `dask worker ADDRESS --nthreads 1` on each machine; or say --dask local."
            )
            raise OptionError(
                Problem("--dask", "the address of a scheduler that answers", f"{address} ({error})", remedy)
            ) from None
        with client:
            _all(client, job)

    return work


def _all(client: Any, job: Job) -> None:
    """Keep as many trials in work as the cluster has threads, until there are no more."""
    slots = sum(client.nthreads().values())
    if not slots:
        raise ToolError("the cluster has no workers: start `dask worker ADDRESS --nthreads 1`")
    running = _dask.as_completed([client.submit(workers.one, job, pure=False) for _ in range(slots)])
    for future in running:
        if future.result():
            running.add(client.submit(workers.one, job, pure=False))
