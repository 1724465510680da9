import os

import sentry_sdk
from flask import Flask, jsonify
from flask_cors import CORS
from sentry_sdk.integrations.flask import FlaskIntegration

from .models import database
from .routes import orders, sessions


def create_app() -> Flask:
    sentry_sdk.init(dsn=None, integrations=[FlaskIntegration()])
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    CORS(app)
    database.init_app(app)
    app.register_blueprint(orders.routes, url_prefix="/orders")
    app.register_blueprint(sessions.routes, url_prefix="/sessions")

    @app.get("/health")
    def health():
        return jsonify(ok=True)

    return app
