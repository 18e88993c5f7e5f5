#!/bin/sh
# Install the Debian packages behind the missing programs of tools/debian-packages.txt.
#   tools/debian_packages.sh test|bench
# Never fails: what is still missing is named, and the tests that need it are skipped by name.
set -u
purpose=$1
list=$(dirname "$0")/debian-packages.txt
PATH=$PATH:/usr/sbin:/sbin

missing() {
    while read -r program package needed_for; do
        [ "$needed_for" = "$purpose" ] || continue
        command -v "$program" >/dev/null || printf ' %s' "$package"
    done <"$list"
}

packages=$(missing)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing Debian packages:$packages (as root: apt-get install$packages)"
    exit 0
fi

echo "installing Debian packages:$packages"
# The programs are run by hand only, so their services must not start and take port 53.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
log=$(mktemp)
# shellcheck disable=SC2086  # a list of words
if apt-get update -q >"$log" 2>&1 </dev/null \
    && apt-get install -q -y --no-install-recommends $packages >>"$log" 2>&1 </dev/null; then
    rm -f "$log"
else
    grep '^E:' "$log" | head -3
    echo "apt-get failed (all of it: $log); still missing:$(missing)"
fi
exit 0
