#!/bin/sh
# The real peers that tests talk to, as Debian packages: installed when root on Debian or Ubuntu,
# else the command is printed (the tests that need them are then skipped, each with its reason).
set -eu

packages="chromium dcmtk dicom3tools orthanc pixelmed-apps default-jre-headless postgresql systemd"

missing=
for package in $packages; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "Peers of the tests that are not installed; on Debian or Ubuntu:" >&2
  echo "  sudo apt-get install --no-install-recommends$missing" >&2
  exit 0
fi

echo "Installing Debian packages:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
export RUNLEVEL=1  # the tests start their own servers; no service is started here
for try in 1 2 3; do
  # shellcheck disable=SC2086 # a list of words
  if apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/tmp/ra-peers.log 2>&1; then
    exit 0
  fi
  echo "apt-get failed (try $try of 3)" >&2
  sleep 5
done
tail -20 /tmp/ra-peers.log >&2
exit 1
