#!/bin/bash
# Writes the Redis ACL file for reachd: four users, each with only the commands and keys it needs, and `default` switched off.
#
#   deploy/redis-users.sh DIR [PREFIX]     prefix of the keys: reach: by default
#
# Makes DIR/users.acl for redis-server's `aclfile`, and for every user a random password in DIR/<user>.password (mode 600); the ACL file
# holds only their hashes. A password file that is there already is kept, so the script can be run again after an update.
#
# Redis takes no comments in an ACL file; what each user is for stands here and in deploy/reachd.acl, the rules themselves.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
rules=$here/reachd.acl
[[ $# -ge 1 && $# -le 2 ]] || {
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}
dir=$1
prefix=${2:-reach:}
umask 077
mkdir -p "$dir"

password_hash() { # password_hash USER: makes the password where there is none, prints the SHA-256 of it
    local file=$dir/$1.password
    [[ -s $file ]] || od -An -N 24 -tx1 /dev/urandom | tr -d ' \n' >"$file"
    head -n 1 "$file" | tr -d '\n' | sha256sum | cut -d ' ' -f 1
}

while read -r word user rest; do
    [[ $word == user ]] || continue
    rest=${rest//reach:/$prefix}
    if [[ $rest == *@PASSWORD@* ]]; then
        rest=${rest//@PASSWORD@/#$(password_hash "$user")}
    fi
    printf 'user %s %s\n' "$user" "$rest"
done < <(sed -e ':a' -e '/\\$/N; s/ *\\\n */ /; ta' "$rules") >"$dir/users.acl.new"
mv "$dir/users.acl.new" "$dir/users.acl"
echo "redis-users: wrote $dir/users.acl; load it with 'aclfile $dir/users.acl' in redis.conf" >&2
