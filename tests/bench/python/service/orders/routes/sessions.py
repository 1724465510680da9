import os

import bcrypt
import jwt
from flask import Blueprint, abort, jsonify, request

routes = Blueprint("sessions", __name__)


@routes.post("/")
def create():
    told = request.get_json()
    if not bcrypt.checkpw(told["password"].encode(), os.environ["PASSWORD_HASH"].encode()):
        abort(401)
    return jsonify(token=jwt.encode({"name": told["name"]}, os.environ["JWT_SECRET"], algorithm="HS256"))
