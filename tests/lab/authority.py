"""The lab's certificate authority, made once per cache and trusted by the image, and the front's certificates."""

import fcntl
import hashlib
import secrets
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import paths

REGIONS = ["us-east-1", "us-east-2", "us-west-1", "us-west-2", "ca-central-1", "sa-east-1", "eu-central-1",
           "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "ap-south-1", "ap-northeast-1", "ap-southeast-1",
           "ap-southeast-2"]  # fmt: skip
NAMES = ["github.com", "api.github.com", "nodejs.org", "*.acme.test", "*.amazonaws.com",
         *(f"*.{region}.amazonaws.com" for region in REGIONS),
         *(f"*.s3.{region}.amazonaws.com" for region in REGIONS)]  # fmt: skip

AUTHORITIES = {"trusted": "ca", "untrusted": "stranger"}
YEARS = str(10 * 365)


def directory() -> Path:
    """The directory with ca.pem, which the image trusts, and stranger.pem, which it doesn't; made when absent."""
    made = paths.cache() / "ca"
    with _lock():
        if not made.exists():
            work = Path(tempfile.mkdtemp(dir=made.parent, prefix="ca."))
            for authority in AUTHORITIES.values():
                _make_authority(work, authority)
            work.rename(made)
    return made


def context(name: str) -> ssl.SSLContext:
    """A server context for "trusted", or "untrusted": the same names, signed by an unknown authority."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(_certificate(name))
    made.set_alpn_protocols(["http/1.1"])
    return made


def _certificate(name: str) -> Path:
    """Certificate and key for all NAMES. Other names have another file: a checkout beside this one may know fewer."""
    known = hashlib.sha256(" ".join(NAMES).encode()).hexdigest()[:8]
    made = directory() / f"{name}-{known}.pem"
    with _lock():
        if not made.exists():
            with tempfile.TemporaryDirectory(dir=made.parent) as work:
                _sign(Path(work), made.parent / AUTHORITIES[name]).rename(made)
    return made


@contextmanager
def _lock() -> Iterator[None]:
    paths.cache().mkdir(parents=True, exist_ok=True)
    with open(paths.cache() / "ca.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_authority(work: Path, authority: str) -> None:
    _openssl(
        work, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", YEARS,
        "-keyout", f"{authority}.key", "-out", f"{authority}.pem", "-subj", f"/CN=bootagent lab {authority}",
        "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip


def _sign(work: Path, authority: Path) -> Path:
    _openssl(
        work, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "key", "-out", "request", "-subj", "/CN=bootagent lab",
    )  # fmt: skip
    (work / "extensions").write_text(
        f"subjectAltName={','.join(f'DNS:{name}' for name in NAMES)}\n"
        "extendedKeyUsage=serverAuth\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
    )
    _openssl(
        work, "x509", "-req", "-in", "request", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
        "-set_serial", f"0x{secrets.token_hex(16)}", "-days", YEARS, "-extfile", "extensions", "-out", "certificate",
    )  # fmt: skip
    made = work / "made.pem"
    made.write_text((work / "certificate").read_text() + (work / "key").read_text())
    return made


def _openssl(work: Path, *arguments: str) -> None:
    if not shutil.which("openssl"):
        raise RuntimeError("openssl is not installed; run tests/lab/prepare")
    subprocess.run(["openssl", *arguments], cwd=work, check=True, capture_output=True, timeout=60)
