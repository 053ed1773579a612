"""Work done in threads ahead of its use."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[T], R], inputs: Iterable[T], ahead: int
) -> Generator[R]:
    """Like `map(function, inputs)`, in order, with results being computed in advance.

    Closing the generator cancels the calls that have not begun.

    Args:
        pool: the threads that call `function`.
        function: called with each input.
        inputs: consumed only as far as results are computed.
        ahead: maximum number of results that are computed before the one that is yielded.
    """
    pending: deque[Future[R]] = deque()
    try:
        for value in inputs:
            pending.append(pool.submit(function, value))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
