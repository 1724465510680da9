"""Whose credentials bootagent uses off the instance's own role: those of the environment, those that the AWS CLI knows, with its
profiles, or the role of the instance on which a user other than root calls. The AWS CLI is Debian's own, version 2."""

import json
from dataclasses import dataclass

import pytest
from lab import Machine, World, layers
from lab.aws import ACCOUNT, Credentials
from lab.world import may

import services

SERVICE, SECRET = "auth-service", "service_env_auth-service_test"
HOME, SOURCE = "/home/ada", "https://github.com/acme/{service}.git"
DRY = ["bootagent", "run", "--dry-run", f"--repository={SOURCE}", f"--service={SERVICE}", "--environment=test"]
OLD = "/opt/old:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A profile whose credentials a program tells, as aws-vault or granted do.
TELLS = "#!/bin/sh\ncat /home/ada/told.json\n"
HANGS = "#!/bin/sh\nexec sleep 300\n"
CONFIG = """\
[default]
region = eu-west-1
[profile other-region]
region = eu-central-1
[profile told]
region = eu-west-1
credential_process = /home/ada/tells
[profile hangs]
region = eu-west-1
credential_process = /home/ada/hangs
[profile role]
region = eu-west-1
role_arn = arn:aws:iam::{account}:role/deployer
source_profile = default
[profile sso]
region = eu-west-1
sso_start_url = https://acme.awsapps.com/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = Deployer
"""


def keys(own: Credentials) -> dict[str, str]:
    return {"AWS_ACCESS_KEY_ID": own.access_key, "AWS_SECRET_ACCESS_KEY": own.secret_key, "AWS_SESSION_TOKEN": own.token}


def profile(own: Credentials) -> str:
    return "[default]\n" + "".join(f"{name.lower()} = {value}\n" for name, value in keys(own).items())


@dataclass
class Laptop:
    world: World
    machine: Machine

    def plan(self, **env: str):
        """The end of a dry run by ada, and who asked Secrets Manager."""
        before = len(self.world.aws.log)
        done = self.machine.run(DRY, user="ada", env={"HOME": HOME} | env, timeout=90)
        asked = [call["principal"] for call in self.world.aws.log[before:] if call["service"] == "secretsmanager"]
        return done, asked


@pytest.fixture(scope="module")
def laptop(binary):
    with World() as world:
        yield started(world, binary, [layers.ensure(["awscli"])])


def started(world: World, binary, layers: list) -> Laptop:
    world.imds.refuse()
    world.secret(SECRET, json.dumps({"PORT": "3000"}))
    allowed = [may(["secretsmanager:GetSecretValue", "sts:AssumeRole"], "*")]
    people = {name: world.aws.role(name, allowed) for name in ("ada", "bob", "deployer")}
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    world.aws.query("iam", "UpdateAssumeRolePolicy", RoleName="deployer", PolicyDocument=document)
    bob = people["bob"]
    told = {"Version": 1, "AccessKeyId": bob.access_key, "SecretAccessKey": bob.secret_key, "SessionToken": bob.token}
    world.repo(SERVICE).commit("test", services.node())
    machine = world.launch(binary=binary, layers=layers)
    machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
    machine.check(["useradd", "--create-home", "ada"])
    machine.check(["mkdir", f"{HOME}/.aws"])
    machine.write(f"{HOME}/.aws/config", CONFIG.format(account=ACCOUNT), 0o600)
    machine.write(f"{HOME}/.aws/credentials", profile(people["ada"]), 0o600)
    machine.write(f"{HOME}/told.json", json.dumps(told), 0o600)
    machine.write(f"{HOME}/tells", TELLS, 0o755)
    machine.write(f"{HOME}/hangs", HANGS, 0o755)
    # What version 1 says.
    machine.write("/opt/old/aws", "#!/bin/sh\necho 'aws: error: argument subcommand: Invalid choice, valid choices are:' >&2; exit 2\n", 0o755)
    machine.check(["chown", "--recursive", "ada:", HOME])
    return Laptop(world, machine)


def test_variables_come_first(laptop):
    bob = laptop.world.aws.assume("bob")
    done, asked = laptop.plan(AWS_REGION="eu-west-1", AWS_PROFILE="sso", **keys(bob))
    assert (done.code, asked) == (0, ["bob"]), done
    assert bob.secret_key not in done.stdout + done.stderr


# The emulator hands out the keys of the assumed role, which the lab does not know.
@pytest.mark.parametrize(("chosen", "who"), [(None, "ada"), ("told", "bob"), ("role", "unknown")])
def test_the_aws_cli_knows_the_profile(laptop, chosen, who):
    done, asked = laptop.plan(**({"AWS_PROFILE": chosen} if chosen else {}))
    assert (done.code, asked) == (0, [who]), done.stderr


def test_the_profiles_region_is_asked(laptop):
    done, asked = laptop.plan(AWS_PROFILE="other-region", **keys(laptop.world.aws.assume("ada")))
    assert (done.code, asked) == (78, ["ada"]), done
    assert "E-SECRET-MISSING" in done.stderr and "eu-central-1" in done.stderr, done.stderr


def test_half_of_a_pair_of_keys_is_not_passed_over(laptop):
    done, asked = laptop.plan(AWS_ACCESS_KEY_ID="AKIAHALF", AWS_REGION="eu-west-1")
    assert asked == [] and "AWS_ACCESS_KEY_ID is set, and it cannot be used" in done.stderr, done.stderr


def test_a_cli_of_version_1_cannot_follow_a_profile(laptop):
    done, asked = laptop.plan(AWS_PROFILE="told", AWS_REGION="eu-west-1", PATH=OLD)
    assert asked == [] and "it is version 1, or an early version 2" in done.stderr, done.stderr


def test_without_a_region_nothing_is_asked(laptop):
    done, asked = laptop.plan(AWS_CONFIG_FILE="/dev/null", **keys(laptop.world.aws.assume("ada")))
    assert (done.code, asked) == (64, []) and "AWS_REGION is not set" in done.stderr, done.stderr


def test_a_login_that_is_over_is_told_in_the_clis_words(laptop):
    done, asked = laptop.plan(AWS_PROFILE="sso")
    assert asked == [] and done.code != 0
    for text in ("E-CREDENTIALS-MISSING", "asking the AWS CLI for credentials", "SSO", "aws sts get-caller-identity"):
        assert text in done.stderr, done.stderr


def test_a_profile_that_does_not_exist_is_named(laptop):
    done, asked = laptop.plan(AWS_PROFILE="tset")
    assert asked == [] and "E-CREDENTIALS-MISSING" in done.stderr and "tset" in done.stderr, done.stderr


def test_a_cli_that_hangs_is_not_waited_for_forever(laptop):
    done, asked = laptop.plan(AWS_PROFILE="hangs")
    assert asked == [] and "it is not done after 30 s" in done.stderr, done.stderr
    left = laptop.machine.run(["pgrep", "--full", "sleep 300"])
    assert left.code == 1, "what the AWS CLI started goes on"


def test_without_a_cli_the_role_of_the_instance_is_left(binary):
    with World() as world:
        alone = started(world, binary, [])
        done, asked = alone.plan()
        assert asked == [] and done.code != 0
        for text in ("E-CREDENTIALS-MISSING", "there is no AWS CLI of version 2, and no role", "install the AWS CLI"):
            assert text in done.stderr, done.stderr
        world.imds.start()
        world.role([may("secretsmanager:GetSecretValue", "*")], "own")
        done, asked = alone.plan()
        assert (done.code, asked) == (0, ["own"]), done
        # The role is not taken for a profile that is meant.
        done, asked = alone.plan(AWS_PROFILE="told")
        assert asked == [] and "AWS_PROFILE is set, and there is no AWS CLI" in done.stderr, done.stderr
        done, asked = alone.plan(PATH=OLD)
        assert (done.code, asked) == (0, ["own"]), done
