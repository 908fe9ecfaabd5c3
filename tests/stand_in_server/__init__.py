"""A stand-in for TensorFlow Serving 2.15, for tests only: its binary cannot be had from PyPI.

It serves folders of SavedModels over REST and gRPC as the real server does: URLs, status codes, messages, JSON,
versions that are swapped while it runs, warm-up requests. It runs a SavedModel in a session, as the real server does,
so what the graph itself refuses is refused in the same words. It lacks :classify, :regress, batching, labels and TLS.

    PYTHONPATH=tests python -m stand_in_server ssrvae=serving/models/ssrvae --rest-port 8501 --grpc-port 8500
"""

from __future__ import annotations

import threading
from concurrent import futures

import grpc
from stand_in_server.grpc_services import ModelService, PredictionService
from stand_in_server.rest import RestServer
from stand_in_server.servables import Models
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc


class StandIn:
    """A running server; `with StandIn({"ssrvae": folder}) as server:`.

    Args:
        base_paths: by model name, the folder whose integer subfolders are its versions. The newest is served.
        cors, monitoring: --rest_api_enable_cors_support, and Prometheus' page as by serving/monitoring.config.
        poll_seconds: how often to look for new versions; the real server's default is 1.
        rest_port, grpc_port: 0 takes free ones.
        threads: --rest_api_num_threads and --grpc_max_threads. One of each takes what comes in, the others work on it.
            Over REST, further requests wait; over gRPC they end at once, in RESOURCE_EXHAUSTED, for which the real
            server says "Server Threadpool Exhausted".
        rest_timeout_ms: --rest_api_timeout_in_ms.
        load_retries, retry_seconds: --max_num_load_retries and --load_retry_interval_micros, whose defaults are 5 and
            a minute.

    Attributes:
        rest: "http://127.0.0.1:PORT".
        grpc: "127.0.0.1:PORT".
    """

    def __init__(
        self,
        base_paths: dict,
        cors=False,
        monitoring=True,
        poll_seconds=0.1,
        rest_port=0,
        grpc_port=0,
        threads=17,
        rest_timeout_ms=30_000,
        load_retries=0,
        retry_seconds=60.0,
    ):
        self._stopped = threading.Event()
        self.models = Models(base_paths, load_retries, retry_seconds, self._stopped)
        self._rest = RestServer(rest_port, self.models, cors, monitoring, threads, rest_timeout_ms, self._stopped)
        self.rest = f"http://127.0.0.1:{self._rest.server_address[1]}"
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("receive", "send")]
        options += [("grpc.so_reuseport", 0)]  # or two processes share a port, and each gets some of the requests
        pool = futures.ThreadPoolExecutor(threads)
        self._grpc = grpc.server(pool, options=options, maximum_concurrent_rpcs=threads - 1)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(self.models), self._grpc)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self.models), self._grpc)
        self.grpc = f"127.0.0.1:{self._grpc.add_insecure_port(f'127.0.0.1:{grpc_port}')}"
        self._grpc.start()
        self._threads = [
            threading.Thread(target=self._rest.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True),
            threading.Thread(target=self._poll, args=(poll_seconds,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _poll(self, seconds: float) -> None:
        """Looks for new versions until the server ends: by `stop`, or by a request that the real one dies of."""
        while not self._stopped.wait(seconds):
            self.models.reload()
        self._rest.stop()
        self._grpc.stop(None).wait()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *exception) -> None:
        self.stop()
