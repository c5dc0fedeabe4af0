#!/bin/sh
# Print the path of a working Python 3.12 or newer, or fail with one sentence.
# Each candidate is run, because a shim on the PATH may exist and fail.
set -u

works() {
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1
}

try() {
    if works "$1"; then
        # The real executable, so that the environment does not depend on a shim.
        "$1" -c 'import sys; print(sys.executable)'
        exit 0
    fi
}

if [ -n "${PYTHON:-}" ]; then
    try "$PYTHON"
    echo "PYTHON=$PYTHON is not a Python 3.12 or newer with venv and ensurepip." >&2
    exit 2
fi
for name in python3.12 python3.13 python3 python; do
    try "$name"
done
for root in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv" /opt/pyenv; do
    for path in "$root"/versions/3.12.*/bin/python "$root"/versions/3.13.*/bin/python; do
        [ -x "$path" ] && try "$path"
    done
done
for path in /usr/bin/python3.12 /usr/bin/python3.13 /usr/local/bin/python3.12 /opt/python/*/bin/python; do
    [ -x "$path" ] && try "$path"
done
echo "perfkit needs Python 3.12 or newer, and none was found: install it, or set PYTHON=/path/to/python." >&2
exit 2
