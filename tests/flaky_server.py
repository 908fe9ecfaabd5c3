"""An HTTP server that fails as it is told to, to see what a client makes of it."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FlakyServer:
    """Answers request n with the nth of `answers`, the last one over and over.

    Args:
        answers: (status code, body); a code of 0 closes the connection, a body that is a number waits so many seconds.

        pause: seconds before each megabyte of a request is read.

    Attributes:
        address: "http://127.0.0.1:PORT".
        requests: when each request came, in seconds.
        connections: how many were opened.
        headers: of the last request.
    """

    def __init__(self, *answers, pause: float = 0.0):
        self.requests, self.connections = [], 0
        flaky = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                flaky.connections += 1
                super().setup()

            def do_POST(self):
                left = int(self.headers["Content-Length"] or 0)
                for size in [1_000_000] * (left // 1_000_000) + [left % 1_000_000]:
                    time.sleep(pause)
                    self.rfile.read(size)
                code, body = answers[min(len(flaky.requests), len(answers) - 1)]
                flaky.requests.append(time.monotonic())
                flaky.headers = self.headers
                if isinstance(body, (int, float)):
                    time.sleep(body)
                    body = ""
                if not code:
                    self.close_connection = True
                    return
                self.send_response(code)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_POST

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda request, address: None  # a client that left early
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> FlakyServer:
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
