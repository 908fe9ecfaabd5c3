"""Going through a plan: which part is next, who does it, what is to be seen meanwhile. Loads no TensorFlow itself.

Any number of processes may go through one plan. Each part is done by the one that holds its lock, which the system
gives back when that process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Callable, Iterator

from ssrvae_tf.errors import UserError
from ssrvae_tf.photos.writing import remove_parts, take
from ssrvae_tf.reproduction import child, report
from ssrvae_tf.reproduction.plan import RUN, Part, Plan
from ssrvae_tf.resources import processors
from ssrvae_tf.terminal import Bar

LOG = "log.txt"
_WAIT = 1.0  # seconds between two looks
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {postfix}"
_NARROW = "{percentage:3.0f}%{postfix}"


def go_through(plan: Plan, device: str = "", processes: int = 1, tell: bool = True) -> dict[str, str]:
    """Do all parts that nobody has done, in order. Returns what could not be done, with the reasons.

    Args:
        device: value of CUDA_VISIBLE_DEVICES for what is done; "cpu" for none; "" as it is.
        processes: that go through the plan on this machine.
        tell: what is done, on stdout, and show a bar.

    Raises:
        UserError: for networks that cannot judge others.
    """
    failed: dict[str, str] = {}
    workshop = _InHere(plan) if plan.about["one_process"] else _Children(plan, device, processes)
    progress = _Progress(plan, processes, tell)
    with contextlib.closing(progress), contextlib.closing(workshop):
        while True:
            todo = {part.name: part for part in plan.parts.values() if not part.finished()}
            ready = [part for part in todo.values() if part.name not in failed and not todo.keys() & part.needs]
            if not ready:
                break
            if not any(_done_here(part, workshop, progress, failed) for part in ready):
                progress.show()
                time.sleep(_WAIT)  # other processes are at all of them
    report.write(plan)
    for name in todo.keys() - failed.keys():
        failed[name] = f"needs {', '.join(sorted(todo.keys() & plan.parts[name].needs))}"
    return failed


def _done_here(part: Part, workshop, progress: _Progress, failed: dict[str, str]) -> bool:
    """Do a part, if no other process is at it. False if one is."""
    with _claimed(Path(part.folder)) as lock:
        if lock is None:
            return False
        if part.finished():
            return True
        remove_parts(Path(part.folder))  # of a process that was killed
        progress.begin(part)
        said = workshop.do(part, lock, lambda: progress.show(part))
    if said == child.DONE:
        progress.end(part)
        if part.kind in report.SHOWN:
            report.write(workshop.plan)
    elif part.kind == "networks":  # which are the user's
        raise UserError(said)
    else:
        failed[part.name] = said
        print(f"{part.name}: {said} (see {Path(part.folder, LOG)})", file=sys.stderr)
    return True


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[IO | None]:
    """The lock of a part's folder; None if another process has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        try:
            taken = take(lock)
        except ImportError as error:
            raise UserError("this system has no locks of the kind that is needed: take Linux or macOS") from error
        yield lock if taken else None


class _InHere:
    """Parts are done in this process; what they print goes to their logs."""

    def __init__(self, plan: Plan):
        self.plan = plan

    def do(self, part: Part, lock: IO, look: Callable[[], None]) -> str:
        # First, since TensorFlow's own lines are held back only while stderr is the process's own.
        importlib.import_module("ssrvae_tf.reproduction.parts")
        with Path(part.folder, LOG).open("a", errors="backslashreplace") as log:
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                return child.do(part)

    def close(self) -> None:
        pass


class _Children:
    """Parts are done in other processes: each training in one of its own, measurements in one until the next training.

    A training's process has the part's lock as well: as long as it saves what it has, nobody else begins with it.
    """

    def __init__(self, plan: Plan, device: str, processes: int):
        self.plan, self._path, self._process = plan, plan.write(), None
        self._environment = environment(device, processes)

    def do(self, part: Part, lock: IO, look: Callable[[], None]) -> str:
        log, alone = Path(part.folder, LOG), part.kind in ("fit", "speeds")
        if alone:
            self.close()
        if not self._process:
            self._start(log, lock if alone else None)
        process = self._process
        try:
            process.stdin.write(f"{part.name}\n".encode())
            process.stdin.flush()
            while not select.select([process.stdout], [], [], _WAIT)[0]:
                look()
            said = process.stdout.readline().decode(errors="backslashreplace").strip()
        except BrokenPipeError:
            said = ""
        if alone or not said:
            self.close()
        return said or f"its process ended with {process.returncode}"

    def _start(self, log: Path, lock: IO | None) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", child.__name__, str(self._path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                pass_fds=[lock.fileno()] if lock else [],
                start_new_session=True,  # Ctrl-C is for the one that tells it to stop
            )

    def close(self) -> None:
        """Let it end what it is at; a training saves what it has. Ctrl-C then ends it at once."""
        process, self._process = self._process, None
        if process:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait()
            except KeyboardInterrupt:
                process.kill()
                process.wait()
                raise
            finally:
                process.stdout.close()


def environment(device: str, processes: int) -> dict[str, str]:
    """For processes that compute.

    Args:
        device: as of `go_through`.
        processes: that share this machine's cores, if they have no device each.
    """
    found = dict(os.environ)
    if device:
        found["CUDA_VISIBLE_DEVICES"] = "-1" if device == "cpu" else device
    if processes > 1 and not device.isdigit():
        found.setdefault("TF_NUM_INTRAOP_THREADS", str(max(1, processors() // processes)))
    found.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    return found


class _Progress:
    """A bar over the whole plan, and a line for each part that is done here."""

    def __init__(self, plan: Plan, processes: int, tell: bool):
        self._plan, self._processes, self._tell = plan, processes, tell
        self._bar = Bar(total=1.0, bar_format=_BAR, narrow=_NARROW, disable=None if tell else True, leave=False)

    def begin(self, part: Part) -> None:
        self._bar.set_description_str(part.name, refresh=False)
        self.show(part)

    def end(self, part: Part) -> None:
        took = part.finished()
        if self._tell and took:
            done, _, left = estimate(self._plan.parts.values(), None, self._processes)
            text = f"[{done} of {len(self._plan.parts)}] {part.name}: {duration(took['seconds'])}, about "
            self._bar.write(f"{text}{duration(left)} left", file=sys.stdout)
            sys.stdout.flush()
        self.show()

    def show(self, part: Part | None = None) -> None:
        if self._bar.disable:
            return
        done, spent, left = estimate(self._plan.parts.values(), part, self._processes)
        self._bar.total, self._bar.n = max(spent + left * self._processes, 1e-9), spent
        text = f"{done} of {len(self._plan.parts)} parts, about {duration(left)} left"
        self._bar.set_postfix_str(text)

    def close(self) -> None:
        self._bar.close()


def estimate(parts, now: Part | None, processes: int) -> tuple[int, float, float]:
    """(parts finished, seconds spent on them, seconds left), by what other parts took.

    Args:
        now: the part that is being done.
    """
    took: dict[str, list[tuple[float, float]]] = {}  # (seconds, work)
    todo = []
    for part in parts:
        found = part.finished()
        if found:
            took.setdefault(part.like, []).append((found["seconds"], part.work))
        else:
            todo.append(part)
    every = [each for known in took.values() for each in known]
    spent, left = sum(seconds for seconds, _ in every), 0.0
    for part in todo:
        seconds = part.work * _pace(took.get(part.like) or every)
        share = _share_done(part) if part is now else 0.0
        spent, left = spent + share * seconds, left + (1 - share) * seconds
    return len(every), spent, left / processes


def _pace(took: list[tuple[float, float]]) -> float:
    seconds, work = (sum(each) for each in zip(*took)) if took else (1.0, 1.0)
    return seconds / work


def _share_done(part: Part) -> float:
    """Of a training: by the last row of its steps.csv."""
    try:
        with Path(part.folder, RUN, "steps.csv").open() as file:
            step = int(list(file)[-1].partition(",")[0])
        fields = part.options["fields"]
        return min(1.0, step / (fields["epochs"] * fields["steps_per_epoch"]))
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return 0.0


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
