/* socket_watch: what is wanted is told and nothing else, whatever the kernel still knows of a socket. */
#include "channels/socket_watch.h"

#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

struct stage {
    struct event_base *base;
    struct socket_watches *watches;
    int mine;
    int peer;
    int n_told;
    int told;
};

static void on_ready(void *ctx, int fd, int ready) {
    struct stage *stage = ctx;
    char byte = 0;
    assert_int_equal(fd, stage->mine);
    stage->n_told++;
    stage->told = ready;
    if ((ready & SOCKET_READ) != 0) {
        (void)recv(fd, &byte, 1, MSG_DONTWAIT);
    }
}

static void open_pair(struct stage *stage) {
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    stage->mine = pair[0];
    stage->peer = pair[1];
}

static int set_up(void **state) {
    static struct stage stage;
    stage = (struct stage){.base = event_base_new()};
    stage.watches = socket_watches_new(stage.base, on_ready, &stage);
    assert_non_null(stage.watches);
    open_pair(&stage);
    *state = &stage;
    return 0;
}

static int tear_down(void **state) {
    struct stage *stage = *state;
    socket_watches_free(stage->watches);
    event_base_free(stage->base);
    (void)close(stage->mine);
    (void)close(stage->peer);
    return 0;
}

static void turn(struct stage *stage) {
    (void)event_base_loop(stage->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
}

static void peer_writes(struct stage *stage) {
    assert_int_equal(send(stage->peer, "x", 1, 0), 1);
}

static void what_is_wanted_is_told(void **state) {
    struct stage *stage = *state;
    assert_int_equal(socket_watch_opened(stage->watches, stage->mine), 0);
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_WRITE), 0);
    turn(stage);
    assert_int_equal(stage->told, SOCKET_WRITE);
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_READ), 0);
    stage->n_told = 0;
    turn(stage);
    assert_int_equal(stage->n_told, 0);
    peer_writes(stage);
    turn(stage);
    assert_int_equal(stage->n_told, 1);
    assert_int_equal(stage->told, SOCKET_READ);
}

static void an_idle_socket_is_silent_and_comes_back(void **state) {
    struct stage *stage = *state;
    assert_int_equal(socket_watch_opened(stage->watches, stage->mine), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_READ), 0);
        assert_int_equal(socket_watch_want(stage->watches, stage->mine, 0), 0);
        if (i > 0) {
            peer_writes(stage); /* out of turn: nobody wants to know yet */
            turn(stage);
            turn(stage);
        }
        assert_int_equal(stage->n_told, i == 2 ? 1 : 0);
        assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_READ), 0);
        turn(stage);
        assert_int_equal(stage->n_told, i);
    }
}

static void an_idle_connection_that_the_peer_closes_costs_one_wake_up(void **state) {
    struct stage *stage = *state;
    assert_int_equal(socket_watch_opened(stage->watches, stage->mine), 0);
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_READ), 0);
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, 0), 0);
    assert_int_equal(event_base_get_num_events(stage->base, EVENT_BASE_COUNT_ADDED), 1);
    (void)shutdown(stage->peer, SHUT_RDWR);
    turn(stage);
    assert_int_equal(stage->n_told, 0);
    assert_int_equal(event_base_get_num_events(stage->base, EVENT_BASE_COUNT_ADDED), 0);
}

static void a_socket_without_the_promise_is_let_go_at_once(void **state) {
    struct stage *stage = *state;
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_READ), 0);
    assert_int_equal(event_base_get_num_events(stage->base, EVENT_BASE_COUNT_ADDED), 1);
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, 0), 0);
    assert_int_equal(event_base_get_num_events(stage->base, EVENT_BASE_COUNT_ADDED), 0);
}

static void a_number_that_comes_back_is_a_new_socket(void **state) {
    struct stage *stage = *state;
    assert_int_equal(socket_watch_opened(stage->watches, stage->mine), 0);
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_READ), 0);
    socket_watch_closing(stage->watches, stage->mine);
    assert_int_equal(event_base_get_num_events(stage->base, EVENT_BASE_COUNT_ADDED), 0);
    int before = stage->mine;
    (void)close(stage->mine);
    (void)close(stage->peer);
    open_pair(stage);
    assert_int_equal(stage->mine, before);
    assert_int_equal(socket_watch_opened(stage->watches, stage->mine), 0);
    peer_writes(stage);
    turn(stage);
    assert_int_equal(stage->n_told, 0);
    assert_int_equal(socket_watch_want(stage->watches, stage->mine, SOCKET_READ), 0);
    turn(stage);
    assert_int_equal(stage->n_told, 1);
}

static void many_sockets_are_watched_at_a_time(void **state) {
    struct stage *stage = *state;
    int high = dup2(stage->mine, 700);
    assert_int_equal(high, 700);
    (void)close(stage->mine);
    stage->mine = high;
    assert_int_equal(socket_watch_want(stage->watches, high, SOCKET_READ), 0);
    peer_writes(stage);
    turn(stage);
    assert_int_equal(stage->n_told, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_wanted_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_idle_socket_is_silent_and_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_idle_connection_that_the_peer_closes_costs_one_wake_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_socket_without_the_promise_is_let_go_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_number_that_comes_back_is_a_new_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_sockets_are_watched_at_a_time, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
