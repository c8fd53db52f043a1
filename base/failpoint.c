/* failpoint: see failpoint.h. In builds for tests only (make FAILPOINTS=1).
 *
 * One point per process is armed, by the environment, which is read once. A name that no point has does nothing: the test that waits for
 * the process to stop or die finds that out.
 *
 * Does not: run in what is installed. tests/base/test_failpoint.sh looks. */
#include "base/failpoint.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a binary that has failpoints can be known by. */
static const char marker[] = "REACH_FAILPOINT";

static const char *armed;
static bool is_read;

void failpoint_reached(const char *name) {
    if (!is_read) {
        is_read = true;
        armed = getenv(marker);
    }
    size_t len = strlen(name);
    if (armed == NULL || strncmp(armed, name, len) != 0 || armed[len] != '=') {
        return;
    }
    bool stops = strcmp(armed + len + 1, "stop") == 0;
    armed = NULL;
    (void)kill(getpid(), stops ? SIGSTOP : SIGKILL);
}
