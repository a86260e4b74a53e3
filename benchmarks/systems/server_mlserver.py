"""MLServer, with a worker process: a new version is loaded by its repository extension.

python server_mlserver.py PORT FOLDER; then a number on each line of standard input is swapped in, and "done" is printed.

The number is a setting of the model. Its code could not be swapped: a module of the same name is not imported again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

MODEL = """
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
import numpy


class Adder(MLModel):
    async def load(self):
        self.number = self.settings.parameters.extra["number"]
        return True

    async def predict(self, payload):
        value = NumpyCodec.decode_input(payload.inputs[0])[0]
        output = NumpyCodec.encode_output("output", numpy.asarray([value + self.number]))
        return InferenceResponse(model_name=self.name, outputs=[output])
"""


def main(port: str, name: str) -> None:
    folder = Path(name)
    (folder / "adder").mkdir()
    (folder / "adder/adder_model.py").write_text(MODEL, encoding="utf-8")
    settings = {
        "http_port": int(port),
        "grpc_port": int(port) + 1,
        "metrics_port": int(port) + 2,
        "parallel_workers": 1,
    }
    settings |= {"debug": False, "host": "127.0.0.1"}
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    write_settings(folder, 0)
    command = [str(Path(sys.executable).with_name("mlserver")), "start", "."]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True) as server:
        try:
            while not answers(f"http://127.0.0.1:{port}/v2/models/adder/ready"):
                if server.poll() is not None:
                    sys.exit(f"mlserver ended with status {server.returncode}")
                time.sleep(0.1)
            print("done", flush=True)
            for line in sys.stdin:
                write_settings(folder, int(line))
                address = f"http://127.0.0.1:{port}/v2/repository/models/adder/load"
                urllib.request.urlopen(urllib.request.Request(address, data=b"{}", method="POST"), timeout=60).close()
                print("done", flush=True)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)  # told to end after all these requests, it was seen not to


def write_settings(folder: Path, number: int) -> None:
    settings = {"name": "adder", "implementation": "adder_model.Adder", "parameters": {"extra": {"number": number}}}
    (folder / "adder/model-settings.json").write_text(json.dumps(settings), encoding="utf-8")


def answers(address: str) -> bool:
    with suppress(OSError):
        return urllib.request.urlopen(address, timeout=2).status == 200
    return False


if __name__ == "__main__":
    main(*sys.argv[1:])
