#!/bin/bash
# The same as old.sh by a careful author: as in node/user_data/tuned.sh, with PM2 in one version and without audit.
set -eo pipefail
SERVICE=orders
BRANCH=test
NODE=v22.20.0
PM2=7.0.4
APP=/opt/$SERVICE
export HOME=/root
log() { echo "== $EPOCHREALTIME $*"; }
export DEBIAN_FRONTEND=noninteractive

log packages
MISSING=
for TOOL in git curl jq; do
  command -v $TOOL || MISSING="$MISSING $TOOL"
done
command -v aws || MISSING="$MISSING awscli"
if [ -n "$MISSING" ]; then
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends $MISSING
fi
if ! command -v npm; then
  curl -fsS https://nodejs.org/dist/$NODE/node-$NODE-linux-x64.tar.gz | tar -xz -C /usr/local --strip-components=1
fi
npm install --global --no-audit --no-fund pm2@$PM2

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
npm ci --omit=dev --no-audit --no-fund

log start
export PORT=3000 NODE_ENV=production
pm2 start server.js --name $SERVICE
pm2 save
pm2 startup systemd -u root --hp /root
log done
