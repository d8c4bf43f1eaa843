#!/usr/bin/env bash
# Makes machines out of Linux namespaces: each has its own address, host name, /tmp and /dev/shm, reads the
# given folders, even those below /tmp, and writes nowhere that another machine sees. A bridge connects
# them.
# Usage: machines.sh FOLDER... -- NAME...
#
# It is started as the first process of user, mount, network and PID namespaces of its own (mod.rs), so
# that everything ends with it, and it ends with its standard input. There it reads commands, in the
# shell's quoting, and says "done" after each:
#   run NAME LOG COMMAND...   starts a command on a machine; its status goes to LOG.status
#   cut NAME, mend NAME       pulls the machine's cable, and puts it back
#   deaf NAME OTHER           loses everything that a machine sends to another
set -euo pipefail
folders=()
while [[ $1 != -- ]]; do
    folders+=("$1")
    shift
done
shift
declare -A address holder

# The machines' /tmp would hide folders below it.
mount -t tmpfs tmpfs /mnt
for index in "${!folders[@]}"; do
    mkdir "/mnt/$index"
    mount --bind "${folders[index]}" "/mnt/$index"
done
ip link set lo up
ip link add switch type bridge
ip link set switch up

number=0
for name in "$@"; do
    number=$((number + 1))
    address[$name]=10.77.0.$number
    printf '10.77.0.%d %s\n' $number "$name" >>/mnt/hosts
done
printf '127.0.0.1 localhost\n' >>/mnt/hosts

# What a machine does at its start; it lives as long as this process. Usage: ADDRESS NAME FOLDER...
start=$(
    cat <<'START'
set -euo pipefail
hostname "$2"
ip link set lo up
until ip link show port0 >/dev/null 2>&1; do sleep 0.05; done
ip address add "$1/24" dev port0
ip link set port0 up
mount -o remount,bind,ro /
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
number=0
for folder in "${@:3}"; do
    # A folder below one that came before is there.
    if [[ ! -d $folder ]]; then
        mkdir -p "$folder"
        mount --bind "/mnt/$number" "$folder"
        mount -o remount,bind,ro "$folder"
    fi
    number=$((number + 1))
done
mount --bind /mnt/hosts /etc/hosts
mount -t tmpfs -o ro tmpfs /mnt
touch /tmp/ready
exec sleep infinity
START
)

for name in "$@"; do
    unshare --net --mount --uts bash -c "$start" bash "${address[$name]}" "$name" "${folders[@]}" \
        </dev/null &
    holder[$name]=$!
    # In the machine, the cable ends at port0.
    ip link add "to-$name" type veth peer name "from-$name"
    # The process has its namespace a moment after its start.
    until [[ $(readlink "/proc/$!/ns/net") != $(readlink /proc/self/ns/net) ]]; do
        kill -0 $!
        sleep 0.02
    done
    ip link set "from-$name" netns $! name port0
    ip link set "to-$name" master switch up
done
for name in "$@"; do
    until [[ -e /proc/${holder[$name]}/root/tmp/ready ]]; do
        kill -0 "${holder[$name]}"
        sleep 0.05
    done
    printf '%s %s\n' "$name" "${address[$name]}"
done
echo ready

enter() {
    nsenter --target "${holder[$1]}" --net --mount --uts "${@:2}"
}

while IFS= read -r line; do
    eval "set -- $line"
    case $1 in
    run)
        (
            log=$3
            enter "$2" sh -c 'cd /tmp && exec "$@"' sh "${@:4}" >"$log" 2>&1 </dev/null && status=0 || status=$?
            printf '%s\n' $status >"$log.new" && mv "$log.new" "$log.status"
        ) >/dev/null </dev/null &
        ;;
    cut) ip link set "to-$2" down ;;
    mend) ip link set "to-$2" up ;;
    deaf) enter "$2" ip neighbour replace "${address[$3]}" lladdr 02:00:00:00:00:01 dev port0 nud permanent ;;
    esac
    echo done
done
