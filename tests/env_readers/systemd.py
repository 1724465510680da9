"""Reads many EnvironmentFile texts with systemd's own parser, called in its shared library.

Stdin: a JSON list of texts. Stdout: a JSON list; for each text the pairs that a service would get (those
that systemd drops as invalid are not in it), or null where systemd refuses the whole file.
"""
import ctypes
import glob
import json
import sys
import tempfile

LIBRARIES = ["/usr/lib/*/systemd/libsystemd-shared-*.so", "/usr/lib/systemd/libsystemd-shared-*.so",
             "/usr/lib64/systemd/libsystemd-shared-*.so"]
found = [path for pattern in LIBRARIES for path in glob.glob(pattern)]
if not found:
    sys.exit("libsystemd-shared is not here: apt-get install libsystemd-shared")
systemd = ctypes.CDLL(found[0])
systemd.load_env_file.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
systemd.env_assignment_is_valid.argtypes = [ctypes.c_char_p]
systemd.env_assignment_is_valid.restype = ctypes.c_bool


def read(path):
    entries = ctypes.POINTER(ctypes.c_char_p)()
    if systemd.load_env_file(None, path.encode(), ctypes.byref(entries)) < 0:
        return None
    pairs, at = [], 0
    while entries and entries[at] is not None:
        if systemd.env_assignment_is_valid(entries[at]):
            pairs.append(entries[at].decode().split("=", 1))
        at += 1
    return pairs


answers = []
with tempfile.NamedTemporaryFile() as file:
    for text in json.load(sys.stdin):
        file.seek(0)
        file.truncate()
        file.write(text.encode())
        file.flush()
        answers.append(read(file.name))
json.dump(answers, sys.stdout)
