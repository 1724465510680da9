#!/bin/bash
# The user-data that bootagent replaces, as most services have it: everything installed at every boot in case it is
# missing, the whole history cloned, the secret through the AWS CLI and jq, npm as it is. Root runs it all, nothing
# waits for the service. Left out, in its favour: the whole-system upgrade that two of three such scripts begin with.
set -e
SERVICE=orders
BRANCH=test
APP=/opt/$SERVICE
log() { echo "== $EPOCHREALTIME $*"; }
export DEBIAN_FRONTEND=noninteractive

log packages
PACKAGES="git curl jq awscli"
command -v npm || PACKAGES="$PACKAGES nodejs npm"
apt-get update
apt-get install -y $PACKAGES

log source
git clone https://github.com/acme/$SERVICE.git $APP
cd $APP
git checkout $BRANCH

log secret
TOKEN=$(curl -s -X PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
REGION=$(curl -s http://169.254.169.254/latest/meta-data/placement/region -H "X-aws-ec2-metadata-token: $TOKEN")
aws secretsmanager get-secret-value --region $REGION --secret-id service_env_${SERVICE}_$BRANCH \
  --query SecretString --output text | jq -r 'to_entries[] | "\(.key)=\(.value)"' > .env

log install
npm install --omit=dev

log start
cat > /etc/systemd/system/$SERVICE.service <<EOF
[Unit]
Description=$SERVICE
After=network-online.target

[Service]
WorkingDirectory=$APP
EnvironmentFile=$APP/.env
Environment=PORT=3000 NODE_ENV=production
ExecStart=$(command -v node) server.js
Restart=always

[Install]
WantedBy=multi-user.target
EOF
systemctl daemon-reload
systemctl enable $SERVICE
systemctl start $SERVICE
log done
