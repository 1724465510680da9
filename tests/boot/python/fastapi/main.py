"""A service of FastAPI's, locked by uv."""

import os
import sys

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
async def health() -> str:
    return "ok"


@app.get("/env")
async def env() -> dict[str, str]:
    return dict(os.environ)


@app.get("/release")
async def release() -> str:
    return os.path.realpath(".")


@app.get("/python")
async def python() -> dict[str, str]:
    return {"version": "%d.%d" % sys.version_info[:2], "prefix": os.path.realpath(sys.prefix)}
