#!/bin/sh
# Make the virtual environment that every make target runs in.
#   tools/make_venv.sh FOLDER      PYTHON=python3.12 picks another interpreter
set -eu
venv=$1
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "dnsbridge needs Python 3.11 or later, and $python is not; name one: make PYTHON=python3.12" >&2
    exit 1
fi
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    echo "making $venv"
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >/dev/null; then
        echo "$python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "installing dnsbridge and its tools into $venv (pinned by constraints.txt)"
"$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
