"""What the page asks for over HTTP. All of it belongs to the session of a cookie; nothing names a file of the machine.

- `GET /`: the page, which begins a session
- `GET /static/NAME`: what it is made of
- `GET /options`: the weights to choose from, and the limits
- `GET /photos`: the session's photos, and how far they are
- `POST /photos?name=NAME&model=MODEL&detail=X&strength=X&faces=only`: a photo's file, which is the body
- `POST /photos/KEY/again?model=...`: the same photo with other settings
- `POST /photos/KEY/cancel`
- `DELETE /photos/KEY`
- `GET /photos/KEY/result`: the enlarged photo
- `GET /photos/KEY/before/...`, `/after/...`: tiles to look at, named as by `ssrvae_tf.photos.files.write_pyramid`;
  `/before-0/...`, `/after-0/...`, `/before-1/...` are those of each face
"""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import re
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ssrvae_tf.errors import UserError
from ssrvae_tf.page import worker
from ssrvae_tf.page.shelf import Job, Shelf
from ssrvae_tf.page.worker import Settings, Task

_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",  # a shared machine's browser is not to keep what is deleted here
}
_LONGEST_NAME = 200  # letters
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")
_TILE = re.compile(r"(before|after)(-[0-9]{1,3})?/[0-9]{1,2}/[0-9]{1,3}_[0-9]{1,3}\.jpg")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is refused.

    Attributes:
        megapixels: of a photo.
        megabytes: of its file.
        photos: of a session.
        minutes: after which photos are removed, once the page is closed.
    """

    megapixels: float
    megabytes: float
    photos: int
    minutes: float


class Site:
    """The page's answers.

    Args:
        shelf: where photos are kept.
        models: what may be chosen, the first unless told: name or place -> detail unless told, None for models with one
            set of weights.
        limits: of photos.
        port: of the server, so that pages on other ports of one machine, which share cookies, keep sessions apart.
        hosts: names that the page may be asked for by, beside localhost and numbers.
    """

    def __init__(self, shelf: Shelf, models: dict[str, float | None], limits: Limits, port: int, hosts: list[str]):
        self._shelf, self._models, self._limits = shelf, models, limits
        self._cookie = f"ssrvae_{port}"
        photo = "/photos/{key}"
        routes = [
            Route("/", self._page),
            Route("/options", self._options),
            Route("/photos", self._list),
            Route("/photos", self._add, methods=["POST"]),
            Route(photo, self._remove, methods=["DELETE"]),
            Route(f"{photo}/again", self._again, methods=["POST"]),
            Route(f"{photo}/cancel", self._cancel, methods=["POST"]),
            Route(f"{photo}/result", self._result),
            Route(photo + "/{side}/{level}/{tile}.jpg", self._tile),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        guard = Middleware(_Guard, hosts=hosts)
        told = {UserError: _told, HTTPException: _refused}
        self.application = Starlette(routes=routes, middleware=[guard], exception_handlers=told)

    async def _page(self, request: Request) -> Response:
        token = self._shelf.open_session(request.cookies.get(self._cookie))
        response = FileResponse(_STATIC / "index.html")
        response.set_cookie(self._cookie, token, httponly=True, samesite="lax")
        return response

    async def _options(self, request: Request) -> Response:
        self._owner(request)
        labels = [{"model": model, "detail": detail} for model, detail in self._models.items()]
        return JSONResponse({"models": labels, "limits": dataclasses.asdict(self._limits)})

    async def _list(self, request: Request) -> Response:
        return JSONResponse([self._shown(job) for job in self._shelf.of(self._owner(request))])

    async def _add(self, request: Request) -> Response:
        name = _tidy(request.query_params.get("name", ""))
        try:
            owner, settings = self._owner(request), self._settings(request)
            self._shelf.check_room(owner)
            announced = request.headers.get("content-length", "")
            if announced.isdigit() and int(announced) > self._most_bytes:
                raise self._too_large(name)
        except (UserError, HTTPException):
            await self._pass_over(request)
            raise
        suffix = os.path.splitext(name)[1]
        folder = self._new_folder(name)
        photo = folder / (worker.PHOTO + (suffix if _SUFFIX.fullmatch(suffix) else ""))
        try:
            await self._receive(request, photo, name)
            await run_in_threadpool(_check, photo, name, self._limits.megapixels)
        except BaseException:  # a page that is closed meanwhile, too
            shutil.rmtree(folder, ignore_errors=True)
            raise
        job = self._shelf.add(owner, Task(photo, name, settings, self._limits.megapixels))
        return JSONResponse(self._shown(job), 201)

    def _new_folder(self, name: str) -> Path:
        try:
            return self._shelf.new_folder()
        except OSError as error:
            raise _unkept(name, error) from error

    async def _receive(self, request: Request, photo: Path, name: str) -> None:
        """Write the body to a file as it comes."""
        size = 0
        try:
            with open(photo, "wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > self._most_bytes:
                        raise self._too_large(name)
                    await run_in_threadpool(file.write, chunk)
        except ClientDisconnect as error:
            raise HTTPException(400) from error
        except OSError as error:
            raise _unkept(name, error) from error

    async def _pass_over(self, request: Request) -> None:
        """Let a browser send what is not wanted: it hears no answer before it has, if that is not too much."""
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._most_bytes:
                return

    @property
    def _most_bytes(self) -> float:
        return self._limits.megabytes * 1e6

    def _too_large(self, name: str) -> UserError:
        return UserError(f"{name}: the file is larger than {self._limits.megabytes:g} MB: send a smaller one")

    async def _again(self, request: Request) -> Response:
        owner, settings = self._owner(request), self._settings(request)
        before = self._job(request).task
        self._shelf.check_room(owner)
        photo = self._new_folder(before.name) / before.photo.name
        try:
            await run_in_threadpool(shutil.copyfile, before.photo, photo)
        except OSError as error:
            shutil.rmtree(photo.parent, ignore_errors=True)
            raise _unkept(before.name, error) from error
        job = self._shelf.add(owner, dataclasses.replace(before, photo=photo, settings=settings))
        return JSONResponse(self._shown(job), 201)

    async def _cancel(self, request: Request) -> Response:
        job = self._job(request)
        await run_in_threadpool(self._shelf.cancel, job)
        return JSONResponse(self._shown(job))

    async def _remove(self, request: Request) -> Response:
        await run_in_threadpool(self._shelf.remove, self._job(request))
        return Response(status_code=204)

    async def _result(self, request: Request) -> Response:
        job = self._job(request)
        if not job.result:
            raise HTTPException(404)
        return FileResponse(job.folder / job.result.file, filename=job.result.name)

    async def _tile(self, request: Request) -> Response:
        job, wanted = self._job(request), request.path_params
        inside = "{side}/{level}/{tile}.jpg".format(**wanted)
        path = job.folder / inside
        if not (job.result and _TILE.fullmatch(inside) and path.is_file()):
            raise HTTPException(404)
        return FileResponse(path)

    def _owner(self, request: Request) -> str:
        token = request.cookies.get(self._cookie)
        if not self._shelf.knows(token):
            raise HTTPException(403, "this page's session is over: load the page again")
        return token

    def _job(self, request: Request) -> Job:
        job = self._shelf.find(self._owner(request), request.path_params["key"])
        if not job:
            raise HTTPException(404, "there is no such photo any more")
        return job

    def _settings(self, request: Request) -> Settings:
        """Those that the page chose."""
        given = request.query_params
        model = given.get("model") or next(iter(self._models))
        if model not in self._models:
            raise UserError("such weights are not offered: load the page again")
        usual = self._models[model]
        detail = None if usual is None else _share(given.get("detail") or usual)
        return Settings(model, detail, _share(given.get("strength") or 1.0), given.get("faces") == "only")

    def _shown(self, job: Job) -> dict[str, Any]:
        """What the page knows of a photo."""
        task, result = job.task, job.result
        return {
            "key": job.key,
            "name": task.name,
            "settings": dataclasses.asdict(task.settings),
            "state": job.state,
            "stage": job.stage,
            "ahead": self._shelf.ahead(job),
            "share": job.share,
            "seconds_left": job.seconds_left(),
            "error": job.error,
            "result": dataclasses.asdict(result) if result else None,
        }


class _Guard:
    """Refuses what other sites and names lead a browser here with, and sets the headers of all answers.

    A name that is not ours may be one that its owner let point to this machine (DNS rebinding); a number cannot be.
    """

    def __init__(self, app: ASGIApp, hosts: list[str]):
        self._app, self._hosts = app, {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        response = self._refusal(scope, headers)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await (response or self._app)(scope, receive, answer)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return JSONResponse({"error": "this page is not to be had by that name: see ssrvae app --help"}, 421)
        reads = scope["method"] in ("GET", "HEAD")
        origin = headers.get("origin")
        strange = not reads and origin is not None and urlsplit(origin).netloc != host
        # A link from elsewhere to the page is fine, its pictures and answers there are not.
        linked = reads and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        strange |= headers.get("sec-fetch-site") in ("cross-site", "same-site") and not linked
        return JSONResponse({"error": "other sites may not use this page"}, 403) if strange else None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self._hosts or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


def _check(photo: Path, name: str, megapixels: float) -> None:
    """Raises UserError if a file is, by its head, no photo that can be enlarged."""
    from PIL import UnidentifiedImageError

    from ssrvae_tf.photos import files, folders
    from ssrvae_tf.photos.formats import open_image

    try:
        files.measure(photo, megapixels)
        with contextlib.suppress(UnidentifiedImageError), open_image(photo) as image:  # libvips reads some others
            if image.format in folders.NOT_PHOTOS:
                raise UserError(f"{photo}: cannot be read ({image.format} is no kind of photo): send a JPEG or PNG")
    except UserError as error:
        raise UserError(worker.named(str(error), photo, name)) from error


def _tidy(name: str) -> str:
    """A file's name as others can be told it: without folders, and nothing that a terminal or header would obey."""
    name = "".join(each for each in re.split(r"[/\\]", name)[-1] if each.isprintable()).strip(". ")
    stem, suffix = os.path.splitext(name)
    return (stem[:_LONGEST_NAME] + suffix[:10]) or "photo"


def _unkept(name: str, error: OSError) -> UserError:
    return UserError(f"{name}: cannot be kept here ({error.strerror}): tell whoever runs this page")


def _share(value: str | float) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise UserError("detail and strength: they must be numbers from 0 to 1")
    return number


async def _told(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 400)


async def _refused(request: Request, error: HTTPException) -> Response:
    return JSONResponse({"error": error.detail}, error.status_code)
