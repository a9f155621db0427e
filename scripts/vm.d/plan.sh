#!/bin/sh
# Runs the lines of /nsx/plan, each `root MODULE` or `user MODULE`, and says how it went; tests/suite/harness/report.rs reads that.
stty -F /dev/ttyS1 -opost
export NSX_TEST_STRICT=1 NSX_TEST_BINARY=/usr/bin/nsx

# An ordinary user: in a plain machine just other credentials, below systemd somebody who has logged in.
as_user() {
    if [ "$NSX_TEST_PLACE" = systemd ]; then
        systemd-run --quiet --wait --pipe --collect --service-type=exec -p User=user -p PAMName=login -p WorkingDirectory=/tmp \
            -E NSX_TEST_PLACE -E NSX_TEST_STRICT -E NSX_TEST_BINARY -E PATH "$@"
    else
        setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all "$@"
    fi
}

now() {
    cut -d' ' -f1 /proc/uptime
}

echo "@boot $(uname -r)"
while read -r who module; do
    echo "@begin $who $module"
    begin=$(now)
    # Standard error comes afterwards, so that it tears no line apart.
    case $who in
    root) /nsx/suite --color never "$module" ;;
    user) as_user /nsx/suite --color never "$module" ;;
    esac </dev/null 2>/tmp/stderr
    code=$?
    cat /tmp/stderr
    echo "@end $who $module $code $(echo "$begin $(now)" | awk '{ print $2 - $1 }')"
done </nsx/plan
echo "@done"
