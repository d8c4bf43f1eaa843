#!/usr/bin/env bash
# Stops the cluster that spark_up.sh started, and no other process.
# Usage: spark_down.sh [--locked] [FOLDER], --locked by who holds the folder's lock
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

locked=
if [[ ${1:-} == --locked ]]; then
    locked=1
    shift
fi
folder=${1:-$root/target/spark}
if [[ ! -d $folder/pids ]]; then
    say "Spark is not running"
    exit
fi
folder=$(cd "$folder" && pwd -P)
if [[ -z $locked ]]; then
    exec {lock}>"$folder/lock"
    flock "$lock"
fi

# The server first: its jobs end, and its executors with it.
for role in server worker-2 worker-1 master; do
    process=$(process_of "$folder" "$role") || continue
    kill -TERM "$process" 2>/dev/null || true
    deadline=$((SECONDS + 20))
    while process_of "$folder" "$role" >/dev/null; do
        if ((SECONDS >= deadline)); then
            kill -KILL "$process" 2>/dev/null || true
        fi
        sleep 0.1
    done
done
rm -rf "$folder"/{pids,remote,local,work,warehouse}
say "Spark is stopped"
