/* F17: a server that does not speak RESP properly: cut short, nested, absurd lengths, wrong kinds of answers. The queue gives such a
 * connection up and tries again; it neither crashes nor takes anything for an answer. */
#include "tests/support/queue_kit.h"

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define DEEP(x) x x x x x x x x
#define INFO_SILENT "$11\r\nloading:0\r\n\r\n"
#define INFO_SAFE "$68\r\nloading:0\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n\r\n"

struct payload {
    const char *bytes;
    size_t len;
    bool ends; /* the server closes behind it */
};

#define P(text, ends)                                                                                                                      \
    { text, sizeof text - 1, ends }
static const struct payload payloads[] = {
    P("", true),
    P("$-2\r\n", true),
    P("*-5\r\n", true),
    P("*2147483647\r\n", true),
    P("*1073741824\r\n:1\r\n", true),
    P("*99999999999999999999\r\n", true),
    P("$2147483647\r\nabc", true),
    P("$99999999999999999999\r\nabc", true),
    P("$5\r\nab", true),
    P("$2\r\nabXX", true),
    P(":99999999999999999999999999\r\n", true),
    P(":\r\n", true),
    P("-\r\n", true),
    P("+OK", true),
    P("\0\1\2garbage\r\n", true),
    P("GET / HTTP/1.1\r\n\r\n", true),
    P(DEEP("*1\r\n") DEEP("*1\r\n") ":1\r\n", true),
    P("*3\r\n+a\r\n", true),
    P("-LOADING Redis is loading\r\n", true),
    P(":1\r\n*0\r\n$-1\r\n", false),
    P("*1\r\n*1\r\n:1\r\n+loading:0\r\n:5\r\n", false),
    P(INFO_SILENT INFO_SILENT INFO_SILENT, false),
    P(INFO_SAFE INFO_SAFE INFO_SAFE "+no sha\r\n*0\r\n:1\r\n", true),
};
enum { PAYLOADS = sizeof payloads / sizeof *payloads };

static struct kit kit;
static struct redis_server place; /* only its names are used: no server runs */
static struct evconnlistener *listener;
static size_t served;

static void on_written(struct bufferevent *peer, void *ctx) {
    const struct payload *payload = ctx;
    if (payload->ends) {
        bufferevent_free(peer);
    }
}

static void on_gone(struct bufferevent *peer, short what, void *ctx) {
    (void)what;
    (void)ctx;
    bufferevent_free(peer);
}

static void on_accept(struct evconnlistener *from, evutil_socket_t fd, struct sockaddr *address, int len, void *ctx) {
    (void)from;
    (void)address;
    (void)len;
    (void)ctx;
    const struct payload *payload = &payloads[served++ % PAYLOADS];
    struct bufferevent *peer = bufferevent_socket_new(kit.base, fd, BEV_OPT_CLOSE_ON_FREE);
    assert_non_null(peer);
    bufferevent_setcb(peer, NULL, on_written, on_gone, (void *)(uintptr_t)payload);
    assert_int_equal(bufferevent_write(peer, payload->bytes, payload->len), 0);
    if (payload->len == 0) {
        bufferevent_free(peer);
        return;
    }
    assert_int_equal(bufferevent_enable(peer, EV_READ | EV_WRITE), 0);
}

static int set_up(void **state) {
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(place.socket, sizeof place.socket, "/tmp/reach-hostile-%ld.sock", (long)getpid());
    (void)snprintf(place.address, sizeof place.address, "unix:%s", place.socket);
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", place.socket);
    kit_prepare(&kit, &place, "w1");
    kit.settings.connect_timeout_ms = 50;
    listener = evconnlistener_new_bind(kit.base, on_accept, NULL, LEV_OPT_CLOSE_ON_FREE, -1, (struct sockaddr *)&address, sizeof address);
    return listener == NULL ? -1 : 0;
}

static int tear_down(void **state) {
    (void)state;
    evconnlistener_free(listener);
    kit_close(&kit);
    return unlink(place.socket);
}

static void fault_17_a_server_that_talks_nonsense_is_given_up_each_time(void **state) {
    (void)state;
    for (size_t life = 0; life < PAYLOADS; life++) { /* a new queue each time: no backoff to wait for */
        size_t before = served;
        unsigned lost = kit.lost;
        kit_connect(&kit, 10);
        kit_until_n(&kit, &served, before + 1);
        kit_until_u(&kit, &kit.lost, lost + 1);
        assert_int_equal(kit.ready, 0);
        queue_free(kit.queue);
        kit.queue = NULL;
    }
    assert_int_equal(kit.fatal, 0);
    assert_int_equal(kit.n_entries + kit.n_due + kit.n_receipts, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fault_17_a_server_that_talks_nonsense_is_given_up_each_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
