"""A registry that fails, is slow, cuts, lies about lengths or sends something else: a transient fault is overcome, a lasting one
is named, and no tree is left that looks whole. Hostile archives and lockfiles are unit tests of `machine::npm_tree` and `npm`."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile import ARCHIVES, Server, good, head, install, project
from trees import differences, tree

pytestmark = pytest.mark.variants

ELSE = b"<!DOCTYPE html><h1>We will be back soon</h1>"


def status(line, *lines, body=b""):
    return lambda *_: head(line, *lines, f"Content-Length: {len(body)}") + body


def plain(body):
    return head("200 OK", f"Content-Length: {len(body)}")


def chunked(body, end=b"0\r\n\r\n"):
    half = len(body) // 2
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    return head("200 OK", "Transfer-Encoding: chunked") + parts + end


def flipped(body, at):
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


# What is answered twice for each archive, before the good answer.
FOR_A_WHILE = {
    "nothing": lambda *_: None,
    "reset": lambda *_: "reset",
    "reset in the body": lambda body, _: [plain(body) + body[:300], 0.05, "reset"],
    "garbage": lambda *_: [b"\0\xff" * 50, None],
    "half a status line": lambda *_: [b"HTTP/1.1 20", None],
    "half a head": lambda *_: [b"HTTP/1.1 200 OK\r\nContent-Le", None],
    "a head without an end": lambda *_: [b"HTTP/1.1 200 OK\r\n" + b"X-Y: zzzzzzzzzzzzzzzz\r\n" * 40_000, None],
    "500": status("500 Oops"),
    "502": status("502 Bad", body=ELSE),
    "503": status("503 Later"),
    "503, asks to wait": status("503 Later", "Retry-After: 1"),
    "503, asks to wait in words": status("503 Later", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    "504": status("504 Slow"),
    "429": status("429 Busy", "Retry-After: 0"),
    "408": status("408 Slow"),
    "425": status("425 Early"),
    "cut": lambda body, _: [plain(body) + body[:300], None],
    "cut at the last byte": lambda body, _: [plain(body) + body[:-1], None],
    "cut without a length": lambda body, _: [head("200 OK", "Connection: close") + body[:300], None],
    "cut in a chunk": lambda body, _: [chunked(body)[:-300], None],
    "without the last chunk": lambda body, _: [chunked(body, b""), None],
    "a chunk of a wrong length": lambda body, _: [head("200 OK", "Transfer-Encoding: chunked") + b"5\r\n" + body, None],
    "a chunk of an endless length": lambda body, _: [head("200 OK", "Transfer-Encoding: chunked") + b"f" * 40 + b"\r\n" + body, None],
    "too short a length": lambda body, _: [head("200 OK", f"Content-Length: {len(body) - 9}") + body, None],
    "too long a length": lambda body, _: [head("200 OK", f"Content-Length: {len(body) + 9}") + body, None],
    "a length of 0": lambda body, _: [head("200 OK", "Content-Length: 0") + body, None],
    "a negative length": lambda body, _: [head("200 OK", "Content-Length: -1") + body, None],
    "a length in words": lambda body, _: [head("200 OK", "Content-Length: many") + body, None],
    "two lengths": lambda body, _: [head("200 OK", f"Content-Length: {len(body)}", "Content-Length: 3") + body, None],
    "a page": status("200 OK", body=ELSE),
    "nothing, with 200": status("200 OK"),
    "another package": lambda body, _: good(next(other for other in ARCHIVES.values() if other != body)),
    "the first byte is another": lambda body, _: good(flipped(body, 0)),
    "the last byte is another": lambda body, _: good(flipped(body, len(body) - 1)),
    "a byte more": lambda body, _: good(body + b"\0"),
    "the archive twice": lambda body, _: good(body * 2),
}  # fmt: skip

# What is well although it is unusual.
WELL = {
    "chunked": lambda body, _: chunked(body),
    "without a length": lambda body, _: [head("200 OK", "Connection: close") + body, None],
    "slowly": lambda body, _: [plain(body), *(part for at in range(0, len(body), 40) for part in (body[at : at + 40], 0.01))],
    "after an early hint": lambda body, _: b"HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n" + good(body),
    "after 100": lambda body, _: b"HTTP/1.1 100 Continue\r\n\r\n" + good(body),
    "more behind the body": lambda body, _: [good(body) + b"HTTP/1.1 200 OK\r\n\r\nmore", None],
    "a redirection": lambda body, number: head("302 Found", "Location: /" + _name(body) + "/again.tgz", "Content-Length: 0") if number == 1 else good(body),
}  # fmt: skip

# What stays: the fault, or that npm is to install.
LASTS = {
    "401": (status("401 No"), "registry-refused"),
    "403": (status("403 No"), "registry-refused"),
    "404": (status("404 No"), "dependency-missing"),
    "410": (status("410 Gone"), "dependency-missing"),
    "204": (status("204 Empty"), "npm"),
    "206": (lambda body, _: head("206 Part", "Content-Length: 9") + body[:9], "npm"),
    "304": (lambda *_: head("304 Same"), "npm"),
    "418": (status("418 Teapot"), "npm"),
    "redirected to http": (status("302 Found", "Location: http://localhost/a"), "npm"),
    "redirected nowhere": (status("302 Found"), "npm"),
    "redirected to a file": (status("302 Found", "Location: file:///etc/passwd"), "npm"),
    "redirected with a password": (status("302 Found", "Location: https://u:p@localhost/a"), "npm"),
    "redirected for ever": (lambda body, _: status("302 Found", f"Location: /{_name(body)}/again.tgz")(), "registry-unreachable"),
    "a length of 2 GiB": (lambda *_: head("200 OK", f"Content-Length: {2 << 30}"), "dependency-unusable"),
    "nothing, ever": (lambda *_: None, "registry-unreachable"),
    "another archive, ever": (lambda body, _: good(flipped(body, 200)), "dependency-altered"),
    "503, ever": (status("503 Later"), "registry-unreachable"),
}  # fmt: skip

# In place of TLS, on the first connections. What is not TLS does not become it.
RAW = {"an internal error": b"\x15\x03\x03\x00\x02\x02\x50", "nothing": b""}
NO_TLS = {"no common cipher": b"\x15\x03\x03\x00\x02\x02\x28", "plain HTTP": b"HTTP/1.1 400 Bad\r\n\r\n", "garbage": b"\0" * 99}


def _name(body):
    return next(name for name, own in ARCHIVES.items() if own == body)


@pytest.fixture(scope="module")
def whole(binary, node, work, tmp_path_factory):
    """The tree of an undisturbed installation."""
    return _run(binary, node, work, tmp_path_factory.mktemp("whole"), None, 0)[1]


def _run(binary, node, work, directory, answer, times, raw=None):
    server = Server(work, answer, times, raw)
    try:
        project(directory / "app")
        return install(str(binary), node, work, directory / "app", server.url), tree(directory / "app")
    finally:
        server.close()


def _all(cases, run):
    """Beside each other: they wait."""
    with ThreadPoolExecutor(12) as pool:
        return dict(zip(cases, pool.map(run, cases.items()), strict=True))


def test_what_passes_is_overcome(binary, node, work, whole, tmp_path):
    def run(case):
        number, (name, answer) = case
        raw = answer if isinstance(answer, bytes) else None
        return _run(binary, node, work, tmp_path / str(number), None if raw is not None else answer, 2, raw)

    cases = {**FOR_A_WHILE, **WELL, **{f"{name}, before TLS": answer for name, answer in RAW.items()}}
    ended = _all(dict(enumerate(cases.items())), run)
    wrong = [f"{name}: {done.stderr}" for name, (done, _) in zip(cases, ended.values(), strict=True) if done.returncode]
    wrong += [f"{name}: {line}" for name, (_, made) in zip(cases, ended.values(), strict=True) for line in list(differences(made, whole))[:2]]
    assert not wrong, "\n".join(wrong)


def test_what_lasts_is_named_and_leaves_nothing_whole(binary, node, work, tmp_path):
    def run(case):
        number, (name, (answer, _)) = case
        return _run(binary, node, work, tmp_path / str(number), answer, 1000)

    ended = _all(dict(enumerate(LASTS.items())), run)
    wrong = []
    for (name, (_, fault)), (done, made) in zip(LASTS.items(), ended.values(), strict=True):
        expected = "npm installs, because" if fault == "npm" else f"the installation failed ({fault}): "
        if expected not in done.stderr or (fault != "npm" and done.returncode != 1):
            wrong.append(f"{name}: {done.returncode}, {done.stderr}")
        # npm begins anew, with an empty node_modules.
        if fault != "npm" and "node_modules/.package-lock.json" in made:
            wrong.append(f"{name}: the tree looks whole")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("raw", NO_TLS.values(), ids=NO_TLS.keys())
def test_a_server_without_tls(binary, node, work, tmp_path, raw):
    done, _ = _run(binary, node, work, tmp_path, None, 1000, raw)
    assert "npm installs, because localhost is not trusted" in done.stderr, done.stderr


def test_a_certificate_that_is_not_trusted(binary, node, work, tmp_path):
    server = Server(work, None, 0)
    project(tmp_path / "app")
    done = install(str(binary), node, work, tmp_path / "app", server.url, cafile="/etc/ssl/certs/ca-certificates.crt")
    server.close()
    assert "npm installs, because localhost is not trusted" in done.stderr, done.stderr
