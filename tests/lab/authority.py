"""The lab's certificate authority, made once per cache and trusted by the image, and the front's certificates."""

import fcntl
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path

from . import paths

REGIONS = ["us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-central-1",
           "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "ap-south-1", "ap-northeast-1", "ap-southeast-1",
           "ap-southeast-2"]  # fmt: skip
GIT_HOSTS = ["github.com", "git.acme.test"]
NAMES = [*GIT_HOSTS, "*.amazonaws.com", *(f"*.{region}.amazonaws.com" for region in REGIONS)]

YEARS = str(10 * 365)


def directory() -> Path:
    """The directory with ca.pem, trusted.pem and untrusted.pem (certificate and key each), made when absent."""
    made = paths.cache() / "ca"
    made.parent.mkdir(parents=True, exist_ok=True)
    with open(made.parent / "ca.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            work = Path(tempfile.mkdtemp(dir=made.parent, prefix="ca."))
            _make(work)
            work.rename(made)
    return made


def context(name: str) -> ssl.SSLContext:
    """A server context for "trusted", or "untrusted": the same names, signed by an authority nobody knows."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(directory() / f"{name}.pem")
    made.set_alpn_protocols(["http/1.1"])
    return made


def _make(work: Path) -> None:
    for authority, leaf in (("ca", "trusted"), ("stranger", "untrusted")):
        _openssl(
            work, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", YEARS,
            "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN=bootagent lab {authority}",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )  # fmt: skip
        _openssl(
            work, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", f"{leaf}.key", "-out", f"{leaf}.csr", "-subj", "/CN=bootagent lab",
        )  # fmt: skip
        extensions = work / "extensions"
        names = ",".join(f"DNS:{name}" for name in NAMES)
        extensions.write_text(
            f"subjectAltName={names}\nextendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\n"
            "keyUsage=critical,digitalSignature\n"
        )
        _openssl(
            work, "x509", "-req", "-in", f"{leaf}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-days", YEARS, "-extfile", "extensions", "-out", f"{leaf}.crt",
        )  # fmt: skip
        (work / f"{leaf}.pem").write_text((work / f"{leaf}.crt").read_text() + (work / f"{leaf}.key").read_text())


def _openssl(work: Path, *arguments: str) -> None:
    if not shutil.which("openssl"):
        raise RuntimeError("openssl is not installed; run tests/lab/prepare")
    subprocess.run(["openssl", *arguments], cwd=work, check=True, capture_output=True, timeout=60)
