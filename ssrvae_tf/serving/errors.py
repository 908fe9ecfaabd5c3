"""What goes wrong between a client and TensorFlow Serving, each in one line."""

from __future__ import annotations

from ssrvae_tf.errors import UserError

_LONGEST = 400  # the server quotes back what it did not understand, which may be a whole photo


class ServingError(UserError):
    """A request to a server failed.

    Examples:
        >>> try:
        ...     client("http://localhost:8501", model="another").upscale(np.zeros((6, 5, 3), np.uint8))
        ... except ServingError as error:
        ...     print(type(error).__name__)
        RequestRefused
    """


class ServerAway(ServingError):
    """Nothing answered: nobody is there, or not in time.

    Examples:
        >>> try:
        ...     client("http://localhost:1", retries=0).upscale(np.zeros((6, 5, 3), np.uint8))
        ... except ServerAway:
        ...     print("nobody is there")
        nobody is there
    """


class RequestRefused(ServingError):
    """The server answered, with an error.

    Attributes:
        code: HTTP's number (400) or gRPC's name ("INVALID_ARGUMENT").
        message: the server's own words, whole.

    Examples:
        >>> try:
        ...     client("http://localhost:8501", model="another").upscale(np.zeros((6, 5, 3), np.uint8))
        ... except RequestRefused as error:
        ...     print(error.code)
        404
    """

    def __init__(self, address: str, code: int | str, message: str):
        super().__init__(
            f"{address}: the server refused the request ({code}): {in_one_line(message) or 'it gave no reason'}"
        )
        self.code, self.message = code, message


def in_one_line(text: str) -> str:
    """`text` without line breaks and what a terminal obeys, its middle left out where it is long.

    Errors name the cause at either end.
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST // 2]} [...] {line[-_LONGEST // 2 :]}"
