#!/bin/sh
# Writes the two secret files that compose.yaml mounts; keeps those that exist.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
[ -s secrets/database_password ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >secrets/database_password
printf 'database:5432:radaemon:radaemon:%s\n' "$(cat secrets/database_password)" >secrets/pgpass
# The database driver takes a password file only from its owner; without root, hand it over yourself.
chown 10001:10001 secrets/pgpass 2>/dev/null || echo "run: sudo chown 10001 deploy/compose/secrets/pgpass" >&2
