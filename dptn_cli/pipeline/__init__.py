"""A checked job to pictures: read ahead, batch by source, run, encode and write.

`loop` holds the stages together: `reader` makes batches of items, `inference` pictures of
batches, `writer` files of pictures. `tasks` is what goes from one to the next. `dispatch` has
chunks made elsewhere.
"""

from dptn_cli.pipeline.dispatch import POLL_S, WAITING, Answer, Dispatch, Loss, Worker
from dptn_cli.pipeline.loop import ChunkMaker, items_in_place, preview, run
from dptn_cli.pipeline.settings import REMOTE_WORKERS, Runs, Settings, StageSeconds
from dptn_cli.pipeline.tasks import failed

__all__ = [
    "POLL_S",
    "REMOTE_WORKERS",
    "WAITING",
    "Answer",
    "ChunkMaker",
    "Dispatch",
    "Loss",
    "Runs",
    "Settings",
    "StageSeconds",
    "Worker",
    "failed",
    "items_in_place",
    "preview",
    "run",
]
