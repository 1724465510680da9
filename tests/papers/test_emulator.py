"""The templates on an AWS emulator, as far as it goes: an environment is created from its three kinds of stacks, in order, with the
outputs of the network as parameters, and MongoDB's volume follows its instance. The emulator launches no instances for a group, gives it no
hooks, waits for no signals, and does not know some resources: those are left out or made by a call, and their rules are looked at in
test_reach.py."""

import json
from collections.abc import Callable, Iterator

import pytest
from botocore.exceptions import ClientError
from emulator import deploy, emulator, wait
from papers import GIVEN, template

# What the emulator's CloudFormation does not know, with what refers to it.
UNKNOWN = {
    "network": {"NatAddress", "NatGateway", "PrivateRoute", "MongoDbRoute", "MongoDbFromClients"},
    "service": {"FromLoadBalancer", "WarmPool"},
    "mongodb": {"DataVolume"},
}


def known(name: str) -> dict:
    read = template(name)
    resources = read["Resources"]
    assert set(resources) >= UNKNOWN[name]
    read["Resources"] = {one: body for one, body in resources.items() if one not in UNKNOWN[name]}
    for body in read["Resources"].values():
        # Nothing signals.
        body.pop("CreationPolicy", None)
        ahead = body.get("DependsOn", [])
        body["DependsOn"] = [one for one in ([ahead] if isinstance(ahead, str) else ahead) if one not in UNKNOWN[name]]
    return read


def parameters(name: str, outputs: dict[str, str], **own: object) -> dict:
    """As `aws cloudformation deploy` takes them: of the network's outputs those that the template has."""
    declared = template(name)["Parameters"]
    given = {**outputs, **own}
    assert {one for one, body in declared.items() if "Default" not in body} <= set(given)
    return {one: value for one, value in given.items() if one in declared}


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[Callable]:
    with emulator(tmp_path_factory.mktemp("aws")) as client:
        yield client


@pytest.fixture(scope="module")
def network(aws) -> dict[str, str]:
    return deploy(aws, "network-prod", known("network"), Environment="prod", CertificateArn=GIVEN["CertificateArn"])


@pytest.fixture(scope="module")
def image(aws) -> str:
    return aws("ec2").describe_images()["Images"][0]["ImageId"]


def test_the_network_is_made(aws, network):
    ec2 = aws("ec2")
    (vpc,) = ec2.describe_vpcs(VpcIds=[network["VpcId"]])["Vpcs"]
    assert vpc["CidrBlock"] == "10.0.0.0/16"
    of_vpc = [{"Name": "vpc-id", "Values": [network["VpcId"]]}]
    subnets = {one["SubnetId"]: one for one in ec2.describe_subnets(Filters=of_vpc)["Subnets"]}
    assert len(subnets) == 5 and not any(one["MapPublicIpOnLaunch"] for one in subnets.values())
    assert len({one["CidrBlock"] for one in subnets.values()}) == 5
    private = network["SubnetIds"].split(",")
    assert len({subnets[one]["AvailabilityZone"] for one in private}) == 2
    assert subnets[network["MongoDbSubnetId"]]["AvailabilityZone"] == network["MongoDbZone"]
    endpoints = ec2.describe_vpc_endpoints(Filters=of_vpc)["VpcEndpoints"]
    assert {one["ServiceName"].rpartition(".")[2] for one in endpoints} >= {"secretsmanager", "autoscaling", "logs", "s3"}
    for group in ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]:
        open_to_all = [rule["FromPort"] for rule in group["IpPermissions"] if {"CidrIp": "0.0.0.0/0"}.items() <= {**(rule["IpRanges"] or [{}])[0]}.items()]
        assert sorted(open_to_all) == ([80, 443] if group["GroupId"] == network["LoadBalancerSecurityGroupId"] else []), group
    (group,) = aws("logs").describe_log_groups(logGroupNamePrefix=network["LogGroup"])["logGroups"]
    assert group["retentionInDays"] == 30


def test_a_service_comes_with_the_network_s_outputs(aws, network, image):
    own = {"Service": "auth-service", "HostName": "auth-service.example.com", "Priority": 10, "ImageId": image, "UsesMongoDb": "yes"}
    outputs = deploy(aws, "auth-service-prod", known("service"), **parameters("service", network, **own))
    (group,) = aws("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["auth-service-prod"])["AutoScalingGroups"]
    assert outputs["GroupName"] == group["AutoScalingGroupName"]
    assert set(group["VPCZoneIdentifier"].split(",")) == set(network["SubnetIds"].split(","))
    rules = aws("elbv2").describe_rules(ListenerArn=network["ListenerArn"])["Rules"]
    hosts = [one for rule in rules for condition in rule.get("Conditions", []) for one in condition.get("HostHeaderConfig", {}).get("Values", [])]
    assert hosts == ["auth-service.example.com"]


def test_the_role_of_a_service_reaches_its_own_things_alone(aws, network, image):
    """On what is its own and on what is another's. Of CloudWatch Logs the emulator judges whole groups only, of Auto Scaling and
    CloudFormation not these calls."""
    own = {"Service": "gmail-service", "HostName": "gmail-service.example.com", "Priority": 20, "ImageId": image, "FleetBucket": "acme-fleet"}
    outputs = deploy(aws, "gmail-service-prod", known("service"), **parameters("service", network, **own))
    for name in ("service_env_gmail-service_prod", "service_env_gmail-service_test", "service_env_auth-service_prod"):
        aws("secretsmanager").create_secret(Name=name, SecretString="{}")
    aws("s3").create_bucket(Bucket="acme-fleet", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    role = outputs["RoleArn"].rpartition("/")[2]
    secrets, s3, ec2 = (aws(service, role) for service in ("secretsmanager", "s3", "ec2"))

    def put(key: str) -> Callable:
        return lambda: s3.put_object(Bucket="acme-fleet", Key=f"bootagent/{key}", Body=b"{}")

    allowed = [
        lambda: secrets.get_secret_value(SecretId="service_env_gmail-service_prod"),
        put("gmail-service/prod/good.json"),
        put("gmail-service/prod/reports/i-1.json"),
    ]
    denied = [
        lambda: secrets.get_secret_value(SecretId="service_env_gmail-service_test"),
        lambda: secrets.get_secret_value(SecretId="service_env_auth-service_prod"),
        lambda: secrets.list_secrets(),
        put("gmail-service/prod/pin.json"),
        put("auth-service/prod/good.json"),
        lambda: ec2.describe_instances(),
    ]
    for call in allowed:
        call()
    for call in denied:
        with pytest.raises(ClientError, match=r"AccessDenied|UnauthorizedOperation|not authorized"):
            call()


def test_mongodb_s_volume_and_name_follow_its_instance(aws, network, image):
    """The state machine, with the event that Auto Scaling sends when an instance waits at its launch hook."""
    ec2 = aws("ec2")
    volume = ec2.create_volume(AvailabilityZone=network["MongoDbZone"], Size=50, VolumeType="gp3", Encrypted=True)["VolumeId"]
    text = json.dumps(known("mongodb")).replace('{"Ref": "DataVolume"}', json.dumps(volume)).replace("${DataVolume}", volume)
    deploy(aws, "mongodb-prod", json.loads(text), **parameters("mongodb", network, ImageId=image))
    states = aws("stepfunctions")
    (machine,) = states.list_state_machines()["stateMachines"]
    for _ in range(2):  # The first instance, and its successor.
        instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=network["MongoDbSubnetId"])["Instances"][0]
        event = {"detail": {"EC2InstanceId": instance["InstanceId"], "LifecycleHookName": "ready"}}
        run = states.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(event))["executionArn"]

        def ended(run: str = run) -> dict | None:
            told = states.describe_execution(executionArn=run)
            return None if told["status"] == "RUNNING" else told

        told = wait("the state machine", ended)
        assert told["status"] == "SUCCEEDED", states.get_execution_history(executionArn=run)["events"][-2:]
        (attached,) = ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Attachments"]
        assert (attached["InstanceId"], attached["Device"]) == (instance["InstanceId"], "/dev/sdf")
        records = aws("route53").list_resource_record_sets(HostedZoneId=network["PrivateZoneId"])["ResourceRecordSets"]
        (name,) = [one for one in records if one["Type"] == "A"]
        assert name["Name"].rstrip(".") == "mongodb.prod.internal" and name["TTL"] == 30
        assert [one["Value"] for one in name["ResourceRecords"]] == [instance["PrivateIpAddress"]]
        ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
        ec2.detach_volume(VolumeId=volume)
