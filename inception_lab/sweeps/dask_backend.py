"""joblib's backend for Dask, with what it lacks where workers end."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib._dask import DaskDistributedBackend


class DaskBackend(DaskDistributedBackend):  # type: ignore[misc]
    """Passes on the error of a task that ends all workers that it meets, for which joblib 1.6 waits for ever.

    Its callback is called for results alone, and a generator waits for callbacks. Nothing runs in the process
    that asks, which a variant could end.
    """

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Return the number of threads of all workers; 2 for one, as joblib would run a single one here."""
        count: int = super().effective_n_jobs(n_jobs)
        return max(2, count)

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[Any]:
        """Submit a task; the callback takes its result or its error."""
        future: Future[Any] = super().submit(func, callback)

        def pass_on(done: Future[Any]) -> None:
            if error := done.exception():
                callback(error)

        future.add_done_callback(pass_on)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """Return what came to the callback; raises an error."""
        if isinstance(out, BaseException):
            raise out
        return super().retrieve_result_callback(out)
