"""Workers that end when the process that started them dies."""

import os
import threading
import time

from dptn_cli.errors import ExitCode

INTERVAL_S = 0.5  # between two looks at the parent


def end_with_parent() -> None:
    """End this process soon after its parent dies, even in the middle of a chunk.

    An orphan would hold its GPU, and write into a results folder that another run has taken.
    Nothing happens where the system keeps a dead parent's number, as Windows does.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(INTERVAL_S)
        os._exit(ExitCode.INTERRUPTED)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
