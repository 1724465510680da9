"""Who may reach whom in an environment, by both kinds of papers: instances are private, MongoDB is reached from its clients alone."""

import re

import pytest
from papers import AWS, Stack, granted, module, named, template

EVERYWHERE, LOOPBACK = "0.0.0.0/0", "127.0.0.1/32"
VPC = "10.0.0.0/16"
# Names of one group in CloudFormation and in Terraform.
GROUPS = {
    "LoadBalancerSecurityGroup": "aws_security_group.load_balancer",
    "MongoDbClientsSecurityGroup": "aws_security_group.mongodb_clients",
    "MongoDbSecurityGroup": "aws_security_group.mongodb",
    "EndpointSecurityGroup": "aws_security_group.endpoints",
}
OF_NETWORK = {
    ("LoadBalancerSecurityGroup", "in", 443, EVERYWHERE),
    ("LoadBalancerSecurityGroup", "in", 80, EVERYWHERE),
    ("MongoDbClientsSecurityGroup", "out", 27017, "MongoDbSecurityGroup"),
    ("MongoDbSecurityGroup", "in", 27017, "MongoDbClientsSecurityGroup"),
    ("MongoDbSecurityGroup", "out", 443, EVERYWHERE),
    ("EndpointSecurityGroup", "in", 443, VPC),
}
OF_SERVICE = {
    ("SecurityGroup", "in", 3000, "LoadBalancerSecurityGroupId"),
    ("LoadBalancerSecurityGroupId", "out", 3000, "SecurityGroup"),
    ("SecurityGroup", "out", 443, EVERYWHERE),
}


def _rule(group: str, way: str, rule: dict) -> tuple | None:
    peers = [rule[name] for name in ("CidrIp", "SourceSecurityGroupId", "DestinationSecurityGroupId") if name in rule]
    assert len(peers) == 1 and not {"CidrIpv6", "SourcePrefixListId"} & set(rule), rule
    # In place of EC2's default, which lets everything out.
    if (way, rule["IpProtocol"], *peers) == ("out", "-1", LOOPBACK):
        return None
    assert rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"], rule
    return group, way, int(rule["FromPort"]), peers[0]


def rules(stack: Stack) -> set[tuple]:
    """(group, in or out, port, peer) of every rule of a template."""
    found = set()
    for name, group in stack.of("AWS::EC2::SecurityGroup").items():
        # Without any, EC2 lets everything out.
        assert group.get("SecurityGroupEgress"), f"{name} has no rule for what goes out"
        found |= {_rule(name, "in", rule) for rule in group.get("SecurityGroupIngress", [])}
        found |= {_rule(name, "out", rule) for rule in group["SecurityGroupEgress"]}
    for way, kind in (("in", "Ingress"), ("out", "Egress")):
        found |= {_rule(one["GroupId"], way, one) for one in stack.of(f"AWS::EC2::SecurityGroup{kind}").values()}
    return found - {None}


def _name(reference: str) -> str:
    reference = re.sub(r"^\$\{(.*?)(\.id)?\}$", r"\1", reference)
    back = {terraform: name for name, terraform in GROUPS.items()}
    back |= {"aws_security_group.service": "SecurityGroup", "var.load_balancer_security_group_id": "LoadBalancerSecurityGroupId"}
    return back.get(reference, {"var.cidr": VPC, "var.port": "3000"}.get(reference, reference))


def rules_of_terraform(name: str) -> set[tuple]:
    resources = named(module(name)[1]["resource"])
    found = set()
    for label, body in resources.items():
        kind, _, own = label.partition(".")
        if kind == "aws_security_group":
            for way, blocks in (("in", body.get("ingress", [])), ("out", body.get("egress", []))):
                for block in blocks:
                    peers = block.get("cidr_blocks", []) + block.get("security_groups", [])
                    found |= {(_name(label), way, int(_name(str(block["from_port"]))), _name(peer)) for peer in peers}
        if found_kind := re.fullmatch(r"aws_vpc_security_group_(in|e)gress_rule", kind):
            way = {"in": "in", "e": "out"}[found_kind[1]]
            peer = body.get("cidr_ipv4") or body["referenced_security_group_id"]
            assert body["from_port"] == body["to_port"] and body["ip_protocol"] == "tcp", own
            found.add((_name(body["security_group_id"]), way, int(_name(str(body["from_port"]))), _name(peer)))
    return found


def test_the_rules_are_these():
    assert rules(Stack("network")) == OF_NETWORK
    assert rules(Stack("service")) == OF_SERVICE
    assert rules(Stack("mongodb")) == set()


def test_terraform_has_the_same_rules():
    assert rules_of_terraform("network") == OF_NETWORK
    assert rules_of_terraform("service") == OF_SERVICE
    assert rules_of_terraform("mongodb") == set()


@pytest.mark.parametrize("network", [rules(Stack("network")), rules_of_terraform("network")], ids=["CloudFormation", "Terraform"])
def test_only_the_load_balancer_is_open_to_the_world(network):
    """By itself, whatever else the table above says."""
    assert {(group, port) for group, way, port, peer in network if (way, peer) == ("in", EVERYWHERE)} == {
        ("LoadBalancerSecurityGroup", 80),
        ("LoadBalancerSecurityGroup", 443),
    }
    to_mongodb = {(port, peer) for group, way, port, peer in network if (group, way) == ("MongoDbSecurityGroup", "in")}
    assert to_mongodb == {(27017, "MongoDbClientsSecurityGroup")}


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        ("MongoDbFromClients", {"CidrIp": VPC, "SourceSecurityGroupId": None}),
        ("MongoDbFromClients", {"ToPort": 27018}),
        ("MongoDbSecurityGroup", {"SecurityGroupEgress": []}),
        ("MongoDbSecurityGroup", {"SecurityGroupIngress": [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": EVERYWHERE}]}),
    ],
)
def test_a_wider_rule_is_seen(resource, change):
    read = template("network")
    properties = {**read["Resources"][resource]["Properties"], **change}
    read["Resources"][resource]["Properties"] = {name: one for name, one in properties.items() if one is not None}
    try:
        assert rules(Stack(read)) != OF_NETWORK
    except AssertionError:
        pass  # It is refused while it is read.


def test_descriptions_have_only_characters_that_ec2_takes():
    """An apostrophe, for example, fails the stack; cfn-lint and the emulator let it pass."""
    taken = re.compile(r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")
    assert not taken.fullmatch("MongoDB's clients")
    seen = 0
    for stack in map(Stack, ("network", "service")):
        for kind in ("SecurityGroup", "SecurityGroupIngress", "SecurityGroupEgress"):
            for body in stack.of(f"AWS::EC2::{kind}").values():
                described = [body, *body.get("SecurityGroupIngress", []), *body.get("SecurityGroupEgress", [])]
                texts = [one.get("GroupDescription", one.get("Description")) for one in described]
                assert all(taken.fullmatch(text) for text in texts), texts
                seen += len(texts)
    assert seen > 15
    for name in ("network", "service"):
        for label, body in named(module(name)[1]["resource"]).items():
            if "security_group" in label:
                blocks = [body, *body.get("ingress", []), *body.get("egress", [])]
                assert all(taken.fullmatch(one["description"]) for one in blocks if not one["description"].startswith("${var.service}")), label


def test_instances_have_no_public_address():
    for name in ("service", "mongodb"):
        data = Stack(name).resources["LaunchTemplate"]["LaunchTemplateData"]
        (interface,) = data["NetworkInterfaces"]
        assert interface["AssociatePublicIpAddress"] is False and "SecurityGroupIds" not in data
        (block,) = named(module(name)[1]["resource"])[f"aws_launch_template.{name}"]["network_interfaces"]
        assert block["associate_public_ip_address"] is False
    mongodb = Stack("mongodb").resources["LaunchTemplate"]["LaunchTemplateData"]["NetworkInterfaces"][0]
    assert mongodb["Groups"] == ["MongoDbSecurityGroupId"]


def test_only_services_that_ask_for_it_are_clients_of_mongodb():
    for asks, expected in (("no", ["SecurityGroup"]), ("yes", ["SecurityGroup", "sg-clients"])):
        stack = Stack("service", UsesMongoDb=asks, MongoDbClientsSecurityGroupId="sg-clients")
        assert stack.resources["LaunchTemplate"]["LaunchTemplateData"]["NetworkInterfaces"][0]["Groups"] == expected


def _routes(stack: Stack) -> dict[str, list[dict]]:
    """Of each subnet, the routes beside the VPC's own."""
    tables = {one["SubnetId"]: one["RouteTableId"] for one in stack.of("AWS::EC2::SubnetRouteTableAssociation").values()}
    routes = list(stack.of("AWS::EC2::Route").values())
    return {subnet: [route for route in routes if route["RouteTableId"] == tables[subnet]] for subnet in stack.of("AWS::EC2::Subnet")}


def test_private_subnets_have_no_way_in_and_mongodb_s_no_way_out():
    stack = Stack("network")
    ways = {subnet: [next(iter(set(route) & {"GatewayId", "NatGatewayId"})) for route in routes] for subnet, routes in _routes(stack).items()}
    public, private = ["GatewayId"], ["NatGatewayId"]
    assert ways == {"PublicSubnetA": public, "PublicSubnetB": public, "PrivateSubnetA": private, "PrivateSubnetB": private, "MongoDbSubnet": []}
    assert not any(subnet.get("MapPublicIpOnLaunch") for subnet in stack.of("AWS::EC2::Subnet").values())
    assert len({subnet["CidrBlock"] for subnet in stack.of("AWS::EC2::Subnet").values()}) == len(ways)
    assert len(_routes(Stack("network", MongoDbReachesInternet="yes"))["MongoDbSubnet"]) == 1
    # Only the load balancer and the NAT gateway are in the public ones.
    outputs = stack.template["Outputs"]
    assert stack.resources["LoadBalancer"]["Subnets"] == ["PublicSubnetA", "PublicSubnetB"]
    assert "Public" not in str(outputs["SubnetIds"]) + str(outputs["MongoDbSubnetId"])


def test_terraform_has_the_same_routes():
    resources = named(module("network")[1]["resource"])
    routes = {name: body for name, body in resources.items() if name.startswith("aws_route.")}
    ways = {name: next(iter(set(body) & {"gateway_id", "nat_gateway_id"})) for name, body in routes.items()}
    assert ways == {"aws_route.public": "gateway_id", "aws_route.private": "nat_gateway_id", "aws_route.mongodb": "nat_gateway_id"}
    assert routes["aws_route.mongodb"]["count"] == "${var.mongodb_reaches_internet ? 1 : 0}"
    for name in ("public", "private", "mongodb"):
        assert resources[f"aws_route.{name}"]["route_table_id"] == f"${{aws_route_table.{name}.id}}"
        association = resources[f"aws_route_table_association.{name}"]
        assert association["route_table_id"] == f"${{aws_route_table.{name}.id}}"
        assert association["subnet_id"].startswith(f"${{aws_subnet.{name}")
        assert not resources[f"aws_subnet.{name}"].get("map_public_ip_on_launch")
    assert resources["aws_lb.this"]["subnets"] == "${aws_subnet.public[*].id}"
    outputs = {name: body["value"] for one in module("network")[1]["output"] for name, body in one.items()}
    assert (outputs["subnet_ids"], outputs["mongodb_subnet_id"]) == ("${aws_subnet.private[*].id}", "${aws_subnet.mongodb.id}")
    for name in ("interface", "s3"):
        assert "aws:PrincipalAccount" in resources[f"aws_vpc_endpoint.{name}"]["policy"]


def test_the_apis_that_the_role_may_call_are_reached_inside_the_vpc():
    stack = Stack("network")
    endpoints = {one["ServiceName"].rpartition(".")[2]: one for one in stack.of("AWS::EC2::VPCEndpoint").values()}
    service = Stack("service", FleetBucket="acme-fleet", Sessions="yes")
    apis = {action.partition(":")[0] for statement in granted(service) for action in statement["Action"]}
    assert apis == set(endpoints), "one way or the other"
    for name, endpoint in endpoints.items():
        assert name == "s3" or (endpoint["PrivateDnsEnabled"], endpoint["SecurityGroupIds"]) == (True, ["EndpointSecurityGroup"])
        for statement in endpoint["PolicyDocument"]["Statement"]:
            own = statement.get("Condition", {}).get("StringEquals", {}).get("aws:PrincipalAccount") == "123456789012"
            assert own or (name, statement["Action"]) == ("s3", "s3:GetObject")
    assert set(endpoints["s3"]["RouteTableIds"]) == {"PrivateRoutes", "MongoDbRoutes"}
    # Terraform signals no stack.
    (names,) = [one["endpoints"] for one in module("network")[1]["locals"]]
    assert set(re.findall(r'"(\w+)"', names)) | {"s3", "cloudformation"} == set(endpoints)


def test_outputs_of_the_network_are_parameters_of_the_others():
    outputs = set(template("network")["Outputs"]) - {"LoadBalancerDnsName"}
    of_operator = {"HostName", "Priority", "ImageId", "Service"}
    used = set()
    for name in ("service", "mongodb"):
        parameters = template(name)["Parameters"]
        used |= set(parameters)
        needed = {name for name, one in parameters.items() if "Default" not in one}
        assert needed - outputs <= of_operator
    assert outputs <= used
    outputs = {name for one in module("network")[1]["output"] for name in one} - {"load_balancer_dns_name"}
    taken = set(re.findall(r"module\.network\.(\w+)", (AWS / "terraform/main.tf").read_text()))
    assert outputs <= taken


def test_the_listeners_serve_https_alone():
    listeners = {one["Port"]: one for one in Stack("network").of("AWS::ElasticLoadBalancingV2::Listener").values()}
    assert set(listeners) == {80, 443}
    assert listeners[80]["DefaultActions"][0]["RedirectConfig"]["Protocol"] == "HTTPS"
    assert listeners[443]["Protocol"] == "HTTPS" and listeners[443]["DefaultActions"][0]["Type"] == "fixed-response"
