"""The peers of a small diagnosis: a FastAPI handler that does nothing, and one that only reads the matrix.

`python -m benchmarks.empty_app --port PORT` serves them with the settings of the service itself.
"""

from __future__ import annotations

import argparse
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Weights(BaseModel):
    source: str
    values: list[list[float]]


class Network(BaseModel):
    cell: str
    weights: Weights
    activation: str = "identity"


class Request(BaseModel):
    network: Network
    depth: int
    diagnostics: list[str]


@app.get("/ready")
@app.post("/empty")
async def empty() -> dict[str, bool]:
    return {"ok": True}


@app.post("/read")
async def read(request: Request) -> dict[str, Any]:
    return {"size": len(request.network.weights.values)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.empty_app")
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=parser.parse_args().port,
        http="httptools",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
