/* own_names: the name look-ups of a test's mailer ($(B)/own-names/reachd-mailer, tests/email.mk): the mailer as it is, but two names are
 * answered here and not by the system, as guard.c does with connect().
 *
 *   alias.test   is 127.0.0.1, as a CNAME of localhost
 *   hangs.test   never gets an answer
 */
#include <dlfcn.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int look_up_fn(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **list_r);

/* The system's function has no attribute that says so, and this one must look the same. */
int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict req,
                struct addrinfo **restrict pai) {
    look_up_fn *system_look_up = NULL;
    *(void **)&system_look_up = dlsym(RTLD_NEXT, "getaddrinfo");
    if (system_look_up == NULL) {
        return EAI_SYSTEM;
    }
    while (name != NULL && strcmp(name, "hangs.test") == 0) {
        (void)pause();
    }
    bool alias = name != NULL && strcmp(name, "alias.test") == 0;
    int result = system_look_up(alias ? "127.0.0.1" : name, service, req, pai);
    if (result == 0 && alias && (*pai)->ai_canonname != NULL) {
        free((*pai)->ai_canonname);
        (*pai)->ai_canonname = strdup("localhost");
    }
    return result;
}
