"""`make release` from a clean checkout: what is in its directory, that checksums and signature fit, and what it refuses. The binary
is the one under test; that it is built anew is `packaging/static`'s part."""

import gzip
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.shipped

ROOT = Path(__file__).resolve().parent.parent.parent
AARCH64 = 0xB7  # e_machine


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """The files of this checkout, as one commit: uncommitted changes would be refused."""
    made = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True)
    packed = subprocess.run(["tar", "--create", "--null", "--files-from=-"], cwd=ROOT, input=listed.stdout, capture_output=True, check=True)
    subprocess.run(["tar", "--extract"], cwd=made, input=packed.stdout, check=True)
    for step in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run(["git", "-C", str(made), "-c", "user.name=x", "-c", "user.email=x@example.test", *step], check=True, timeout=60)
    return made


BINARY = os.environ.get("BOOTAGENT", str(ROOT / "target/x86_64-unknown-linux-musl/release/bootagent"))


def release(checkout: Path, target: Path, **variables: str) -> subprocess.CompletedProcess:
    # The program of another commit, so its own version is not asked for again.
    environment = os.environ | {"BINARY": BINARY, "ANY_COMMIT": "1", "FAST": "1", "CARGO_TARGET_DIR": str(target), **variables}
    return subprocess.run([str(checkout / "packaging/release")], env=environment, capture_output=True, text=True, timeout=600)


class TestRelease:
    @pytest.fixture(scope="class")
    @classmethod
    def made(cls, checkout, tmp_path_factory) -> Path:
        home = tmp_path_factory.mktemp("made")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "key")], check=True)
        # Stands for the program of the other architecture, which is not built here and could not run: its ELF header says so.
        foreign = bytearray(Path(BINARY).read_bytes())
        foreign[18] = AARCH64
        (home / "foreign").write_bytes(foreign)
        done = release(checkout, home, KEY=str(home / "key"), BINARY_AARCH64=str(home / "foreign"))
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip())

    def test_everything_is_there_and_has_its_checksum(self, made):
        names = {path.name for path in made.iterdir()}
        assert {"LICENSE", "LICENSES.txt", "SHA256SUMS", "SHA256SUMS.sig", "bootagent-0.1.0-x86_64", "bootagent-0.1.0.cdx.json"} <= names
        assert any(name.endswith(".deb") for name in names) and any(name.endswith(".rpm") for name in names)
        summed = {line.split()[1] for line in (made / "SHA256SUMS").read_text().splitlines()}
        assert summed == names - {"SHA256SUMS", "SHA256SUMS.sig"}
        subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=made, check=True, timeout=60)

    @pytest.mark.parametrize("arch, deb", [("x86_64", "amd64"), ("aarch64", "arm64")])
    def test_each_architecture_has_its_binary_and_packages_with_the_same_documents(self, made, arch, deb):
        assert (made / f"bootagent-0.1.0-{arch}").read_bytes()[18] == {"x86_64": 0x3E, "aarch64": AARCH64}[arch]
        debian = made / f"bootagent_0.1.0_{deb}.deb"
        field = subprocess.run(["dpkg-deb", "--field", debian, "Architecture"], capture_output=True, text=True, check=True)
        assert field.stdout.strip() == deb
        query = ["rpm", "--query", "--package", "--queryformat=%{ARCH}", made / f"bootagent-0.1.0-1.{arch}.rpm"]
        assert subprocess.run(query, capture_output=True, text=True, check=True).stdout == arch
        packed = subprocess.run(["dpkg-deb", "--fsys-tarfile", debian], capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as tree:
            assert tree.extractfile("./usr/bin/bootagent").read() == (made / f"bootagent-0.1.0-{arch}").read_bytes()
            assert b".TH BOOTAGENT 8" in gzip.decompress(tree.extractfile("./usr/share/man/man8/bootagent.8.gz").read())

    def test_the_signature_is_of_these_checksums(self, made):
        check = ["ssh-keygen", "-Y", "check-novalidate", "-n", "bootagent-release", "-s", str(made / "SHA256SUMS.sig")]
        sums = (made / "SHA256SUMS").read_bytes()
        assert subprocess.run(check, input=sums, capture_output=True).returncode == 0
        assert subprocess.run(check, input=sums.replace(b"0", b"1", 1), capture_output=True).returncode != 0

    def test_the_bill_of_materials_names_each_crate_with_its_licence(self, made):
        bom = json.loads((made / "bootagent-0.1.0.cdx.json").read_text())
        assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5")
        crates = {each["name"]: each for each in bom["components"]}
        assert {"git2", "rustls", "russh"} <= set(crates) and "proptest" not in crates
        assert all(each["licenses"][0]["expression"] and each["hashes"] for each in crates.values())
        known = {each["bom-ref"] for each in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
        assert all(set(each["dependsOn"]) <= known for each in bom["dependencies"])
        assert "git2 0." in (made / "LICENSES.txt").read_text()


def test_changes_without_a_commit_are_refused(checkout, tmp_path):
    stray = checkout / "stray"
    stray.write_text("")
    try:
        done = release(checkout, tmp_path)
    finally:
        stray.unlink()
    assert done.returncode == 65 and "stray" in done.stderr and not list(tmp_path.iterdir()), done


def test_a_binary_of_another_version_is_refused(checkout, tmp_path):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 'bootagent 9.9.9'\n")
    other.chmod(0o755)
    done = release(checkout, tmp_path / "target", BINARY=str(other))
    assert done.returncode == 65 and "another version" in done.stderr, done


def test_a_binary_of_the_other_architecture_from_another_commit_is_refused(checkout, tmp_path):
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True)
    native, foreign = tmp_path / "native", tmp_path / "foreign"
    native.write_text(f"#!/bin/sh\necho 'bootagent 0.1.0 ({head.stdout.strip()})'\n")
    native.chmod(0o755)
    foreign.write_text("0.1.0 (0123456789ab)")
    done = release(checkout, tmp_path / "target", BINARY=str(native), BINARY_AARCH64=str(foreign), ANY_COMMIT="")
    assert done.returncode == 65 and f"{foreign} was not built from this commit" in done.stderr, done


@pytest.mark.parametrize("expression, allowed", [
    ("MIT", True), ("MIT OR GPL-3.0", True), ("MIT AND GPL-3.0", False), ("(MIT OR Apache-2.0) AND Unicode-3.0", True),
    ("GPL-2.0-only", False), ("", False), ("Apache-2.0 WITH LLVM-exception", True), ("(GPL-3.0 OR AGPL-3.0) AND MIT", False),
])  # fmt: skip
def test_licences_are_judged(expression, allowed):
    room: dict = {"__name__": "sbom", "__file__": str(ROOT / "packaging/sbom")}
    exec(compile((ROOT / "packaging/sbom").read_text(), "sbom", "exec"), room)
    assert room["is_allowed"](expression) == allowed
