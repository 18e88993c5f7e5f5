"""A host whose programs see more files of their own than ip-netns(8) gives them: in /etc, and all of /run.

    files = OwnFiles(host, folder)
    files.write("nsswitch.conf", "hosts: files resolve dns\n")
    files.user("avahi")

Every command of the host from then on has them, and finds libraries that are only unpacked (tools/debian-packages.txt),
also those that the C library loads for nsswitch.conf(5). The machine's own files stay as they are.
"""

from pathlib import Path

from tests.support.namespace import FILES, Namespace

UNPACKED = Path(__file__).parent.parent.parent / ".debian"
"""Where tools/debian_packages.sh puts them."""
_MOUNT = 'mount -t overlay overlay -o lowerdir="$1":/etc /etc; mount --bind "$2" /run; shift 2; exec "$@"'


class OwnFiles:
    """The files; they last as long as the folder."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self._etc, self._run = folder / "etc", folder / "run"
        for made in (self._etc, self._run):
            made.mkdir(parents=True)
        for file in (FILES / host.name).iterdir():
            self.write(file.name, file.read_text(encoding="utf-8"))
        libraries = ["env", f"LD_LIBRARY_PATH={UNPACKED}"]
        mounted = ["unshare", "--mount", "sh", "-ec", _MOUNT, "sh", str(self._etc), str(self._run)]
        host.prefix = [*host.prefix, *libraries, *mounted]

    def write(self, name: str, text: str) -> None:
        """A file below /etc, for the commands to come."""
        file = self._etc / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def user(self, name: str) -> None:
        """A user that daemons become, and its group."""
        number = 900
        for file, line in (("passwd", f"{name}:x:{number}:{number}::/:/bin/false"), ("group", f"{name}:x:{number}:")):
            before = Path("/etc", file).read_text(encoding="utf-8").splitlines()
            others = [each for each in before if not each.startswith(f"{name}:")]
            self.write(file, "\n".join([*others, line, ""]))
