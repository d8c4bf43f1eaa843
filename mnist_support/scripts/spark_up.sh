#!/usr/bin/env bash
# Starts a Spark cluster on this machine: a master, two workers of one core, a Connect server. Prints
# the line that points a shell at it; all else goes to standard error, so that
# eval "$(make --silent spark-up)" works.
# Usage: spark_up.sh [FOLDER [NAME=VALUE...]]
#   FOLDER       where pids, logs and the cluster's files go, target/spark by default
#   NAME=VALUE   settings of the server, as in spark-defaults.conf
#
# Everything listens on loopback, on ports that are free.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=${1:-$root/target/spark}
settings=()
for setting in "${@:2}"; do
    settings+=(--conf "$setting")
done
cores=1
workers=2

mkdir -p "$folder"
folder=$(cd "$folder" && pwd -P)
exec {lock}>"$folder/lock"
flock "$lock"

answer() {
    printf 'export SPARK_REMOTE=%s\n' "$(<"$folder/remote")"
}

alive() {
    local role
    for role in master $(seq -f 'worker-%g' $workers) server; do
        process_of "$folder" "$role" >/dev/null || return 1
    done
}

if [[ -e $folder/remote ]] && alive; then
    say "Spark is up" >&2
    answer
    exit
fi
if [[ -d $folder/pids ]]; then
    "$scripts/spark_down.sh" --locked "$folder" >&2
fi

JAVA_HOME=$("$scripts/java.sh")
python=$spark/bin/python
[[ -x $python ]] || fail "Spark is not installed: run 'make spark-up' in $root."
SPARK_HOME=$("$python" -c \
    'import importlib.util; print(importlib.util.find_spec("pyspark").submodule_search_locations[0])')
export JAVA_HOME SPARK_HOME
# The user's own Spark must not be mixed with this one.
unset SPARK_REMOTE SPARK_CONNECT_MODE SPARK_DAEMON_MEMORY SPARK_DAEMON_JAVA_OPTS SPARK_MASTER_OPTS
unset SPARK_WORKER_OPTS PYTHONPATH PYTHONHOME
export SPARK_CONF_DIR=$folder/conf
export SPARK_LOCAL_IP=127.0.0.1
export SPARK_LOCAL_DIRS=$folder/local
export SPARK_WORKER_DIR=$folder/work
# Another one for the executors, if make's SPARK_PYTHON names it.
export PYSPARK_PYTHON=${MNIST_SPARK_PYTHON:-$python}
# Where executors find libtorch: they have no torch package of their own here.
export MNIST_LIBTORCH=${MNIST_LIBTORCH:-$root/target/$triple/debug/libtorch/lib}
rm -rf "$folder"/{pids,logs,conf,local,work,remote}
mkdir -p "$folder"/{pids,logs,conf,local,work}
cat >"$folder/conf/spark-defaults.conf" <<CONF
spark.master.rest.enabled false
spark.ui.enabled false
spark.driver.memory 1g
spark.driver.host 127.0.0.1
spark.driver.bindAddress 127.0.0.1
spark.executor.memory 1g
spark.executor.cores $cores
spark.sql.warehouse.dir $folder/warehouse
spark.connect.grpc.binding.address 127.0.0.1
spark.connect.grpc.binding.port 0
CONF

# Starts a command in a session of its own, and notes it under a name.
start() {
    local role=$1
    shift
    # Before the process exists: whoever waits for it reads this file at once.
    : >"$folder/logs/$role.log"
    (
        # A daemon must not hold the lock, nor keep a pipe open that a caller reads to its end.
        exec {lock}>&-
        cd "$folder"
        exec setsid "$@" >>"$folder/logs/$role.log" 2>&1 </dev/null
    ) &
    printf '%s\n' $! >"$folder/pids/$role"
}

# Waits until a line of a log matches, and prints what the pattern's group caught.
await() {
    local role=$1 pattern=$2 deadline=$((SECONDS + 120)) caught
    while ((SECONDS < deadline)); do
        caught=$(sed -nE "\\#$pattern#{s#.*$pattern.*#\1#p;q}" "$folder/logs/$role.log")
        if [[ -n $caught ]]; then
            printf '%s\n' "$caught"
            return
        fi
        [[ -d /proc/$(<"$folder/pids/$role") ]] || break
        sleep 0.2
    done
    tail -n 20 "$folder/logs/$role.log" >&2
    "$scripts/spark_down.sh" --locked "$folder" >&2
    fail "Spark's $role did not start; above are the last lines of $folder/logs/$role.log."
}

say "Starting Spark $SPARK_VERSION (about 15 s)" >&2
class=org.apache.spark.deploy
start master "$SPARK_HOME/bin/spark-class" $class.master.Master \
    --host 127.0.0.1 --port 0 --webui-port 0
master=$(await master 'Starting Spark master at (spark://[0-9.]+:[0-9]+)')
for number in $(seq $workers); do
    start "worker-$number" "$SPARK_HOME/bin/spark-class" $class.worker.Worker \
        --host 127.0.0.1 --port 0 --webui-port 0 --cores $cores --memory 2g "$master"
done
for number in $(seq $workers); do
    await "worker-$number" '(Successfully registered) with master' >/dev/null
done
start server "$SPARK_HOME/bin/spark-submit" \
    --class org.apache.spark.sql.connect.service.SparkConnectServer \
    --name mnist-notebooks --master "$master" "${settings[@]}" spark-internal
port=$(await server 'Spark Connect server started at: .*:([0-9]+)')
printf 'sc://127.0.0.1:%s\n' "$port" >"$folder/remote"
say "Spark is up: its logs are in $folder/logs, 'make spark-down' stops it" >&2
answer
