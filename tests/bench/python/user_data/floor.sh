#!/bin/bash
# What no boot of this service can do without: its packages, by the fastest installer, and its start. Python, uv and the
# sources are there already, in the state in which the others have to bring them.
set -e
log() { echo "== $EPOCHREALTIME $*"; }
cd /opt/orders
export DATABASE_URL=postgresql+psycopg://db.internal/orders JWT_SECRET=none
export UV_DEFAULT_INDEX=https://pypi.acme.test/simple SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt

log install
uv venv --quiet .venv
uv pip install --quiet --compile-bytecode -r requirements.txt

log start
.venv/bin/gunicorn --workers 2 --bind 0.0.0.0:3000 app:app >/dev/null 2>&1 &
log done
