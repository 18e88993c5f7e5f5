"""A root of all names that is signed, and has none but its own: below it nothing is a name, `.local` included.

text, key = signed_root(folder)     a master file, and its DS record in presentation form
"""

import subprocess
from pathlib import Path

from tests.support.waiting import DEADLINE

_ZONE = ". 3600 SOA a.root. hostmaster.root. 1 3600 600 86400 3600\n. 3600 NS a.root.\na.root. 3600 A {}\n"


def signed_root(folder: Path, server: str) -> tuple[str, str]:
    """The zone, whose only server has this address, and its key; the folder is made."""
    folder.mkdir(parents=True)
    (folder / "root").write_text(_ZONE.format(server), encoding="utf-8")
    key = _run(folder, "ldns-keygen", "-a", "ED25519", "-k", ".").strip()
    _run(folder, "ldns-signzone", "-o", ".", "-f", "signed", "root", key)
    owner, *rest = (folder / f"{key}.ds").read_text(encoding="utf-8").split()
    return (folder / "signed").read_text(encoding="utf-8"), " ".join([owner, *rest[rest.index("DS") :]])


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
