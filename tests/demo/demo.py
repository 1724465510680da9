"""`make demo`: one boot as an operator would see it. The sample service is pushed to the lab's GitHub, its environment
stored in the lab's Secrets Manager, and an instance launched with two tags and one line of user-data."""

import sys
from pathlib import Path

import lab

USER_DATA = "#!/bin/sh\nexec bootagent run --repository 'https://github.com/acme/{service}.git'\n"
SECRET = '{"DATABASE_URL": "mongodb://db.internal/auth", "JWT_PRIVATE_KEY": "-----BEGIN KEY-----\\nnot one\\n-----END KEY-----"}'
TAGS = {"bootagent:service": "auth-service", "bootagent:environment": "prod"}


def main(binary: str) -> int:
    with lab.World() as world:
        world.tags = TAGS
        world.repo("auth-service").commit("main", _files(Path(__file__).parent / "auth-service"))
        world.secret("service_env_auth-service_prod", SECRET)
        world.role()
        say("an instance with two tags", *(f"{key} = {value}" for key, value in TAGS.items()))
        say("and this user-data", *USER_DATA.splitlines())
        say("boots (its console, from where cloud-init runs it):")
        machine = world.launch(user_data=USER_DATA, binary=binary)
        for line in machine.follow_cloud_init(timeout=300):
            # cloud-init's own tables are not what one came to see.
            if not line.startswith(("ci-info", "Cloud-init", "No ")):
                print(f"  {line}", flush=True)
        if show(machine, "bootagent", "status") != 0:
            return 1
        show(machine, "systemctl", "status", "--no-pager", "--lines=3", "auth-service")
        health = machine.http("http://127.0.0.1:3000/health")
        say("GET http://127.0.0.1:3000/health", f"{health.status} {health.body}")
        show(machine, "sh", "-c", "ls -l /opt/auth-service /opt/auth-service/current/.env /run/bootagent/auth-service")
        say("it reboots")
        machine.reboot()
        again = show(machine, "bootagent", "status", "--wait", "--timeout", "2m")
        return 0 if again == 0 and health.status == 200 else 1


def _files(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(directory.iterdir()) if path.is_file()}


def show(machine, *command: str) -> int:
    result = machine.run(list(command), timeout=180)
    say(f"$ {' '.join(command)}", *(result.stdout + result.stderr).splitlines())
    return result.code


def say(headline: str, *lines: str) -> None:
    print(f"\n\033[1m{headline}\033[0m" if sys.stdout.isatty() else f"\n{headline}")
    for line in lines:
        print(f"  {line}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
