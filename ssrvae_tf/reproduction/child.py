"""A process of its own for parts of the plan, so that the memory that TensorFlow took is given back when it ends.

    python -m ssrvae_tf.reproduction.child PLAN           does the parts whose names come on stdin
    python -m ssrvae_tf.reproduction.child PLAN DEVICE    goes through the plan, beside the process that started it

It ends with the process that started it, however that ends: its stdin ends then.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from ssrvae_tf import terminal
from ssrvae_tf.errors import UserError, exit_cleanly, one_line
from ssrvae_tf.reproduction.plan import Part, Plan

DONE = "done"


def do(part: Part) -> str:
    """`done`, or what went wrong, in a line; a traceback, where that may be of use, goes to stderr."""
    start = time.monotonic()
    try:
        from ssrvae_tf.reproduction.parts import KINDS  # slow

        result = KINDS[part.kind](part.options, Path(part.folder))
        part.finish(result, round(time.monotonic() - start, 1))
    except UserError as error:
        return " ".join(str(error).split())
    except Exception as error:
        traceback.print_exc()
        return f"{type(error).__name__}: {one_line(error)}"
    return DONE


def _do_told(plan: Plan) -> None:
    answers = os.fdopen(os.dup(1), "w", 1)
    os.dup2(2, 1)  # what trainings print goes to the log
    told: queue.Queue = queue.Queue()
    busy = threading.Event()

    def listen() -> None:
        for line in sys.stdin:
            told.put(line.strip())
        if busy.is_set():  # whoever waits for it is gone, or wants it to stop: a training saves, and ends
            os.kill(os.getpid(), signal.SIGTERM)
        told.put(None)

    threading.Thread(target=listen, daemon=True).start()
    for name in iter(told.get, None):
        busy.set()
        said = do(plan.parts[name])
        busy.clear()  # before the answer, after which it may be let go
        print(said, file=answers, flush=True)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    terminal.quiet_start()
    plan = Plan.read(Path(sys.argv[1]))
    if len(sys.argv) == 2:
        return _do_told(plan)
    from ssrvae_tf.reproduction import work

    threading.Thread(target=_end_with_stdin, daemon=True).start()
    work.go_through(plan, sys.argv[2], tell=False)


if __name__ == "__main__":
    exit_cleanly(main)
