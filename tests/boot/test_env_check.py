"""bootagent env check as root on an instance: the instance's own secret, one by its name, and no value ever."""

import secrets

import pytest
from lab.world import may
from looks import SERVICE, secret, shared  # noqa: F401
from services import talking
from stage import POLICY, REPOSITORY, run

# A canary in each value: whatever is said of a key, it is not said with its value.
CANARY = secrets.token_hex(12)
VALUES = {"PLAIN": CANARY, "RETURN": f"a\r{CANARY}", "NODE_OPTIONS": f"--title={CANARY}", "LD_PRELOAD": f"/{CANARY}.so"}
OTHER, FORBIDDEN = "billing/other", "billing/forbidden"


class TestEnvCheck:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        files = talking()
        files["bootagent.toml"] += 'env.allow = ["NODE_OPTIONS"]\n'
        shared.repo(SERVICE).commit("test", files)
        secret(shared, **VALUES)
        shared.secret(OTHER, f"A={CANARY}\n")
        shared.secret(FORBIDDEN, f"A={CANARY}\n")
        mine = (f"service_env_{SERVICE}_test", OTHER)
        shared.role([may("secretsmanager:GetSecretValue", f"*:secret:{name}*") for name in mine])
        return shared.launch(binary=binary, files={POLICY: f'repository = "{REPOSITORY}"\n'})

    def check(self, machine, *arguments: str, user: str | None = None):
        result = machine.run(["bootagent", "env", "check", *arguments], user=user)
        assert CANARY not in result.stdout + result.stderr, "a value was shown"
        return result

    def arrives(self, machine, *arguments: str) -> tuple[int, dict[str, str]]:
        result = self.check(machine, *arguments, "--output", "json")
        assert result.stdout, result.stderr
        return result.code, {key["key"]: key["arrives"] for key in result.json()["keys"]}

    def test_before_the_first_run_nothing_is_allowed(self, machine):
        expected = {"PLAIN": "everywhere", "RETURN": "environment-only", "NODE_OPTIONS": "nowhere", "LD_PRELOAD": "nowhere"}
        assert self.arrives(machine) == (78, expected)
        text = self.check(machine).stdout
        assert "no manifest is known" in text and "env.allow" in text and "! LD_PRELOAD" in text

    def test_a_secret_by_its_name_is_read_as_the_instance_s_role(self, machine):
        assert self.arrives(machine, "--secret", OTHER) == (0, {"A": "everywhere"})

    def test_a_secret_that_the_role_may_not_read(self, machine):
        result = self.check(machine, "--secret", FORBIDDEN)
        assert (result.code, result.stdout) == (78, "")
        assert "E-SECRET-DENIED" in result.stderr and FORBIDDEN in result.stderr

    def test_a_secret_that_is_not_there(self, machine):
        result = self.check(machine, "--secret", f"{OTHER}-no-such")
        assert result.code == 78 and "E-SECRET-MISSING" in result.stderr, result

    def test_only_root_knows_which_secret_is_meant(self, machine):
        result = self.check(machine, user="nobody")
        assert result.code == 64 and "--secret" in result.stderr, result

    def test_a_run_agrees_and_afterwards_its_manifest_counts(self, shared, machine):  # noqa: F811
        refused = run(machine, repository=None)
        assert refused.code == 77 and "E-SECRET-KEY-REFUSED" in refused.stderr and "LD_PRELOAD" in refused.stderr
        secret(shared, **{name: value for name, value in VALUES.items() if name != "LD_PRELOAD"})
        done = run(machine, repository=None)
        assert done.code == 0, done.stderr
        expected = {"PLAIN": "everywhere", "RETURN": "environment-only", "NODE_OPTIONS": "everywhere"}
        assert self.arrives(machine) == (0, expected)
        found = machine.run(["sh", "-c", f"journalctl --all --output=export | grep -c {CANARY}"]).stdout.strip()
        assert found == "0", "a value is in the journal"
