"""TensorFlow Serving over REST."""

from __future__ import annotations

import base64
import binascii
import io
import json
from http.client import BadStatusLine, RemoteDisconnected
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError
from urllib3.util import Retry

from ssrvae_tf.errors import UserError
from ssrvae_tf.serving.base import Client
from ssrvae_tf.serving.errors import RequestRefused, ServerAway, ServingError, in_one_line

_CONNECTIONS = 32  # kept open for further requests; more threads than that open theirs anew
_BUSY = (429, 503)
_AWAY = (502, 504)  # a proxy found no server behind it; either one's time for an answer was over
_TO_CONNECT = 10.0  # seconds: a server that is there answers at once, however long its work takes


class RestClient(Client):
    """Calls a model over REST, keeping connections open between requests.

    Args:
        address: "http://host:8501", https as well; a path before /v1 stays, as it is needed behind some proxies. Of
            "https://NAME:PASSWORD@host" name and password are for a proxy that asks for them, and told nobody else.
        model, version, timeout, retries, signature: see `Client`.

    Raises:
        UserError: if the address is not one.
        ValueError: see `Client`.

    Examples:
        >>> with RestClient("http://localhost:8501") as client:
        ...     client.upscale(np.zeros((6, 5, 3), np.uint8)).shape
        (24, 20, 3)
    """

    def __init__(
        self,
        address: str,
        model: str = "ssrvae",
        version: int | None = None,
        timeout: float = 120,
        retries: int = 3,
        signature: str = "upscale_bytes",
    ):
        whole = _whole(address)
        super().__init__(_without_password(whole), model, version, timeout, retries, signature)
        self._url = f"{whole}/v1/models/{quote(model, safe='')}"
        if self.version is not None:
            self._url += f"/versions/{self.version}"
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=_retry(retries))
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def ready(self) -> bool:
        """See `Client`."""
        try:
            versions = self._call("GET", self._url).get("model_version_status", [])
        except ServingError:
            return False
        return any(each.get("state") == "AVAILABLE" for each in versions)

    def close(self) -> None:
        """See `Client`."""
        self._session.close()

    def _predict_bytes(self, signature: str, values: list[bytes], output: str) -> list[bytes]:
        rows = [{"image_bytes": {"b64": base64.b64encode(value).decode("ascii")}} for value in values]
        try:
            return [base64.b64decode(each["b64"], validate=True) for each in self._predict(signature, rows)]
        except (KeyError, TypeError, binascii.Error) as error:
            raise ServingError(f"{self.address}: the answer of {signature} holds no {output}") from error

    def _predict_floats(self, lr: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(self._predict("serving_default", lr.tolist()), np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ServingError(f"{self.address}: the answer of serving_default is not an image") from error

    def _predict(self, signature: str, rows: list) -> list:
        answer = self._call("POST", f"{self._url}:predict", {"signature_name": signature, "instances": rows})
        return answer["predictions"]

    def _call(self, method: str, url: str, document: dict | None = None) -> dict:
        # As a file it is sent piece by piece: the time to connect would be that of sending the whole.
        body = None if document is None else io.BytesIO(json.dumps(document, separators=(",", ":")).encode())
        headers = {"Content-Type": "application/json"}
        timeouts = (min(_TO_CONNECT, self.timeout), self.timeout)
        try:
            answer = self._session.request(
                method, url, data=body, headers=headers, timeout=timeouts, allow_redirects=False
            )
        except requests.Timeout as error:
            seconds = timeouts[isinstance(error, requests.ReadTimeout)]
            raise ServerAway(f"{self.address}: no answer within {seconds:g} s: send less, or wait longer") from error
        except (requests.RequestException, ValueError) as error:  # of urllib3, where a host cannot be one
            reason = in_one_line(_cause(error))
            raise ServerAway(
                f"{self.address}: no server answers there ({reason}): start it, or check the port"
            ) from error
        return self._understood(answer)

    def _understood(self, answer: requests.Response) -> dict:
        try:
            document = answer.json()
        except (ValueError, RecursionError):
            document = None
        if answer.status_code != 200:
            reason = document.get("error") if isinstance(document, dict) else None
            reason = str(reason or answer.reason or "")
            if answer.status_code in _AWAY:
                raise ServerAway(
                    f"{self.address}: the server is away or too slow ({answer.status_code}: {in_one_line(reason)}): "
                    "start it, or send less at once"
                )
            raise RequestRefused(self.address, answer.status_code, reason)
        if not isinstance(document, dict) or not {"predictions", "model_version_status"} & set(document):
            raise ServingError(f"{self.address}: what answers there is not TensorFlow Serving: check the port")
        return document


def _whole(address: str) -> str:
    whole = address if "//" in address else f"http://{address}"
    try:
        parts = urlsplit(whole)
        fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment:
        raise UserError(f"{address}: not an address of a server: http://HOST:PORT is wanted, as http://localhost:8501")
    return whole.rstrip("/")


def _without_password(address: str) -> str:
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _cause(error: BaseException) -> str:
    """What the system said, beneath what urllib3 and requests wrap around it."""
    while beneath := error.__cause__ or error.__context__:
        error = beneath
    if isinstance(error, BadStatusLine) and not isinstance(error, RemoteDisconnected):
        return "what does is not HTTP"
    said = getattr(error, "strerror", None) or getattr(error, "reason", None)  # of an OSError, of a UnicodeError
    return str(said or error) or type(error).__name__


class _RetryWhereSafe(Retry):
    """urllib3 counts a timeout while connecting among the failures to connect; here it is not repeated."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> _RetryWhereSafe:
        if isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError):
            raise MaxRetryError(_pool, url, error)
        return super().increment(method, url, response, error, _pool, _stacktrace)


def _retry(retries: int) -> Retry:
    return _RetryWhereSafe(
        total=retries,
        read=False,
        other=0,
        redirect=0,
        status_forcelist=_BUSY + _AWAY,
        allowed_methods=("GET", "POST"),  # a prediction changes nothing, so its POST may be repeated
        backoff_factor=0.25,
        respect_retry_after_header=False,  # which may ask for hours
        raise_on_status=False,  # the last answer comes back, with the server's words
    )
