/* slow_disk: loaded in front of redis-server (LD_PRELOAD), makes every fdatasync(2) take SLOW_DISK_MS longer.
 *
 * While one is under way Redis with appendfsync everysec holds its writes back, for up to two seconds, and answers all the same. So a kill
 * finds answered writes that are in no file yet: what happens once in a while on a busy disk happens every time. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int fdatasync(int fd) { /* NOLINT(readability-inconsistent-declaration-parameter-name): the C library names it by a reserved name */
    int (*real)(int) = NULL;
    const char *wait = getenv("SLOW_DISK_MS");
    long ms = wait == NULL ? 0 : strtol(wait, NULL, 10);
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
    (void)nanosleep(&time, NULL);
    return real == NULL ? -1 : real(fd);
}
