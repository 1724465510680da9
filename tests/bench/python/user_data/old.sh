#!/bin/bash
# The user-data that bootagent replaces, as most Python services have it: everything installed at every boot in case it is
# missing, the whole history cloned, the secret through the AWS CLI and jq, venv and pip as they are. Root runs it all,
# nothing waits for the service. Left out, in its favour: the whole-system upgrade that two of three such scripts begin
# with, and pip's upgrade of itself.
set -e
SERVICE=orders
BRANCH=test
APP=/opt/$SERVICE
log() { echo "== $EPOCHREALTIME $*"; }
export DEBIAN_FRONTEND=noninteractive

log packages
apt-get update
apt-get install -y git curl jq awscli python3 python3-venv python3-pip

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
python3 -m venv venv
venv/bin/pip install -r requirements.txt

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
systemctl enable $SERVICE
systemctl start $SERVICE
log done
