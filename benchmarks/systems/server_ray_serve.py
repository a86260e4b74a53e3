"""Ray Serve: a new version is another `serve.run` of the application.

python server_ray_serve.py PORT FOLDER; then a number on each line of standard input is swapped in, and "done" is printed.
"""

from __future__ import annotations

import logging
import sys

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, logging_config={"enable_access_log": False})
class Adder:
    def __init__(self, number: int) -> None:
        self.number = number

    async def __call__(self, request: Request) -> int:
        return (await request.json())["value"] + self.number


def main(port: str, folder: str) -> None:
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, _temp_dir=folder)
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
    serve.run(Adder.bind(0), route_prefix="/adder")
    print("done", flush=True)
    for line in sys.stdin:
        serve.run(Adder.bind(int(line)), route_prefix="/adder")
        print("done", flush=True)
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
