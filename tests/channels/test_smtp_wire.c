/* The watch on an SMTP connection: which replies may count, which commands may leave. */
#include "channels/smtp_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static const struct smtp_wire_policy free_policy = {false, false};

static int say(struct smtp_wire *wire, const char *text) {
    return smtp_wire_send(wire, text, strlen(text));
}

static int hear(struct smtp_wire *wire, const char *text) {
    return smtp_wire_receive(wire, text, strlen(text));
}

/* What libesmtp would be given now. */
static const char *given(struct smtp_wire *wire) {
    static char text[SMTP_WIRE_IN_MAX + 1];
    text[smtp_wire_give(wire, text, sizeof text - 1)] = '\0';
    return text;
}

/* Up to the reply to EHLO. */
static void begin(struct smtp_wire *wire, const struct smtp_wire_policy *policy) {
    smtp_wire_init(wire, policy);
    assert_int_equal(hear(wire, "220 relay ESMTP\r\n"), 0);
    assert_string_equal(given(wire), "220 relay ESMTP\r\n");
    assert_int_equal(say(wire, "EHLO me\r\n"), 0);
    assert_int_equal(hear(wire, "250-relay\r\n250-PIPELINING\r\n250 STARTTLS\r\n"), 0);
    assert_string_equal(given(wire), "250-relay\r\n250-PIPELINING\r\n250 STARTTLS\r\n");
}

static void open_data(struct smtp_wire *wire) {
    begin(wire, &free_policy);
    assert_int_equal(say(wire, "MAIL FROM:<a@x.example>\r\n"), 0);
    assert_true(wire->out.opens_message);
    assert_int_equal(hear(wire, "250 2.1.0 ok\r\n"), 0);
    assert_int_equal(say(wire, "RCPT TO:<b@x.example>\r\nDATA\r\n"), 0);
    assert_int_equal(hear(wire, "250 2.1.5 ok\r\n354 go on\r\n"), 0);
    assert_false(wire->out.ends_message);
}

static void a_whole_conversation_passes(void **state) {
    (void)state;
    struct smtp_wire wire;
    open_data(&wire);
    assert_int_equal(say(&wire, "Subject: x\r\n\r\nbody\r\n..stuffed\r\n"), 0);
    assert_false(wire.out.ends_message);
    assert_int_equal(say(&wire, ".\r\n"), 0);
    assert_true(wire.out.ends_message);
    assert_int_equal(hear(&wire, "250 2.0.0 taken as 17\r\n"), 0);
    assert_int_equal(wire.replies[SMTP_CONTENT].code, 250);
    assert_string_equal(wire.replies[SMTP_CONTENT].enhanced, "2.0.0");
    assert_string_equal(wire.replies[SMTP_CONTENT].text, "taken as 17");
    assert_true(smtp_wire_quiet(&wire));
}

static void the_end_of_a_message_is_seen_wherever_writes_are_cut(void **state) {
    (void)state;
    static const char body[] = "a\r\n.x\r\n..\r\n\r\nb\r\n.\n\r\n \r\n.\r\nRSET\r\n";
    const size_t end = strlen(body) - strlen("RSET\r\n");
    for (size_t cut = 1; cut < end; cut++) {
        struct smtp_wire wire;
        open_data(&wire);
        assert_int_equal(smtp_wire_send(&wire, body, cut), 0);
        assert_false(wire.out.ends_message);
        assert_int_equal(smtp_wire_send(&wire, body + cut, strlen(body) - cut), 0);
        assert_true(wire.out.ends_message);
        assert_int_equal(wire.out.n_expect, 2);
        assert_int_equal(wire.out.expect[0], SMTP_CONTENT);
        assert_int_equal(wire.out.expect[1], SMTP_RSET);
    }
}

static void a_cr_by_itself_does_not_leave(void **state) {
    (void)state;
    static const char *const bodies[] = {"a\rb\r\n", "\r\r\n", "a\r\n.\r.\r\n", "a\r.\r\n"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        for (size_t cut = 0; cut < strlen(bodies[i]); cut++) {
            struct smtp_wire wire;
            open_data(&wire);
            int first = smtp_wire_send(&wire, bodies[i], cut);
            int second = smtp_wire_send(&wire, bodies[i] + cut, strlen(bodies[i]) - cut);
            assert_true(first != 0 || second != 0);
            assert_false(wire.out.ends_message);
        }
    }
}

static void a_body_that_is_only_the_dot_ends_the_message(void **state) {
    (void)state;
    struct smtp_wire wire;
    open_data(&wire);
    assert_int_equal(say(&wire, ".\r\n"), 0);
    assert_true(wire.out.ends_message);
}

static void chunks_are_passed_over_and_the_last_one_ends_the_message(void **state) {
    (void)state;
    struct smtp_wire wire;
    begin(&wire, &free_policy);
    assert_int_equal(say(&wire, "MAIL FROM:<a@x.example>\r\n"), 0);
    assert_int_equal(hear(&wire, "250 ok\r\n"), 0);
    assert_int_equal(say(&wire, "RCPT TO:<b@x.example>\r\nBDAT 11\r\nQUIT\r\nDATA\r"), 0);
    assert_false(wire.out.ends_message);
    assert_int_equal(say(&wire, "BDAT 2\r\nx"), 0);
    assert_int_equal(say(&wire, "yBDAT 0 LAST\r\n"), 0);
    assert_true(wire.out.ends_message);
    static const enum smtp_step steps[] = {SMTP_RCPT, SMTP_CHUNK, SMTP_CHUNK, SMTP_LAST};
    assert_int_equal(wire.out.n_expect, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(wire.out.expect[i], steps[i]);
    }
}

static void only_whole_lines_are_handed_on(void **state) {
    (void)state;
    struct smtp_wire wire;
    smtp_wire_init(&wire, &free_policy);
    static const char greeting[] = "220 relay\r\n";
    for (size_t i = 0; i + 1 < sizeof greeting; i++) {
        assert_string_equal(given(&wire), "");
        assert_int_equal(smtp_wire_receive(&wire, greeting + i, 1), 0);
    }
    assert_string_equal(given(&wire), greeting);
}

static void a_reply_too_many_is_refused_with_everything_after_it(void **state) {
    (void)state;
    struct smtp_wire wire;
    open_data(&wire);
    assert_int_equal(say(&wire, "x\r\n.\r\n"), 0);
    assert_int_equal(hear(&wire, "250 ok\r\n250 ok\r\n"), -1);
    assert_string_equal(given(&wire), "");
    assert_int_equal(say(&wire, "QUIT\r\n"), -1);
}

static void even_the_first_byte_of_a_reply_too_many_is_refused(void **state) {
    (void)state;
    struct smtp_wire wire;
    begin(&wire, &free_policy);
    assert_int_equal(hear(&wire, "2"), -1);
}

static void what_is_no_reply_is_refused(void **state) {
    (void)state;
    static const char *const lines[] = {"HTTP/1.1 200 OK\r\n", "25 ok\r\n", "2500 ok\r\n", "999 ok\r\n", "\r\n",
                                        "250-a\r\n251 b\r\n",  "250_ok\r\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct smtp_wire wire;
        begin(&wire, &free_policy);
        assert_int_equal(say(&wire, "MAIL FROM:<a@x.example>\r\n"), 0);
        assert_int_equal(hear(&wire, lines[i]), -1);
    }
}

static void half_a_reply_is_none(void **state) {
    (void)state;
    static const char *const halves[] = {"550-5.1.1 no\r\n", "550-5.1.1 no\r\n550-5.1.1 such\r\n55", "550-5.1.1 no\r\n551 other\r\n"};
    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        struct smtp_wire wire;
        begin(&wire, &free_policy);
        assert_int_equal(say(&wire, "MAIL FROM:<a@x.example>\r\n"), 0);
        if (hear(&wire, halves[i]) == 0) {
            assert_int_equal(smtp_wire_fail(&wire, "the server closed the connection"), -1);
        }
        assert_int_equal(wire.replies[SMTP_MAIL].code, 0);
    }
}

static void a_line_may_have_1000_bytes_and_not_one_more(void **state) {
    (void)state;
    char line[1100];
    for (size_t len = SMTP_WIRE_LINE_MAX - 1; len <= SMTP_WIRE_LINE_MAX + 1; len++) {
        struct smtp_wire wire;
        memset(line, 'x', sizeof line);
        memcpy(line, "220 ", 4);
        memcpy(line + len - 1, "\r\n", 2); /* len bytes without the LF */
        smtp_wire_init(&wire, &free_policy);
        assert_int_equal(smtp_wire_receive(&wire, line, len + 1), len <= SMTP_WIRE_LINE_MAX ? 0 : -1);
    }
}

static void bytes_outside_ascii_reach_nobody(void **state) {
    (void)state;
    struct smtp_wire wire;
    smtp_wire_init(&wire, &free_policy);
    assert_int_equal(hear(&wire, "220 gr\xc3\xbc\x1b[31m\r\n"), 0);
    assert_string_equal(given(&wire), "220 gr???[31m\r\n");
}

static void nothing_received_in_the_clear_survives_into_tls(void **state) {
    (void)state;
    struct smtp_wire wire;
    begin(&wire, &free_policy);
    assert_int_equal(say(&wire, "STARTTLS\r\n"), 0);
    assert_int_equal(smtp_wire_begin_tls(&wire), -1); /* before the answer */
    begin(&wire, &free_policy);
    assert_int_equal(say(&wire, "STARTTLS\r\n"), 0);
    assert_int_equal(hear(&wire, "220 go\r\n250 injected\r\n"), -1);
    begin(&wire, &free_policy);
    assert_int_equal(say(&wire, "STARTTLS\r\n"), 0);
    assert_int_equal(hear(&wire, "220 go\r\n"), 0);
    assert_string_equal(given(&wire), "220 go\r\n");
    assert_int_equal(smtp_wire_begin_tls(&wire), 0);
}

static void without_tls_neither_mail_nor_credentials_leave_where_it_is_required(void **state) {
    (void)state;
    static const struct smtp_wire_policy policy = {.need_tls = true};
    static const char *const commands[] = {"MAIL FROM:<a@x.example>\r\n", "AUTH PLAIN AGEAYg==\r\n", "mail from:<a@x.example>\r\n"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        struct smtp_wire wire;
        begin(&wire, &policy);
        assert_int_equal(say(&wire, commands[i]), -1);
        assert_non_null(strstr(wire.failure, "TLS"));
    }
}

static void without_a_login_no_mail_leaves_where_there_are_credentials(void **state) {
    (void)state;
    static const struct smtp_wire_policy policy = {.need_auth = true};
    struct smtp_wire wire;
    begin(&wire, &policy);
    assert_int_equal(say(&wire, "AUTH LOGIN\r\n"), 0);
    assert_int_equal(hear(&wire, "334 VXNlcm5hbWU6\r\n"), 0);
    assert_int_equal(say(&wire, "bWFpbCBmcm9tOg==\r\n"), 0);
    assert_int_equal(hear(&wire, "535 5.7.8 no\r\n"), 0);
    assert_int_equal(say(&wire, "MAIL FROM:<a@x.example>\r\n"), -1);
    begin(&wire, &policy);
    assert_int_equal(say(&wire, "AUTH PLAIN AGEAYg==\r\n"), 0);
    assert_int_equal(hear(&wire, "235 2.7.0 welcome\r\n"), 0);
    assert_int_equal(say(&wire, "MAIL FROM:<a@x.example>\r\n"), 0);
}

static void commands_without_answers_are_limited(void **state) {
    (void)state;
    struct smtp_wire wire;
    begin(&wire, &free_policy);
    for (int i = 0; i < SMTP_WIRE_EXPECT_MAX; i++) {
        assert_int_equal(say(&wire, "RSET\r\n"), 0);
    }
    assert_int_equal(say(&wire, "RSET\r\n"), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_conversation_passes),
        cmocka_unit_test(the_end_of_a_message_is_seen_wherever_writes_are_cut),
        cmocka_unit_test(a_cr_by_itself_does_not_leave),
        cmocka_unit_test(a_body_that_is_only_the_dot_ends_the_message),
        cmocka_unit_test(chunks_are_passed_over_and_the_last_one_ends_the_message),
        cmocka_unit_test(only_whole_lines_are_handed_on),
        cmocka_unit_test(a_reply_too_many_is_refused_with_everything_after_it),
        cmocka_unit_test(even_the_first_byte_of_a_reply_too_many_is_refused),
        cmocka_unit_test(what_is_no_reply_is_refused),
        cmocka_unit_test(half_a_reply_is_none),
        cmocka_unit_test(a_line_may_have_1000_bytes_and_not_one_more),
        cmocka_unit_test(bytes_outside_ascii_reach_nobody),
        cmocka_unit_test(nothing_received_in_the_clear_survives_into_tls),
        cmocka_unit_test(without_tls_neither_mail_nor_credentials_leave_where_it_is_required),
        cmocka_unit_test(without_a_login_no_mail_leaves_where_there_are_credentials),
        cmocka_unit_test(commands_without_answers_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
