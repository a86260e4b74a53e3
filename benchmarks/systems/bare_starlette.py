"""The floor of the server: the same handler in the same framework, without versions, workers or checks.

python bare_starlette.py PORT
"""

from __future__ import annotations

import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


class Job:
    def run(self, value: int) -> int:
        return value + 1


job = Job()


async def answer(request: Request) -> JSONResponse:
    return JSONResponse(job.run(**json.loads(await request.body())))


if __name__ == "__main__":
    application = Starlette(routes=[Route("/adder", answer, methods=["POST"])])
    uvicorn.run(application, port=int(sys.argv[1]), log_level="error", access_log=False)
