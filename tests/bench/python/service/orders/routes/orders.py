import os
from uuid import uuid4

import redis
import requests
from flask import Blueprint, jsonify, request
from pydantic import BaseModel

from ..models import Order, database

routes = Blueprint("orders", __name__)
cache = redis.Redis.from_url("redis://cache.internal:6379")


class NewOrder(BaseModel):
    items: list[str]


@routes.post("/")
def create():
    wanted = NewOrder.model_validate(request.get_json())
    order = Order(number=str(uuid4()), items=sorted(set(wanted.items)))
    database.session.add(order)
    database.session.commit()
    return jsonify(number=order.number, items=order.items), 201


@routes.get("/rates")
def rates():
    return cache.get("rates") or requests.get(os.environ["RATES_URL"], timeout=5).content
