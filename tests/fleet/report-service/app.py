"""Makes a table of the month's bookings for the office."""

import csv
import hmac
import io
import os

from flask import Flask, abort, request

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 1024 * 1024
KEY = os.environ["REPORT_API_KEY"]


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/report")
def report():
    if not hmac.compare_digest(request.headers.get("x-api-key", ""), KEY):
        abort(401)
    hours: dict[str, float] = {}
    for booking in request.get_json():
        hours[booking["project"]] = hours.get(booking["project"], 0) + float(booking["hours"])
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["project", "hours"])
    writer.writerows(sorted(hours.items()))
    return table.getvalue(), {"content-type": "text/csv"}
