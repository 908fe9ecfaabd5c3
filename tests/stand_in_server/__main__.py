"""A stand-in for TensorFlow Serving, to try things by hand."""

from __future__ import annotations

import argparse
import time

from stand_in_server import StandIn


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for TensorFlow Serving, for tests.")
    parser.add_argument("models", metavar="NAME=FOLDER", nargs="+")
    parser.add_argument("--rest-port", type=int, default=8501)
    parser.add_argument("--grpc-port", type=int, default=8500)
    options = parser.parse_args()
    base_paths = dict(each.split("=", 1) for each in options.models)
    with StandIn(base_paths, poll_seconds=1, rest_port=options.rest_port, grpc_port=options.grpc_port) as server:
        print(f"stand-in for TensorFlow Serving: REST {server.rest}, gRPC {server.grpc}; Ctrl-C ends it", flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
