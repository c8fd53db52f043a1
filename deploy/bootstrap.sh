#!/bin/bash
# Installs the Debian packages listed in deploy/packages.txt.
#
#   deploy/bootstrap.sh [--check] [SECTION...]     sections: build, demo, test, lint; without any: all but lint
#
# --check     says nothing; exit 0 where nothing is missing, 1 where something is.
#
# Says what it will install before it does. Needs root or a sudo that asks no password; where it has neither it prints the one
# command to run and exits 1. Services that come with the packages (Debian starts redis-server by default) are neither started nor
# left enabled: tests and demo start servers of their own where they need one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
list=$here/packages.txt
policy=/usr/sbin/policy-rc.d
PATH=$PATH:/usr/sbin:/sbin
services=(redis-server nginx kannel postfix stunnel4) # named as their packages are

say() {
    printf 'bootstrap: %s\n' "$*" >&2
}

# The packages of the sections in "$@", less those that a command on the PATH makes unnecessary.
wanted() {
    local section='' package condition command
    while read -r package condition command _; do
        case $package in
        '' | '#'*) continue ;;
        '['*']')
            section=${package//[\[\]]/}
            continue
            ;;
        esac
        [[ " $* " == *" $section "* ]] || continue
        if [[ $condition == unless ]] && command -v "$command" >/dev/null; then
            continue
        fi
        printf '%s\n' "$package"
    done <"$list"
}

# Of the packages in "$@" those that are not installed.
missing() {
    local installed package
    installed=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii  *//p') || true
    for package in "$@"; do
        grep -qxF -- "$package" <<<"$installed" || printf '%s\n' "$package"
    done
}

# Keeps apt-get from starting services; a policy that the administrator has put there stays as it is.
forbid_services() {
    if [[ ! -e $policy ]]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
}

# Questions that packages ask are answered here: Postfix gets no configuration of the machine's own.
answer_questions() { # answer_questions PACKAGE...
    if [[ " $* " == *' postfix '* ]]; then
        debconf-set-selections <<<'postfix postfix/main_mailer_type select No configuration'
    fi
}

install_packages() {
    export DEBIAN_FRONTEND=${DEBIAN_FRONTEND:-noninteractive}
    forbid_services
    answer_questions "$@"
    apt-get -q -o DPkg::Lock::Timeout=120 update >&2 || say 'apt-get update failed; trying with the lists that are here'
    apt-get -q -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@" >&2
    disable_services "$@"
}

# The services of the packages in "$@", which have just been installed and never ran.
disable_services() {
    local service
    command -v systemctl >/dev/null || return 0
    for service in "${services[@]}"; do
        [[ " $* " == *" $service "* ]] || continue
        systemctl --quiet disable "$service.service" >&2 || say "could not disable the $service service"
        say "the $service service was left stopped and disabled (systemctl enable --now $service to change that)"
    done
}

main() {
    local check=no
    if [[ ${1:-} == --check ]]; then
        check=yes
        shift
    fi
    [[ $# -gt 0 ]] || set -- build demo test
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        [[ $check == yes ]] && exit 1
        say "this is no Debian: install the libraries named in $list, then run make with DEPS=skip"
        exit 1
    fi
    local -a packages need
    mapfile -t packages < <(wanted "$@")
    mapfile -t need < <(missing "${packages[@]}")
    [[ ${#need[@]} -gt 0 ]] || exit 0
    [[ $check == no ]] || exit 1

    if [[ $EUID -ne 0 ]]; then
        if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
            exec sudo -n env DEBIAN_FRONTEND="${DEBIAN_FRONTEND:-noninteractive}" "$here/bootstrap.sh" "$@"
        fi
        say "missing Debian packages: ${need[*]}"
        say "only root may install them. Run:  sudo $here/bootstrap.sh $*"
        exit 1
    fi
    say "installing Debian packages: ${need[*]}"
    install_packages "${need[@]}"
    mapfile -t need < <(missing "${packages[@]}")
    if [[ ${#need[@]} -gt 0 ]]; then
        say "still missing: ${need[*]}"
        exit 1
    fi
}

main "$@"
