"""The photos of all who have the page open, in a private folder, and the turns in which they are enlarged."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import secrets
import shutil
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Callable

from ssrvae_tf.errors import UserError
from ssrvae_tf.page import worker
from ssrvae_tf.page.worker import Result, Task

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
_IDLE = 600.0  # seconds without a photo after which the process that enlarges ends, and gives back its memory
_DIED = "the process that enlarges photos has ended, maybe for want of memory: try a smaller one, or see what it said"


@dataclasses.dataclass
class Job:
    """A photo and what becomes of it.

    Attributes:
        key: unguessable; the name of its folder and the address that its owner has it by.
        owner: the session that it belongs to.
        number: in the order of coming.
        task: what the process is asked for.
        state: one of WAITING, RUNNING, DONE, FAILED and CANCELLED.
        stage: what is going on while it runs.
        share: of the result that is made, from 0 to 1.
        error: why it failed, in one line.
    """

    key: str
    owner: str
    number: int
    task: Task
    state: str = WAITING
    stage: str = ""
    share: float = 0.0
    error: str = ""
    result: Result | None = None
    _began: float = 0.0  # the network's work on it
    _told: float = 0.0  # when `share` was true

    @property
    def folder(self) -> Path:
        return self.task.photo.parent

    def seconds_left(self) -> float | None:
        """As long as what is left takes at the pace so far; None before there is one."""
        if self.state != RUNNING or not 0 < self.share < 1:
            return None
        pace = (self._told - self._began) / self.share
        return max(0.0, pace * (1 - self.share) - (time.monotonic() - self._told))

    def hear(self, kind: str, *told) -> None:
        """Note what the process tells of the photo."""
        if kind == "stage":
            (self.stage,) = told
        elif kind == "rows":
            done, rows = told
            self._told = time.monotonic()
            self._began = self._told if not done else self._began
            self.share, self.stage = done / rows, "Enlarging"
        elif kind == "done":
            (self.result,), self.state = told, DONE
        elif kind == "failed":
            (self.error,), self.state = told, FAILED


class Shelf:
    """Keeps photos, has them enlarged one at a time by a process of its own, and forgets them.

    Sessions take turns, however many photos each has brought. What its session has not asked for in a while is removed.

    Args:
        folder: for the photos; private to this user.
        keep: seconds.
        most: photos of one session.
        engine, precision: as for `ssrvae_tf.upscale.upscale_files`.
    """

    def __init__(self, folder: Path, keep: float, most: int, engine: str, precision: str):
        self._folder, self._keep, self._most = folder, keep, most
        self._process = _Process(folder / "scratch", engine, precision)
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}
        self._seen: dict[str, float] = {}  # sessions, and when they last asked for anything
        self._turns: dict[str, int] = {}  # the number of the last photo of a session that was begun
        self._numbers = self._begun = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End what goes on. The folder may be removed then."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._process.kill()
        self._thread.join()

    def open_session(self, token: str | None) -> str:
        """The session of that token, or a new one."""
        with self._changed:
            if token not in self._seen:
                token = secrets.token_urlsafe(32)
            self._seen[token] = time.monotonic()
            return token

    def knows(self, token: str | None) -> bool:
        """Whether there is such a session; it is kept for longer then."""
        with self._changed:
            if token in self._seen:
                self._seen[token] = time.monotonic()
            return token in self._seen

    def new_folder(self) -> Path:
        """Where a photo can be put, for `add`."""
        folder = self._folder / secrets.token_urlsafe(16)
        folder.mkdir(mode=0o700)
        return folder

    def check_room(self, owner: str) -> None:
        """Raises UserError if a session has as many photos as it may."""
        if len(self.of(owner)) >= self._most:
            raise UserError(f"there are {self._most} photos already: remove some first")

    def add(self, owner: str, task: Task) -> Job:
        """Line up a photo that lies in a folder of its own, by `new_folder`."""
        with self._changed:
            self._numbers += 1
            job = Job(task.photo.parent.name, owner, self._numbers, task)
            self._jobs[job.key] = job
            self._seen[owner] = time.monotonic()  # sending it may have taken longer than sessions are kept
            self._changed.notify_all()
        return job

    def of(self, owner: str) -> list[Job]:
        """The photos of a session, in the order of coming."""
        with self._changed:
            return [job for job in self._jobs.values() if job.owner == owner]

    def find(self, owner: str, key: str) -> Job | None:
        """A photo of a session; None if it has none of that key."""
        job = self._jobs.get(key)
        return job if job and job.owner == owner else None

    def ahead(self, job: Job) -> int:
        """How many photos are enlarged before one that waits."""
        with self._changed:
            running = sum(each.state == RUNNING for each in self._jobs.values())
            waiting = self._waiting()
            return running + waiting.index(job) if job in waiting else 0

    def cancel(self, job: Job) -> None:
        """Give up a photo that is not done. What was brought stays."""
        with self._changed:
            before = job.state
            if before in (WAITING, RUNNING):
                job.state = CANCELLED
            if before == RUNNING:
                self._process.kill()
            self._changed.notify_all()

    def remove(self, job: Job) -> None:
        """Forget a photo and its result."""
        self.cancel(job)
        with self._changed:
            self._jobs.pop(job.key, None)
        shutil.rmtree(job.folder, ignore_errors=True)

    def _waiting(self) -> list[Job]:
        """In the order of their turns: first the oldest of each session, those first that have waited for longest."""
        rank: dict[str, int] = {}
        keyed = []
        for job in self._jobs.values():
            if job.state == WAITING:
                rank[job.owner] = rank.get(job.owner, -1) + 1
                keyed.append((rank[job.owner], self._turns.get(job.owner, 0), job.number, job))
        return [job for *_, job in sorted(keyed, key=lambda each: each[:3])]

    def _run(self) -> None:
        while True:
            with self._changed:
                idle = time.monotonic()
                while not self._closed and not self._waiting():
                    self._changed.wait(min(30.0, self._keep))
                    self._forget()
                    if time.monotonic() - idle > _IDLE:
                        self._process.kill()
                if self._closed:
                    return
                job = self._waiting()[0]
                job.state = RUNNING
                self._begun += 1
                self._turns[job.owner] = self._begun
            self._work(job)

    def _work(self, job: Job) -> None:
        heard = self._process.work(job.task, lambda: job.state == RUNNING and not self._closed)
        for told in heard:
            with self._changed:
                if job.state == RUNNING:
                    job.hear(*told)
                self._forget()
        with self._changed:
            if job.state == RUNNING:
                job.state, job.error = FAILED, f"{job.task.name}: {_DIED}"
            if job.owner in self._seen:
                self._seen[job.owner] = time.monotonic()

    def _forget(self) -> None:
        """Remove what belongs to sessions that are over: nothing was asked for in a while, and nothing goes on."""
        busy = {job.owner for job in self._jobs.values() if job.state in (WAITING, RUNNING)}
        now = time.monotonic()
        for owner, seen in list(self._seen.items()):
            if now - seen > self._keep and owner not in busy:
                del self._seen[owner]
                self._turns.pop(owner, None)
                for job in [job for job in self._jobs.values() if job.owner == owner]:
                    del self._jobs[job.key]
                    shutil.rmtree(job.folder, ignore_errors=True)


class _Process:
    """The process of `worker.serve`, begun when there is something to do.

    Args:
        scratch: a folder for its temporary files, removed with it: one that is killed leaves some.
        settings: further arguments of `worker.serve`.
    """

    def __init__(self, scratch: Path, *settings: str):
        self._scratch, self._settings = scratch, settings
        self._lock = threading.Lock()
        self._process, self._connection = None, None

    def work(self, task: Task, wanted: Callable[[], bool]):
        """Give it a task, and yield what it tells until it is done or has ended.

        Args:
            wanted: whether it is still; a process that begins is not told of a task that is not.
        """
        try:
            with self._lock:
                if not wanted():
                    return
                connection = self._begun()
        except OSError as error:  # no memory for a process, or no room for its folder
            yield "failed", f"{task.name}: cannot be begun here ({error.strerror}): tell whoever runs this page"
            return
        with contextlib.suppress(EOFError, OSError):  # it was ended, or died
            connection.send(task)
            while True:
                told = connection.recv()
                yield told
                if told[0] in ("done", "failed"):
                    return
        self.kill()

    def kill(self) -> None:
        """End it, whatever it does."""
        with self._lock:
            process, self._process = self._process, None
            if process:
                process.kill()
                process.join()
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _begun(self) -> Connection:
        if not (self._process and self._process.is_alive()):
            shutil.rmtree(self._scratch, ignore_errors=True)  # of one that died
            self._scratch.mkdir(mode=0o700, exist_ok=True)
            context = multiprocessing.get_context("spawn")  # a copy of this process would have its threads' locks
            self._connection, theirs = context.Pipe()
            told = theirs, self._scratch, *self._settings
            self._process = context.Process(target=worker.serve, args=told, daemon=True)
            self._process.start()
            theirs.close()  # so that its end is told by an EOFError
        return self._connection
