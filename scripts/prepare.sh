#!/usr/bin/env bash
# Sees to it that the programs are there that the demo or the tests need:
#
#   scripts/prepare.sh --for demo            a PostgreSQL server, any major
#   scripts/prepare.sh --for test            also age, zstd, openssl, pgbouncer and Ceph; with CI=true PostgreSQL 15, 17, 18
#   scripts/prepare.sh --for test --install  installs what is missing; as root and with CI=true that needs no telling
#
# For Debian and Ubuntu. What is installed is named. No service is started and no database cluster made. Where nothing
# is missing it says nothing and is done at once. Exit code 1: something is missing, and the last line says what to run.
set -euo pipefail

usage='usage: prepare.sh --for demo|test [--install]'
here=$(cd "$(dirname "$0")" && pwd)
level='' install=no
while [ $# -gt 0 ]; do
  case $1 in
    --for) level=${2:-} && shift ;;
    --install) install=yes ;;
    *) echo "$usage" >&2 && exit 2 ;;
  esac
  shift
done
case $level in demo | test) ;; *) echo "$usage" >&2 && exit 2 ;; esac

root=no
[ "$(id -u)" -ne 0 ] || root=yes
[ "$root" = no ] && [ "${CI:-}" != true ] || install=yes
if [ "$root" = yes ]; then cache=/var/cache/pg-lifeboat; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/pg-lifeboat; fi
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'prepare: %s\n' "$*"; }
fail() { printf 'prepare: %s\n' "$*" >&2 && exit 1; }

as_root() {
  if [ "$root" = yes ]; then
    "$@"
  elif [ "${CI:-}" = true ]; then
    sudo -n "$@"
  else
    sudo "$@"
  fi
}

# Looks where the tests and the actions look. Without an argument: for a server of any major.
has_postgres() {
  local directory bin
  IFS=: read -r -a directories <<< "${LIFEBOAT_POSTGRES_DIRS:-}"
  for directory in "${directories[@]}" /usr/lib/postgresql "$cache/postgres"; do
    [ -n "$directory" ] || continue
    for bin in "$directory"/${1:-*}/bin; do
      [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] && [ -x "$bin/pg_dump" ] && return 0
    done
  done
  return 1
}

# Sets `packages` to the Debian packages of the programs that are not there.
find_missing() {
  local pair programs=()
  packages=()
  has_postgres || packages+=(postgresql postgresql-client)
  [ "$level" = demo ] && return
  programs=(age:age zstd:zstd tar:tar openssl:openssl pgbouncer:pgbouncer)
  if [ -z "${LIFEBOAT_TEST_S3:-}" ]; then
    programs+=(ceph-mon:ceph-mon ceph-osd:ceph-osd radosgw:radosgw ceph:ceph-common curl:curl)
  fi
  for pair in "${programs[@]}"; do
    command -v "${pair%%:*}" > /dev/null || packages+=("${pair#*:}")
  done
}

# Sets `majors` to those that a machine which calls itself CI must have, and has not.
find_missing_majors() {
  local major
  majors=()
  [ "$level" = test ] && [ "${CI:-}" = true ] || return 0
  for major in 15 17 18; do
    has_postgres "$major" || majors+=("$major")
  done
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 NEEDRESTART_SUSPEND=1 \
    apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold "$@"
}

# Once a day is enough: a security fix is seldom older than the lists of a fresh machine.
refresh_lists() {
  local stamp=$cache/lists-refreshed
  [ -z "$(find "$stamp" -mmin -1440 2> /dev/null)" ] || return 0
  say 'refreshing the package lists'
  if apt update > "$log" 2>&1; then
    mkdir -p "$cache" && touch "$stamp"
    refreshed=yes
  else
    say "could not refresh the package lists: $(tail -n 1 "$log")"
  fi
}

# Packages bring services and, with PostgreSQL, a database cluster: neither is wanted here. What is put aside for that
# is put back by `restore_settings`.
hold_services() {
  local cluster=/etc/postgresql-common/createcluster.conf policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" > /dev/null
    as_root chmod 755 "$policy"
    undo+=("rm -f $policy")
  fi
  if [ ! -e "$cluster" ]; then
    as_root mkdir -p "${cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee "$cluster" > /dev/null
  elif ! grep -Eq '^ *create_main_cluster *=' "$cluster"; then
    as_root cp -p "$cluster" "$cluster.before-prepare"
    echo 'create_main_cluster = false' | as_root tee -a "$cluster" > /dev/null
    undo+=("mv $cluster.before-prepare $cluster")
  fi
}

restore_settings() {
  local command
  # shellcheck disable=SC2086 # the commands above: their words hold no blanks
  for command in "${undo[@]}"; do as_root $command; done
  undo=()
}

install_packages() {
  say "installing $*"
  hold_services
  if ! apt install --yes --no-install-recommends "$@" > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    fail "apt-get could not install: $*"
  fi
  restore_settings
}

# An old minor release has holes that are known. Only on machines that are there for this: an upgrade is no small thing.
upgrade_postgres() {
  [ "${CI:-}" = true ] && [ "$refreshed" = yes ] || return 0
  local old
  # shellcheck disable=SC2046 # one argument a package
  old=$(apt install --simulate --only-upgrade $(installed_postgres) 2> /dev/null | awk '/^Inst/ { print $2 }' | sort -u)
  # shellcheck disable=SC2086 # one argument a package
  [ -z "$old" ] || install_packages --only-upgrade $old
}

installed_postgres() {
  dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'postgresql-[0-9]*' 'postgresql-client-[0-9]*' libpq5 2> /dev/null |
    awk '$1 == "installed" { print $2 }'
}

install_majors() {
  local major
  if [ "$(. /etc/os-release && echo "${ID:-}")" = ubuntu ]; then
    install_packages postgresql-common
    as_root /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y > "$log" 2>&1 || fail "$(tail -n 3 "$log")"
    install_packages "${majors[@]/#/postgresql-}"
    return
  fi
  for major in "${majors[@]}"; do
    say "unpacking PostgreSQL $major into $cache/postgres"
    "$here/unpack-postgres.sh" "$major" "$cache/postgres" > "$log" 2>&1 || fail "$(tail -n 3 "$log")"
  done
}

undo=() refreshed=no
log=$(mktemp)
trap 'restore_settings; rm -f "$log"' EXIT

find_missing
find_missing_majors
if [ "$install" = no ]; then
  [ ${#packages[@]} -gt 0 ] || exit 0
  command -v apt-get > /dev/null || fail "install these, or what holds the same programs: ${packages[*]}"
  say "missing on this machine: ${packages[*]}" >&2
  fail "to install them, run: scripts/prepare.sh --for $level --install   (asks for sudo)"
fi
if [ ${#packages[@]} -gt 0 ] || [ "${CI:-}" = true ]; then
  command -v apt-get > /dev/null || fail "install these, or what holds the same programs: ${packages[*]}"
  [ "$root" = yes ] || command -v sudo > /dev/null || fail "as root, run: apt-get install ${packages[*]}"
  refresh_lists
fi
[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
upgrade_postgres
[ ${#majors[@]} -eq 0 ] || install_majors
find_missing
[ ${#packages[@]} -eq 0 ] || fail "still missing after the installation: ${packages[*]}"
