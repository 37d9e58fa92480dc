#!/bin/sh
# Writes the two secret files that compose.yaml mounts; keeps a password that exists. A mounted file
# has the owner that it has here, and each service reads its own as its user: run this as root.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
[ -s secrets/database_password ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >secrets/database_password
password=$(cat secrets/database_password)
printf 'database:5432:radaemon:radaemon:%s\n' "$password" >secrets/pgpass
chmod 0600 secrets/database_password secrets/pgpass
# The users of the services "database" and "ra-daemon".
if ! { chown 999:999 secrets/database_password && chown 10001:10001 secrets/pgpass; } 2>/dev/null; then
  echo "The services cannot read these files yet. Run: sudo sh $PWD/make-secrets.sh" >&2
  exit 1
fi
