#!/usr/bin/env bash
# A real S3 service for the tests: Ceph's object gateway on a cluster of one node whose disk is memory. It has multipart
# uploads, versions, Object Lock and real signature checks, so a test that passes has convinced more than a mock.
#
#   ceph-rgw.sh start DIRECTORY [PORT]   DIRECTORY must not exist or be empty; free ports are found; takes about 12 s.
#                                        Prints the endpoint. Access key "lifeboat", secret key "lifeboat-secret"; and
#                                        a user "guest" (guest, guest-secret), who may what a bucket's policy lets him.
#   ceph-rgw.sh stop DIRECTORY           stops what start started, by process id, and removes DIRECTORY
#
# Exit code 3: programs are missing; the message says how to install them.
set -euo pipefail
export LC_ALL=C

usage() {
  echo 'usage: ceph-rgw.sh start DIRECTORY [PORT] | stop DIRECTORY' >&2
  exit 2
}

require_programs() {
  local missing=() program
  for program in ceph ceph-mon ceph-osd radosgw radosgw-admin ceph-authtool monmaptool curl; do
    command -v "$program" > /dev/null || missing+=("$program")
  done
  if [ ${#missing[@]} -gt 0 ]; then
    echo "S3 for the tests needs: ${missing[*]}. Install it with:" >&2
    echo '  sudo apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common curl' >&2
    echo 'or set LIFEBOAT_TEST_S3 to the endpoint of an S3 service (and AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY).' >&2
    exit 3
  fi
}

# A port that nobody listens on right now (connecting to it must fail), other than the one given.
free_port() {
  local port
  while true; do
    port=$((20000 + RANDOM % 12000))
    [ "$port" != "${1:-}" ] || continue
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || break
  done
  echo "$port"
}

# The storage daemon does not enter itself into the map (CRUSH): on a busy machine it tries that before it knows the
# cluster, is refused ("wrong fsid") and ends. `start_daemons` enters it.
# No manager daemon: it only serves statistics, and costs 300 MB and a busy core. No authentication inside the cluster:
# it listens on the loopback interface alone.
write_configuration() {
  cat > "$directory/ceph.conf" << CONFIGURATION
[global]
fsid = $cluster
mon host = v1:127.0.0.1:$monitor_port
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv6 = false
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
mon allow pool size one = true
mon max pg per osd = 1000
mon data = $directory/mon
osd data = $directory/osd
osd objectstore = memstore
memstore device bytes = 6442450944
keyring = $directory/keyring
run dir = $directory/run
pid file = $directory/run/\$name.pid
admin socket = $directory/run/\$name.asok
log file = $directory/log/\$name.log
rgw frontends = beast endpoint=127.0.0.1:$port
rgw dns name = localhost
CONFIGURATION
}

# A monitor that has only just begun refuses a command now and then (EPERM). Both that it is told can be told twice.
tell_monitor() {
  local attempt
  for attempt in 1 2 3 4 5; do
    timeout 60 ceph -c "$directory/ceph.conf" "$@" && return
    sleep "$attempt"
  done
  return 1
}

# The gateway lives, and it is the one that answers: its port may have been taken by another program meanwhile.
wait_for_gateway() {
  local attempt
  for attempt in {1..180}; do
    if ours "$(cat "$directory/run/client.rgw.a.pid" 2> /dev/null)"; then
      if curl --silent --fail "http://127.0.0.1:$port/" | grep -q ListAllMyBucketsResult; then return; fi
    elif [ "$attempt" -gt 20 ]; then
      break
    fi
    sleep 1
  done
  echo 'the gateway does not answer'
  return 1
}

start_daemons() {
  local configuration=(-c "$directory/ceph.conf") disk user
  # The cluster knows its disk by this id: the storage daemon is refused if it brings another one.
  disk=$(cat /proc/sys/kernel/random/uuid)
  monmaptool --create --fsid "$cluster" --addv a "[v1:127.0.0.1:$monitor_port]" "$directory/monmap"
  ceph-authtool --create-keyring "$directory/keyring" --gen-key -n mon. --cap mon 'allow *'
  ceph-mon "${configuration[@]}" --mkfs -i a --monmap "$directory/monmap" --keyring "$directory/keyring"
  ceph-mon "${configuration[@]}" -i a
  tell_monitor osd create "$disk"
  tell_monitor osd crush add osd.0 1.0 root=default host=lifeboat
  ceph-osd "${configuration[@]}" -i 0 --mkfs --osd-uuid "$disk"
  ceph-osd "${configuration[@]}" -i 0
  radosgw "${configuration[@]}" -n client.rgw.a
  wait_for_gateway
  for user in lifeboat guest; do
    timeout 180 radosgw-admin "${configuration[@]}" user create --uid=$user --display-name=$user \
      --access-key=$user --secret-key=$user-secret
  done
}

start() {
  require_programs
  mkdir -p "$directory"
  if [ -n "$(ls -A "$directory")" ]; then
    echo "$directory is not empty" >&2
    exit 2
  fi
  directory=$(cd "$directory" && pwd)
  # On its own, so that a Ctrl-C does not reach it.
  if [ -n "${CEPH_OWNER:-}" ]; then setsid "$0" guard "$directory" "$CEPH_OWNER" > /dev/null 2>&1 < /dev/null & fi
  local attempt status log
  for attempt in 1 2 3; do
    # In a condition bash would go on after a command that failed.
    set +e
    try_start "$1"
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then
      echo "http://127.0.0.1:$port"
      return
    fi
    log=$(tail -n 20 "$directory/log/start.log")
    # Somebody else may have taken a port between the look and the daemon.
    [ -z "$1" ] && grep -rqs 'Address already in use' "$directory/log" || break
    stop
    mkdir -p "$directory"
  done
  echo 'Ceph did not start:' >&2
  echo "$log" >&2
  stop
  exit 1
}

try_start() {
  mkdir "$directory"/{mon,osd,run,log}
  port=${1:-$(free_port)}
  monitor_port=$(free_port "$port")
  cluster=$(cat /proc/sys/kernel/random/uuid)
  write_configuration
  (
    set -e
    start_daemons
  ) > "$directory/log/start.log" 2>&1
}

# Waits for the end of the owner, or of the service; between two attempts to start it there is no directory.
guard() {
  while kill -0 "$1" 2> /dev/null && { [ -d "$directory" ] || { sleep 5; [ -d "$directory" ]; }; }; do sleep 2; done
  stop
}

# Only processes that still run with this directory's configuration: a process id may have been given to another.
ours() {
  [ -n "$1" ] && tr '\0' ' ' 2> /dev/null < "/proc/$1/cmdline" | grep -qF -- "-c $directory/ceph.conf"
}

stop() {
  [ -f "$directory/ceph.conf" ] || return 0
  directory=$(cd "$directory" && pwd)
  local file pid
  for file in "$directory"/run/*.pid; do
    [ -f "$file" ] || continue
    pid=$(cat "$file")
    # Its disk is memory: there is nothing to save, and an orderly end of the storage daemon takes many seconds.
    if ours "$pid"; then kill -KILL "$pid"; fi
    while ours "$pid"; do sleep 0.05; done
  done
  rm -rf "$directory"
}

[ $# -ge 2 ] || usage
directory=$2
case $1 in
  start) start "${3:-}" ;;
  stop) stop ;;
  guard) guard "$3" ;;
  *) usage ;;
esac
