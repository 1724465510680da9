#!/bin/bash
# The same as old.sh by a careful author: only what the image lacks and without recommended packages (Debian's python3-pip
# recommends a compiler; the virtual environment brings its own pip), one commit instead of the history. The AWS CLI stays.
set -eo pipefail
SERVICE=orders
BRANCH=test
APP=/opt/$SERVICE
log() { echo "== $EPOCHREALTIME $*"; }
export DEBIAN_FRONTEND=noninteractive

log packages
MISSING=
for TOOL in git curl jq; do
  command -v $TOOL || MISSING="$MISSING $TOOL"
done
command -v aws || MISSING="$MISSING awscli"
python3 -c 'import ensurepip' || MISSING="$MISSING python3-venv"
if [ -n "$MISSING" ]; then
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends $MISSING
fi

log source
git clone --quiet --depth 1 --branch $BRANCH https://github.com/acme/$SERVICE.git $APP
cd $APP

log secret
TOKEN=$(curl -s -X PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
REGION=$(curl -s http://169.254.169.254/latest/meta-data/placement/region -H "X-aws-ec2-metadata-token: $TOKEN")
(
  umask 077
  aws secretsmanager get-secret-value --region $REGION --secret-id service_env_${SERVICE}_$BRANCH \
    --query SecretString --output text | jq -r 'to_entries[] | "\(.key)=\(.value)"' > .env
)

log install
python3 -m venv venv
venv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check -r requirements.txt

log start
cat > /etc/systemd/system/$SERVICE.service <<EOF
[Unit]
Description=$SERVICE
After=network-online.target

[Service]
WorkingDirectory=$APP
EnvironmentFile=$APP/.env
ExecStart=$APP/venv/bin/gunicorn --workers 2 --bind 0.0.0.0:3000 app:app
Restart=always

[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl enable --quiet --now $SERVICE
log done
