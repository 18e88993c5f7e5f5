#!/bin/sh
# Announces the anycast address of this host while its dnsbridge is ready, and withdraws it when it is not: it enables
# and disables BIRD's protocol `anycast` (see anycast.conf beside it). When it ends, the address is withdrawn too.
#
#     anycast.sh [URL]        default: http://127.0.0.1:9153/readyz
#
# $BIRDC is the command that talks to BIRD (default: birdc).

url=${1:-http://127.0.0.1:9153/readyz}

tell() {
    ${BIRDC:-birdc} "$1" anycast | grep '^anycast: [ed]' # what changed; not `already enabled`
}

trap 'tell disable; exit' INT TERM
while :; do
    if curl --silent --fail --noproxy '*' --output /dev/null --max-time 2 "$url"; then
        tell enable
    else
        tell disable
    fi
    sleep 1
done
