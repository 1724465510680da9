//! The end of each command's help: examples and exit statuses. On the machine there is no other manual.

pub const WHOLE: &str = "\
User-data, complete for a public repository:
  #!/bin/sh
  exec bootagent run --repository 'https://github.com/acme/{service}.git'

On a laptop, without AWS:
  bootagent --dry-run --service auth-service --environment prod --repository . --env-file .env

Exit statuses are in the help of each command, as in: bootagent run --help";

pub const EXITS_OF_RUN: &str = "\
Exit status:
  0   healthy, also with warnings (then 4 with --strict)
  2   failed, and the previous deployment serves
Failed, and nothing serves:
  1   a step, the service's start or its health check failed
  70  a bug of bootagent
  75  an external dependency failed until the time limit
  77  refused by the policy, or the service's unit is masked
  78  policy, tags, manifest, lockfile or secret invalid
Nothing was tried:
  64  usage error, or not an EC2 instance
  75  another run is active
  77  the machine is held, or this user is not root";

pub const RUN: &str = "\
Examples:
  bootagent run --repository 'https://github.com/acme/{service}.git'   in user-data
  bootagent run                                                      the same commit again, from its records
  bootagent run --update --service gmail-service                     this instance serves another service
  bootagent run --dry-run                                            what would be done";

pub const STATUS: &str = "\
Examples:
  bootagent status --wait --timeout 10m   in a script, after a boot or an update
  bootagent status --output json          for monitoring

Exit status:
  0   healthy, also with warnings (then 4 with --strict)
  1   failed: nothing serves
  3   not started, or booting
  4   degraded: it serves, but not what was asked for";

pub const VALIDATE: &str = "\
Examples:
  bootagent validate                    what a boot would do with this directory
  bootagent validate --strict           in the service's CI: a warning fails
  bootagent validate --output json api  for programs

Exit status: 0 valid, also with warnings (then 4 with --strict), 64 usage error, 78 invalid";

pub const INIT: &str = "\
Examples:
  bootagent init && bootagent validate
  bootagent init --print    show the file

Exit status: 0 written or printed, 1 the file cannot be written, 64 bootagent.toml exists or usage error, 78 a boot would fail";

pub const FACTS: &str = "\
Example:
  bootagent facts > facts.json   then, elsewhere: bootagent --dry-run --facts facts.json --policy policy.toml ...

Exit status: 0, also if IMDS does not answer";

pub const ENV_CHECK: &str = "\
Examples:
  bootagent env check                    on an instance: its own secret
  bootagent env check --env-file .env    on a laptop

Exit status: 0 every key reaches the service, 78 a key does not, 64 usage error";

pub const UPDATE: &str = "\
Examples:
  bootagent update                      the branch's newest commit
  bootagent update --ref 51d2c9f0a1b2   this commit of the branch
  bootagent update --dry-run            what would be done";

pub const ROLLBACK: &str = "\
Examples:
  bootagent rollback                the previous healthy release
  bootagent rollback 51d2c9f0a1b2   this commit: a kept release, or else any commit of the branch
The next update takes the branch's newest commit again, unless ref in the policy or the tag bootagent:ref names one.";

pub const RELEASES: &str = "\
Example:
  bootagent releases --output json

Exit status: 0, 64 usage error, 77 not root";

pub const LOGS: &str = "\
Examples:
  bootagent logs            the last lines
  bootagent logs --follow   and new ones
  bootagent logs -n 1000 | grep ERROR
Only root can read the values that are hidden, and so hide them. Lines as they were written: journalctl -u SERVICE

Exit status: 0, 1 if the journal cannot be read, 64 if no service is known";

pub const HOLD: &str = "\
Example:
  bootagent hold --reason 'the disk is examined until 4 pm'
While the machine is held, run, update and rollback end with E-HELD (77) and change nothing, and so does a boot: after a
reboot nothing serves until bootagent unhold and bootagent run. A dry run still works.

Exit status: 0 held, 1 the hold cannot be written, 77 not root";

pub const UNHOLD: &str = "\
Example:
  bootagent unhold && bootagent run

Exit status: 0 no longer held, 1 the hold cannot be removed, 77 not root";

pub const WHY: &str = "\
Examples:
  bootagent why i-0123456789abcdef0 --fleet s3://acme-fleet/bootagent   on a laptop, with your own AWS credentials
  bootagent why i-0123456789abcdef0                                     on an instance, with its role

Exit status: 0 shown, 1 there is no report, 64 usage error, 75 S3 cannot be reached, 78 access denied or no such bucket";

pub const FLEET: &str = "\
Example:
  bootagent fleet --service auth-service --environment prod --fleet s3://acme-fleet/bootagent

Exit status: 0 shown, 64 usage error, 75 S3 cannot be reached, 78 access denied or no such bucket";

pub const IAM_POLICY: &str = "\
Examples:
  bootagent iam-policy --policy policy.toml --service auth-service --environment prod --account 123456789012 --region eu-west-1
  bootagent iam-policy --policy policy.toml --service auth-service --environment prod --for operator

Exit status: 0 printed, 64 usage error, 78 policy or manifest invalid";

pub const ROLLOUT: &str = "\
Examples:
  bootagent rollout --service auth-service --environment prod --policy policy.toml             the branch's newest commit
  bootagent rollout --service auth-service --environment prod --policy policy.toml --back      the commit before
  bootagent rollout --service auth-service --environment prod --policy policy.toml --dry-run   show what would be done
Ctrl-C asks whether to stop and go back.

Exit status:
  0   every instance was replaced
  1   failed, and it did not go back
  2   failed, and the former commit serves again
  64  usage error, or not confirmed
  75  an external dependency failed
  77  refused: the group does not fit, or a refresh is active
  78  access denied, or the policy is invalid";

pub const BAKE: &str = "\
Examples, as root on the machine that becomes the image:
  bootagent bake --service auth-service --environment prod && bootagent seal
  bootagent bake --dry-run   what would be done

No value of a secret is read. The image needs a policy with the repository, or its instances user-data with --repository.

Exit status: 0 the release is in the image, else as bootagent run";

pub const SEAL: &str = "\
Examples, as root, as the last command before the machine is stopped and its image is made:
  bootagent seal
  bootagent seal --dry-run                              what would be removed
  bootagent seal --allow /etc/acme/public-test-key.pem  this file is meant to be in the image

Exit status: 0 sealed, 1 a file cannot be removed, 75 a run is active, 77 refused (a service was started here, a release is
incomplete, or a secret is on the disk)";

pub const USER_DATA: &str = "\
Examples:
  bootagent user-data --download https://downloads.acme.com/bootagent-0.1.0-x86_64 \\
    --repository 'https://github.com/acme/{service}.git' --services auth-service,gmail-service
  bootagent user-data --download s3://acme-tools/bootagent-0.1.0-x86_64 ...   with the AMI's AWS CLI and the instance's role
  bootagent user-data --repository 'https://github.com/acme/{service}.git'     the AMI has bootagent
The program at the address must be the one that prints this, unless --sha256 names another one.

Exit status: 0, 64 usage error, 77 or 78 if a flag is not a valid policy";

pub const EXPLAIN: &str = "\
Examples:
  bootagent explain E-SECRET-MISSING
  bootagent explain                    all codes

Exit status: 0, 64 if there is no such code";

pub const COMPLETIONS: &str = "\
Examples:
  bootagent completions bash > /etc/bash_completion.d/bootagent
  bootagent completions fish > ~/.config/fish/completions/bootagent.fish
The packages have them.

Exit status: 0, 64 usage error";

pub const MAN: &str = "\
Example:
  bootagent man | man -l -

Exit status: 0";
