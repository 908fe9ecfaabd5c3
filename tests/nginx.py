"""The nginx of serving/nginx.conf on this machine, where there is one with its module for JavaScript."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

SERVING = Path(__file__).parent.parent / "serving"
MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextlib.contextmanager
def before(upstream: str):
    """Starts nginx in front of the server at `upstream`, "http://HOST:PORT": its own address.

    The configuration is that of the container, with the paths and addresses of this machine. The test is skipped where
    nginx is missing.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None or not Path(MODULE).exists():
        pytest.skip("nginx is not installed, or not its module for JavaScript (Debian: nginx libnginx-mod-http-js)")
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        text = (SERVING / "nginx.conf").read_text()
        for there, here in {
            "http {\n": "http {\n" + "".join(f"{each}_temp_path {folder}/{each};\n" for each in TEMPORARY),
            "listen 8080;": f"listen {address};",
            "serving:8501;": upstream.removeprefix("http://") + ";",
            "/usr/share/nginx/html": str(SERVING / "demo"),
            "/etc/nginx/nesting.js": str(SERVING / "nesting.js"),
        }.items():
            assert text.count(there) == 1, there
            text = text.replace(there, here)
        (Path(folder) / "nginx.conf").write_text(text)
        main = f"daemon off; pid {folder}/pid; error_log stderr;" + " user root;" * (os.geteuid() == 0)
        command = [program, "-e", "stderr", "-p", folder, "-c", f"{folder}/nginx.conf", "-g", main]
        free.close()
        with open(f"{folder}/log", "w+") as log, subprocess.Popen(command, stderr=log) as process:
            try:
                _wait_for(address, process, log)
                yield f"http://{address}"
            finally:
                process.terminate()


def _wait_for(address: str, process: subprocess.Popen, log) -> None:
    host, port = address.split(":")
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port))):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    log.seek(0)
    raise AssertionError(f"nginx does not start: {log.read()}")
