"""Logging of jobs: a file per job, and lines that a person can follow."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from rockglacier.errors import RockGlacierError

T = TypeVar("T")


def start(log_file: str | Path | None) -> logging.Logger:
    """Send the library's messages to ``log_file`` and to standard error; return its logger.

    An error that ends the job goes there too, without a traceback where its message says it all.
    """
    logger = logging.getLogger("rockglacier")
    logger.setLevel(logging.INFO)
    logger.handlers.clear()
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file:
        Path(log_file).parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode="w"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
    logging.captureWarnings(True)
    logger.propagate = False

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        expected = isinstance(error, RockGlacierError)
        logger.error("%s", error, exc_info=None if expected else (kind, error, trace))

    sys.excepthook = report
    return logger


def progress(items: Iterable[T], what: str, total: int, seconds: float = 5.0) -> Iterator[T]:
    """Yield ``items``, logging ``what k of total`` every ``seconds`` or so and at the end."""
    logger = logging.getLogger(__name__)
    began = last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        now = time.monotonic()
        if now - last >= seconds or count == total:
            last = now
            logger.info("%s %d of %d (%.0f s)", what, count, total, now - began)


def compute_with(threads: int, seconds: float = 10.0) -> None:
    """Let Dask compute with ``threads`` threads, and log every ``seconds`` or so how far it is.

    Where Dask's setting ``scheduler-address`` names one (DASK_SCHEDULER_ADDRESS in the
    environment), what is computed lazily runs there instead.
    """
    import dask
    from dask.callbacks import Callback

    logger = logging.getLogger(__name__)
    if address := dask.config.get("scheduler-address", None):
        from distributed import Client

        client: Any = Client(address)  # type: ignore[no-untyped-call]  # Dask's default from now on
        logger.info("computing with %s", client)
        return
    began = last = time.monotonic()

    def start(tasks: Any) -> None:
        nonlocal began, last
        began = last = time.monotonic()

    def report(key: Any, result: Any, tasks: Any, state: Any, worker: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            done = len(state["finished"])
            total = done + sum(len(state[name]) for name in ("running", "ready", "waiting"))
            logger.info("computed %.0f %% (%.0f s)", 100.0 * done / total, now - began)

    dask.config.set(scheduler="threads", num_workers=threads)
    Callback(start=start, posttask=report).register()
