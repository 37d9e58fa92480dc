#!/bin/sh
# Makes .venv and installs this project into it, editable: `venv.sh base` or `venv.sh dev`.
# Under CI=true `dev` is `ci`: the same, torch (5.4 GB) and NVIDIA's wheels, whose licence nobody else
# is asked to take.
# Quick when nothing changed: a stamp holds the hash of pyproject.toml.
set -eu

want=${1:?base or dev}
[ "$want" = dev ] && [ "${CI:-}" = true ] && want=ci
python=${PYTHON:-python3}

say() { printf '%s\n' "$*" >&2; }

command -v "$python" >/dev/null 2>&1 || {
  say "$python is not installed: sudo apt-get install python3 python3-venv"
  exit 2
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  say "Python 3.11 or newer is needed; $python is $("$python" -V 2>&1 | cut -d' ' -f2)."
  say "Name another one: make PYTHON=python3.12 ..."
  exit 2
}

hash=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open("pyproject.toml", "rb").read() + sys.version.encode()).hexdigest())')
stamp=".venv/.installed-$want"
for held in "$stamp" .venv/.installed-dev .venv/.installed-ci; do  # each holds those before it
  [ "$want" = ci ] && held=$stamp
  [ -x .venv/bin/ra-daemon ] && [ "$(cat "$held" 2>/dev/null)" = "$hash" ] && exit 0
done

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  "$python" -m venv --clear .venv >/tmp/ra-venv.$$ 2>&1 || {
    cat /tmp/ra-venv.$$ >&2
    rm -f /tmp/ra-venv.$$
    say "A virtual environment could not be made: sudo apt-get install python3-venv"
    exit 2
  }
  rm -f /tmp/ra-venv.$$
fi

target=.
[ "$want" = base ] || target=".[$want]"
say "Installing ra-daemon ($want) into .venv: a few minutes the first time, then instantly."
quiet=.venv/install.log
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --retries 5 \
  -e "$target" >"$quiet" 2>&1; then
  cat "$quiet" >&2
  say "The install failed; pip's messages are above."
  exit 1
fi
printf '%s\n' "$hash" >"$stamp"
