#!/bin/sh
# Make sure that this machine has the system packages that `make` needs.
#
#     tests/system_packages.sh PYTHON NEED...
#
# PYTHON is the interpreter. A NEED is one of
#
#     venv       PYTHON can create virtual environments;
#     compiler   C++ extensions for PYTHON can be compiled, as openpifpaf's is;
#     browser    Chromium and its driver are installed: the tests open the HTML report.
#
# As root, or with a sudo that asks for no password, the script installs what is missing with
# apt-get. Otherwise it prints one line that says what is missing and how to get it, and fails.
set -eu

python=$1
shift

is_met() {
    case $1 in
    venv) "$python" -c 'import ensurepip, venv' ;;
    compiler)
        command -v g++ && "$python" -c '
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").exists())'
        ;;
    browser)
        command -v chromedriver && { command -v chromium || command -v google-chrome; }
        ;;
    *) false ;;
    esac >/dev/null 2>&1
}

packages_for() {
    case $1 in
    venv) echo python3-venv ;;
    compiler) echo g++ python3-dev ;;
    browser) echo chromium chromium-driver ;;
    *) echo "unknown-need-$1" ;;
    esac
}

# The packages for every need that is not met, on one line.
missing_packages() {
    for need in "$@"; do
        is_met "$need" || packages_for "$need"
    done | xargs
}

fail() {
    echo "error: $1" >&2
    exit 1
}

packages=$(missing_packages "$@")
[ -n "$packages" ] || exit 0

by_hand="missing system packages; run: sudo apt-get install $packages"
command -v apt-get >/dev/null || fail "missing system packages, by Debian's names: $packages"
if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif sudo -n true 2>/dev/null; then
    as_root=sudo
else
    fail "$by_hand"
fi

echo "installing system packages: $packages"
# shellcheck disable=SC2086  # Both variables hold words to be split.
{
    $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $packages >/dev/null
} || fail "apt-get failed, see above; $by_hand"

packages=$(missing_packages "$@")
[ -z "$packages" ] || fail "installed $packages, but $python or PATH does not find them"
