#!/bin/sh
# Runs the lines of /nsx/plan, each `root MODULE` or `user MODULE`, and says how it went; tests/suite/harness/report.rs reads that.
exec >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 -opost
# A module that hangs shall not take the others along: the slowest takes half a minute.
suite="env NSX_TEST_PLACE=$NSX_TEST_PLACE NSX_TEST_STRICT=1 NSX_TEST_BINARY=/usr/bin/nsx timeout -k 5 120 /nsx/suite --color never"

# An ordinary user: in a plain machine just other credentials, below systemd somebody who has logged in.
as_user() {
    if [ "$NSX_TEST_PLACE" = systemd ]; then
        su --login user -c "cd /tmp && exec $1"
    else
        # shellcheck disable=SC2086  # its words
        setpriv --reuid=1000 --regid=1000 --clear-groups --inh-caps=-all $1
    fi
}

now() {
    cut -d' ' -f1 /proc/uptime
}

cd /tmp || exit
echo "@boot $(uname -r)"
while read -r who module; do
    # The name of a module stands for the tests whose names begin with it.
    case $module in
    *::*) filter=$module ;;
    *) filter=$module:: ;;
    esac
    echo "@begin $who $module"
    $suite --list "$filter" | sed -n 's/^\(.*\): test$/@test \1/p'
    begin=$(now)
    # Standard error comes afterwards, so that it tears no line apart.
    case $who in
    root) $suite "$filter" ;;
    user) as_user "$suite $filter" ;;
    esac </dev/null 2>/tmp/stderr
    code=$?
    cat /tmp/stderr
    echo "@end $who $module $code $(echo "$begin $(now)" | awk '{ print $2 - $1 }')"
done </nsx/plan
echo "@done"
