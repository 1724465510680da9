#!/bin/bash
# The user-data that bootagent replaces where PM2 keeps the service running: as in node/user_data/old.sh, with PM2 installed
# at every boot and told to come back after a reboot. Root runs it all, nothing waits for the service.
set -e
SERVICE=orders
BRANCH=test
APP=/opt/$SERVICE
export HOME=/root
log() { echo "== $EPOCHREALTIME $*"; }
export DEBIAN_FRONTEND=noninteractive

log packages
PACKAGES="git curl jq awscli"
command -v npm || PACKAGES="$PACKAGES nodejs npm"
apt-get update
apt-get install -y $PACKAGES
npm install -g pm2

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
export PORT=3000 NODE_ENV=production
pm2 start server.js --name $SERVICE
pm2 save
pm2 startup systemd -u root --hp /root
log done
