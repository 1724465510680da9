#!/bin/sh
# Runs the bootagent of the AMI. Made by bootagent user-data {VERSION}.
command -v bootagent >/dev/null || { echo "bootagent user-data: this AMI has no bootagent: use user-data with --download" >&2; exit 69; }
exec bootagent run{FLAGS}
