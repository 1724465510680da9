#!/bin/bash
# What no boot of this service can do without: its packages, and its start. Node and the sources are there already, in
# the state in which the others have to bring them.
set -e
log() { echo "== $EPOCHREALTIME $*"; }
cd /opt/orders
export DATABASE_URL=mongodb://db.internal/orders JWT_SECRET=none PORT=3000 NODE_ENV=production

log install
npm ci --omit=dev --no-audit --no-fund

log start
node server.js >/dev/null 2>&1 &
log done
