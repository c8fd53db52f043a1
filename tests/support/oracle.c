/* oracle: see oracle.h. One node process per question, over two pipes. */
#include "tests/support/oracle.h"

#include "tests/support/shell.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { IN = 0, OUT = 1, ANSWER_MAX_BYTES = 262144 };

static void __attribute__((noreturn)) run_node(const char *command, const int to_node[2], const int from_node[2]) {
    (void)dup2(to_node[IN], STDIN_FILENO);
    (void)dup2(from_node[OUT], STDOUT_FILENO);
    (void)close(to_node[OUT]);
    (void)close(from_node[IN]);
    (void)execlp("node", "node", "tests/support/oracle.js", command, (char *)NULL);
    _exit(127);
}

static json_t *exchange(int write_fd, int read_fd, const char *text) {
    size_t len = strlen(text);
    for (size_t sent = 0; sent < len;) {
        ssize_t n = write(write_fd, text + sent, len - sent);
        if (n <= 0) {
            break;
        }
        sent += (size_t)n;
    }
    (void)close(write_fd);
    char *answer = malloc(ANSWER_MAX_BYTES);
    size_t got = 0;
    for (ssize_t n; answer != NULL && got < ANSWER_MAX_BYTES && (n = read(read_fd, answer + got, ANSWER_MAX_BYTES - got)) > 0;) {
        got += (size_t)n;
    }
    (void)close(read_fd);
    json_t *json = answer == NULL ? NULL : json_loadb(answer, got, 0, NULL);
    free(answer);
    return json;
}

bool oracle_is_ready(void) {
    static int ready = -1;
    if (ready < 0) {
        ready = shell("exec bash -c '. tests/support/lib.sh && need_npm' >/dev/null 2>&1") == 0;
    }
    return ready == 1;
}

json_t *oracle_ask_take(const char *command, json_t *question) {
    int to_node[2];
    int from_node[2];
    char *text = json_dumps(question, JSON_COMPACT);
    json_decref(question);
    if (text == NULL || !oracle_is_ready() || pipe(to_node) < 0 || pipe(from_node) < 0) {
        free(text);
        return NULL;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        run_node(command, to_node, from_node);
    }
    (void)close(to_node[IN]);
    (void)close(from_node[OUT]);
    json_t *answer = exchange(to_node[OUT], from_node[IN], text);
    (void)waitpid(pid, NULL, 0);
    free(text);
    if (answer == NULL || json_is_true(json_object_get(answer, "missing"))) { /* it is installed, so this is no reason to skip */
        json_decref(answer);
        fail_msg("the oracle does not answer %s: node ended without an answer, or a package of tests/package.json is damaged", command);
    }
    return answer;
}
