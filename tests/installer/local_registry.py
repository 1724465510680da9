"""`local_registry.mjs` as a context: a registry at https://localhost with what is in the store."""

import fcntl
import json
import subprocess
from pathlib import Path


def certificate(work: Path) -> tuple[Path, Path]:
    """A certificate of localhost and its key, made once."""
    made, key = work / "localhost.pem", work / "localhost.key"
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "certificate.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "3650",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                 "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", f"{made}.new"],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip
            Path(f"{made}.new").rename(made)
    return made, key


class Registry:
    def __init__(self, work: Path, answers: dict[str, str], node: Path | None = None) -> None:
        self.work, self.answers, self.node = work, answers, f"{node}/bin/node" if node else "node"
        self.authority, self.key = certificate(work)

    def __enter__(self) -> "Registry":
        answers = self.work / "answers.json"
        answers.write_text(json.dumps(self.answers))
        script = Path(__file__).with_name("local_registry.mjs")
        argv = [self.node, script, answers, self.authority, self.key]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"https://localhost:{int(self.process.stdout.readline())}/"
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.wait(timeout=20)
