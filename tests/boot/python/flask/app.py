"""Tells over HTTP what it sees and what it may do, like the talking service that is written for Node."""

import os
import sys
import time
from pathlib import Path

from dotenv import dotenv_values
from flask import Flask, jsonify, request

app = Flask(__name__)


@app.get("/health")
def health():
    return jsonify("ok")


@app.get("/env")
def env():
    return jsonify(dict(os.environ))


@app.get("/dotenv")
def dotenv():
    return jsonify(dotenv_values(".env"))


@app.get("/release")
def release():
    return jsonify(os.path.realpath("."))


@app.get("/python")
def python():
    about = {"version": "%d.%d" % sys.version_info[:2], "prefix": os.path.realpath(sys.prefix), "pid": os.getpid(), "parent": os.getppid()}
    return jsonify(about | {"bytecode": os.path.exists(__import__("flask").__cached__)})


@app.get("/write")
def write():
    try:
        Path(request.args["path"]).write_text("x")
    except OSError as error:
        return jsonify(type(error).__name__)
    return jsonify("written")


@app.get("/slow")
def slow():
    Path(os.environ["HOME"], "asked").touch()
    time.sleep(1)
    return jsonify("whole")
