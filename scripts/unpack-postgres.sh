#!/usr/bin/env bash
# Unpacks one PostgreSQL major (server, client tools, contrib) from Debian's archive into DIR/MAJOR, without root
# and without touching installed packages:
#
#   scripts/unpack-postgres.sh 17 "$HOME/.cache/pg-lifeboat/postgres"
#   "$HOME/.cache/pg-lifeboat/postgres/17/bin/pg_dump" --version
#
# For Debian 12 and newer. apt verifies the packages against Debian's archive key, as for any installation. A newer
# suite's programs need a newer C library than this machine's, therefore each tool becomes a two-line wrapper that runs
# it under the loader that was unpacked with it. What is unpacked holds absolute paths: do not move it.
set -euo pipefail
umask 022 # the server's user, often another one, must be able to read everything

fail() {
  printf 'unpack-postgres: %s\n' "$1" >&2
  exit "${2:-1}"
}

usage='usage: unpack-postgres.sh MAJOR DIR'
major=${1:?$usage}
dir=${2:?$usage}

# The Debian suite that carries each major.
case $major in
  13) suite=bullseye ;;
  15) suite=bookworm ;;
  17) suite=trixie ;;
  18) suite=sid ;;
  *) fail "no Debian suite is known to carry PostgreSQL $major; known are 13, 15, 17 and 18" 2 ;;
esac

# Prints the URI of the first binary source for which `wanted` (an awk condition on `suite`) holds.
source_uri() {
  local wanted=$1 file
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    [ -r "$file" ] || continue
    awk '
      function consider(uri, suite) { if (!printed && ('"$wanted"')) { print uri; printed = 1 } }
      /^#/ { next }
      /^URIs:/ { uri = $2 }
      /^Suites:/ { consider(uri, $2) }
      /^deb[ \t]/ { sub(/\[[^]]*\]/, ""); consider($2, $3) }
    ' "$file"
  done | head -n 1
}

check_machine() {
  local id
  id=$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}") || id=
  [ "$id" = debian ] || fail "this machine is not Debian; install PostgreSQL $major from its packages instead, for instance on Ubuntu:
  sudo /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && sudo apt-get install -y postgresql-$major"
  for tool in apt-get dpkg flock awk; do
    command -v "$tool" >/dev/null || fail "the command $tool is needed and missing"
  done
  uri=$(source_uri 'suite !~ /-security/')
  [ -n "$uri" ] || fail 'no Debian source is named in /etc/apt/sources.list.d/debian.sources or /etc/apt/sources.list'
  security_uri=$(source_uri 'suite ~ /-security/')
}

stanza() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' "$1" "$2" "$keyring"
}

# apt with lists, cache and package status of its own: nothing is installed as far as it can see.
private_apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$state/debian.sources" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::Lists="$state/lists" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
    -o APT::Sandbox::User= -o APT::Architecture="$(dpkg --print-architecture)" "$@"
}

# The server's whole closure, less what only maintainer scripts need (they are never run here).
needed_packages() {
  private_apt install --simulate --no-install-recommends "postgresql-$major" "postgresql-client-$major" |
    awk '/^Inst/ { print $2 }' |
    grep -Evx 'perl|perl-.*|libperl.*|systemd.*|dpkg|tar|adduser|passwd|debconf|init-system-helpers|base-files|bash|coreutils|util-linux|mount|login.*|sysvinit-utils|ssl-cert|postgresql-common.*|postgresql-client-common|openssl|ucf|sensible-utils|netbase|locales'
}

download() {
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial" "$state/debs"
  : >"$state/status"
  stanza "$uri" "$suite" >"$state/debian.sources"
  if [ "$suite" != sid ] && [ -n "$security_uri" ]; then
    stanza "$security_uri" "$suite-security" >>"$state/debian.sources"
  fi
  private_apt update
  local packages
  packages=$(needed_packages)
  # shellcheck disable=SC2086 # one argument a package
  (cd "$state/debs" && private_apt download $packages)
}

# Replaces each tool by a wrapper that names its final place; --argv0 makes the tool find its share directory there.
wrap_tools() {
  local root=$1/root final=$home/root triplet loader libraries tools tool name
  triplet=$(uname -m)-linux-gnu
  loader=$(find "$root" -name 'ld-linux-*.so.*' -type f -printf '%P\n' -quit)
  [ -n "$loader" ] || fail 'no program loader among the unpacked packages'
  tools=usr/lib/postgresql/$major/bin
  libraries=$final/usr/lib/$triplet:$final/lib/$triplet:$final/usr/lib/postgresql/$major/lib
  mv "$root/$tools" "$root/$tools.real"
  mkdir "$root/$tools"
  for tool in "$root/$tools.real"/*; do
    name=${tool##*/}
    printf '#!/bin/sh\nexec "%s" --library-path "%s" --argv0 "%s" "%s" "$@"\n' \
      "$final/$loader" "$libraries" "$final/$tools/$name" "$final/$tools.real/$name" >"$root/$tools/$name"
    chmod 755 "$root/$tools/$name"
  done
  ln -s "root/$tools" "$1/bin"
}

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
home=$dir/$major

check_present() {
  [ -x "$home/bin/postgres" ] || return 1
  "$home/bin/pg_dump" --version
}

check_present && exit 0
check_machine

# Two at once: the second waits, and then finds the work done.
exec 9>"$dir/.unpack-$major.lock"
flock 9
check_present && exit 0

state=$(mktemp -d)
fresh=$dir/.unpack-$major.$$
trap 'rm -rf "$state" "$fresh"' EXIT
download
mkdir -p "$fresh/root"
for deb in "$state"/debs/*.deb; do dpkg -x "$deb" "$fresh/root"; done
wrap_tools "$fresh"
chmod -R a+rX "$fresh"
rm -rf "$home"
mv "$fresh" "$home"
check_present || fail "the unpacked tools of PostgreSQL $major do not run on this machine"
