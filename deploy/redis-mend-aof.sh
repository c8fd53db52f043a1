#!/bin/sh
# redis-mend-aof.sh DIR: run before redis-server starts; DIR is its appenddirname (Debian: /var/lib/redis/appendonlydir).
#
# Redis writes what a script has changed between MULTI and EXEC. Where it was killed in the middle of that, Redis 7 cuts off only the last
# command at the next start (aof-load-truncated) and leaves MULTI and the commands before it in the file; new transactions are appended
# to that, and the start after next carries out the half one: counters without their records. redis-check-aof cuts in front of the MULTI.
#
# Cuts an unfinished end and nothing else: a file that is damaged in its middle is left to redis-server, which refuses it and says so.
# Exit 0: the files are whole, mended, or not ours to mend.
set -u
manifest=${1:?usage: redis-mend-aof.sh DIR}/appendonly.aof.manifest
[ -e "$manifest" ] || exit 0
found=$(redis-check-aof "$manifest" 2>&1) && exit 0
case $found in
*'format error'*) exit 0 ;;
*'Expected to read'* | *'Reached EOF before reading EXEC'*) ;;
*) exit 0 ;;
esac
echo y | redis-check-aof --fix "$manifest" | tail -n 2
