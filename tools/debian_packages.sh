#!/bin/sh
# Install the Debian packages behind the missing programs of tools/debian-packages.txt.
#   tools/debian_packages.sh test|bench
# For tests it also unpacks files into .debian, of packages that are not to be installed (see the list).
# Never fails: what is still missing is named, and the tests that need it are skipped by name.
set -u
purpose=$1
list=$(dirname "$0")/debian-packages.txt
unpacked=$(dirname "$0")/../.debian
PATH=$PATH:/usr/sbin:/sbin:/usr/lib/frr

missing() {
    while read -r program package needed_for; do
        [ "$needed_for" = "$purpose" ] || continue
        command -v "$program" >/dev/null || printf ' %s' "$package"
    done <"$list"
}

log=$(mktemp)

# Quietly run a command, keeping what it says.
logged() {
    "$@" >>"$log" 2>&1 </dev/null
}

to_unpack() {
    while read -r program package needed_for; do
        [ "$needed_for" = unpack ] && [ ! -e "$unpacked/$program" ] && echo "$program $package"
    done <"$list"
}

# Put one file of each package into a folder; the package's scripts do not run.
unpack() {
    mkdir -p "$unpacked"
    scratch=$(mktemp -d)
    logged apt-get update -q
    to_unpack | while read -r program package; do
        (cd "$scratch" && logged apt-get download "$package" && dpkg -x "$package"_*.deb "$package")
        find "$scratch/$package" -name "$program" -exec cp -L {} "$unpacked/$program" ';' 2>>"$log"
        chmod 755 "$unpacked/$program" 2>>"$log" || echo "not unpacked: $program of the Debian package $package ($log)"
    done
    rm -rf "$scratch"
}

if [ "$purpose" = test ] && command -v apt-get >/dev/null && [ -n "$(to_unpack)" ]; then
    echo "unpacking files of Debian packages into .debian"
    unpack
fi

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

install() {
    logged apt-get install -q -y --no-install-recommends "$@"
}

# One package that clashes with what is installed makes apt-get leave all others unpacked but not configured.
one_by_one() {
    logged dpkg --configure -a
    failed=0
    for package in $packages; do
        install "$package" || failed=1
    done
    return "$failed"
}

logged dpkg --configure -a # what an earlier run, ended half-way, has left
# shellcheck disable=SC2086  # a list of words
if logged apt-get update -q && { install $packages || one_by_one; }; then
    rm -f "$log"
else
    grep '^E:' "$log" | head -3
    echo "apt-get failed (all of it: $log); still missing:$(missing)"
fi
exit 0
