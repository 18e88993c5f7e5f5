#!/usr/bin/env bash
# Run `make test` again and again while every core is kept busy, and show that no run is red.
#   tools/suite_under_load.sh [RUNS]      ten by default; PYTEST_ARGS='-k name' for a part of the suite
# Prints one line for each run. Exit status 1 when any was red; the output of a red run stays in the file named.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
runs=${1:-10}
case $runs in
'' | *[!0-9]* | 0)
    echo "usage: $0 [RUNS]   (RUNS is a number from 1 on, not \"$runs\")" >&2
    exit 2
    ;;
esac

busy=()
end() {
    [ "${#busy[@]}" -eq 0 ] || kill "${busy[@]}" 2>/dev/null
}
trap end EXIT
trap 'exit 130' HUP INT TERM
for _ in $(seq "$(nproc)"); do
    (trap - EXIT; while :; do :; done) &
    busy+=("$!")
done

folder=$(mktemp -d)
red=0
for run in $(seq "$runs"); do
    log=$folder/run-$run.log
    begun=$SECONDS
    if make --no-print-directory test >"$log" 2>&1; then
        verdict="passed"
    else
        verdict="FAILED, see $log"
        red=$((red + 1))
    fi
    printf 'run %d of %d: %d s, %s, %s\n' "$run" "$runs" $((SECONDS - begun)) "$verdict" \
        "$(tail -n 1 "$log" | tr -d '=' | sed 's/^ *//; s/ *$//')"
done
if [ "$red" -gt 0 ]; then
    echo "$red of $runs runs were red"
    exit 1
fi
rm -rf "$folder"
echo "$runs runs under load, none red"
