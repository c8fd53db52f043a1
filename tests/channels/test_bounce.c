/* Bounces of several makes, who may be believed, and that broken ones do no harm. */
#include "base/arena.h"
#include "channels/bounce.h"
#include "channels/verp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char key[] = "000102030405060708090a0b0c0d0e0f";
static const struct verp ours = {.base = "bounce@bounces.walton.example", .secret = "between us"};
static const struct bounce_gateway gateways[] = {
    {"other-relay", "returns@other.example", "another secret"},
    {"main-relay", "bounce@bounces.walton.example", "between us"},
};

/* The envelope sender of the mail with our key; in static memory. */
static const char *envelope(void) {
    static char address[SMTP_ADDRESS_MAX + 1];
    struct err err;
    assert_int_equal(verp_write(&ours, key, address, &err), 0);
    return address;
}

/* ---- verp ---------------------------------------------------------------------------------------------------------- */
static void an_envelope_sender_gives_its_key_back(void **state) {
    (void)state;
    char read[VERP_KEY_MAX + 1], shout[SMTP_ADDRESS_MAX + 1];
    struct err err;
    assert_int_equal(smtp_address_check(envelope(), &err), 0);
    assert_int_equal(verp_read(&ours, envelope(), read, &err), 1);
    assert_string_equal(read, key);
    (void)snprintf(shout, sizeof shout, "%s", envelope());
    for (char *at = shout; *at != '\0'; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
    assert_int_equal(verp_read(&ours, shout, read, &err), 1);
    assert_string_equal(read, key);
}

static void a_changed_address_is_not_believed(void **state) {
    (void)state;
    const size_t from = strlen("bounce+"), until = strlen("bounce+") + VERP_KEY_MAX + 1 + VERP_TAG_LEN;
    for (size_t i = from; i < until; i++) {
        char address[SMTP_ADDRESS_MAX + 1], read[VERP_KEY_MAX + 1];
        struct err err;
        (void)snprintf(address, sizeof address, "%s", envelope());
        address[i] = address[i] == '0' ? '1' : '0';
        assert_int_not_equal(verp_read(&ours, address, read, &err), 1);
    }
}

static void addresses_of_nobody_are_told_from_forged_ones(void **state) {
    (void)state;
    static const struct {
        const char *address;
        int found;
    } cases[] = {
        {"bounce@bounces.walton.example", 0},
        {"bounce+@bounces.walton.example", 0},
        {"bounce+hello@bounces.walton.example", 0},
        {"bouncer+0001-0123456789abcdef@bounces.walton.example", 0},
        {"bounce+0001-0123456789abcdef@bounces.walton.example.org", 0},
        {"", 0},
        {"bounce+0001@bounces.walton.example", -1},
        {"bounce+0001-0123456789abcdef@bounces.walton.example", -1},
        {"bounce+0001-0123456789abcdef0@bounces.walton.example", -1},
        {"bounce+0001-@bounces.walton.example", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char read[VERP_KEY_MAX + 1];
        struct err err;
        assert_int_equal(verp_read(&ours, cases[i].address, read, &err), cases[i].found);
    }
    const struct verp open = {.base = ours.base};
    char read[VERP_KEY_MAX + 1];
    struct err err;
    assert_int_equal(verp_read(&open, envelope(), read, &err), -1);
}

static void a_base_must_leave_room_for_key_and_tag(void **state) {
    (void)state;
    struct err err;
    assert_int_equal(verp_check("fourteen-chars@walton.example", &err), 0);
    assert_int_equal(verp_check("fifteen-charact@walton.example", &err), -1);
    char address[SMTP_ADDRESS_MAX + 1];
    const struct verp longest = {.base = "fourteen-chars@walton.example", .secret = "x"};
    assert_int_equal(verp_write(&longest, key, address, &err), 0);
    assert_int_equal(smtp_address_check(address, &err), 0);
    assert_int_equal(verp_write(&ours, "0001\r\n", address, &err), -1);
    assert_int_equal(verp_write(&ours, "", address, &err), -1);
}

/* ---- bounces ------------------------------------------------------------------------------------------------------- */
#define REPORT(action, status, words)                                                                                                      \
    "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example (Mail Delivery System)\r\nDate: Sat, 21 Nov 2026 22:54:06 +0000\r\n"                \
    "Subject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"                                                                                   \
    "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n"                                                  \
    "--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"                                                                                    \
    "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\nArrival-Date: Sat, 21 Nov 2026 22:54:06 "       \
    "+0000\r\n"                                                                                                                            \
    "\r\nFinal-Recipient: rfc822; ghost@fails.example\r\nOriginal-Recipient: rfc822;ghost@fails.example\r\nAction: " action                \
    "\r\nStatus: " status "\r\nDiagnostic-Code: " words "\r\n"                                                                             \
    "\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: 550 5.1.1 is what I say myself\r\n--b--\r\n"

struct sample {
    const char *name, *mail;
    enum bounce_kind kind;
    const char *status, *detail;
};

static const struct sample samples[] = {
    {"Postfix", REPORT("failed", "5.1.1", "smtp; 550 5.1.1 <ghost@fails.example>: no such\r\n user"), BOUNCE_REJECTED, "5.1.1",
     "550 5.1.1 <(address)>: no such user"},
    {"a disabled mailbox", REPORT("failed", "5.2.1", "x-unix; mailbox disabled"), BOUNCE_REJECTED, "5.2.1", "mailbox disabled"},
    {"given up after days", REPORT("failed", "4.4.1", "smtp; connection timed out"), BOUNCE_FAILED, "4.4.1", "connection timed out"},
    {"capital letters", REPORT("Failed", "5.0.0 (unknown)", "smtp;550 no"), BOUNCE_REJECTED, "5.0.0", "550 no"},
    {"without a status", REPORT("failed", "", "smtp; no"), BOUNCE_REJECTED, "", "no"},
    {"delayed", REPORT("delayed", "4.4.1", "smtp; connection timed out"), BOUNCE_DELAYED, "4.4.1", "connection timed out"},
    {"delivered", REPORT("delivered", "2.0.0", "smtp; 250 ok"), BOUNCE_DELIVERED, "2.0.0", "250 ok"},
    {"relayed", REPORT("relayed", "2.0.0", "smtp; 250 ok"), BOUNCE_NOTHING, "2.0.0", ""},
    {"nonsense", REPORT("exploded", "9.9.9", "x"), BOUNCE_NOTHING, "", ""},
    {"base64 report",
     "From: MAILER-DAEMON@mx.example\nMIME-Version: 1.0\nContent-Type: multipart/report; boundary=b\n\n--b\n"
     "Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n"
     "UmVwb3J0aW5nLU1UQTogZG5zOyBteAoKQWN0aW9uOiBmYWlsZWQKU3RhdHVzOiA1LjEuMQo=\n--b--\n",
     BOUNCE_REJECTED, "5.1.1", ""},
    {"qmail",
     "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nSubject: failure notice\n\n"
     "Hi. This is the qmail-send program at mx.example.\nI'm afraid I wasn't able to deliver your message to the following addresses.\n"
     "This is a permanent error; I've given up. Sorry it didn't work out.\n\n<ghost@fails.example>:\n"
     "Sorry, no mailbox here by that name. (#5.1.1)\n\n--- Below this line is a copy of the message.\n",
     BOUNCE_REJECTED, "5.1.1", "Sorry, no mailbox here by that name. (#5.1.1)"},
    {"Exim",
     "Return-path: <>\nFrom: Mail Delivery System <Mailer-Daemon@mx.example>\nAuto-Submitted: auto-replied\nSubject: Mail delivery "
     "failed\n\n"
     "A message that you sent could not be delivered.\n  ghost@fails.example\n    host mx [10.0.0.1]: 550 unknown user "
     "ghost@fails.example\n",
     BOUNCE_REJECTED, "5.0.0", "host mx [10.0.0.1]: 550 unknown user (address)"},
    {"a system that says nothing", "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\nSubject: hm\n\nYour mail was odd.\n", BOUNCE_NOTHING,
     "", ""},
    {"a number that is no code", "Return-Path: <>\nFrom: MAILER-DAEMON@mx.example\n\nqueue 1550 2.5.1.1 v15.5.1\n", BOUNCE_NOTHING, "", ""},
    {"on holiday",
     "Return-Path: <>\nFrom: Ada <ada@example.org>\nAuto-Submitted: auto-generated\nSubject: Away\n\nI am away until 550 days from now.\n",
     BOUNCE_NOTHING, "", ""},
    {"on holiday, by another program",
     "Return-Path: <>\nFrom: Ada <ada@example.org>\nX-Autoreply: yes\nSubject: Away\n\n550 mails are waiting.\n", BOUNCE_NOTHING, "", ""},
    {"a person", "Return-Path: <ada@example.org>\nFrom: Ada <ada@example.org>\nSubject: Re: x\n\nYou wrote 550 5.1.1 and I wonder.\n",
     BOUNCE_NOTHING, "", ""},
    {"nothing at all", "", BOUNCE_NOTHING, "", ""},
};

static void bounces_say_what_they_say(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct bounce bounce;
        struct err err;
        int result = bounce_parse(samples[i].mail, strlen(samples[i].mail), &bounce, &err);
        if (samples[i].mail[0] == '\0' && result != 0) {
            continue;
        }
        assert_int_equal(result, 0);
        if (bounce.kind != samples[i].kind || strcmp(bounce.status, samples[i].status) != 0 ||
            strcmp(bounce.detail, samples[i].detail) != 0) {
            fail_msg("%s: kind %d, status \"%s\", detail \"%s\"", samples[i].name, (int)bounce.kind, bounce.status, bounce.detail);
        }
    }
}

/* A bounce of `mail` to `address`: the result, and the receipt in *receipt. */
static int receive(const char *address, const char *mail, struct buf *receipt) {
    struct err err;
    buf_reset(receipt);
    return bounce_to_receipt(gateways, 2, address, mail, strlen(mail), receipt, &err);
}

static void a_hard_bounce_becomes_a_receipt_of_its_gateway(void **state) {
    (void)state;
    struct buf receipt = BUF_INIT;
    assert_int_equal(receive(envelope(), samples[0].mail, &receipt), 1);
    assert_string_equal(buf_str(&receipt), "{\"v\":1,\"gateway\":\"main-relay\",\"ref\":\"000102030405060708090a0b0c0d0e0f\","
                                           "\"status\":\"bounced\",\"at\":\"2026-11-21T22:54:06Z\","
                                           "\"detail\":\"5.1.1 550 5.1.1 <(address)>: no such user\"}");
    static const struct {
        size_t sample;
        const char *status;
    } others[] = {{2, "failed"}, {6, "delivered"}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(receive(envelope(), samples[others[i].sample].mail, &receipt), 1);
        json_t *object = json_loads(buf_str(&receipt), 0, NULL);
        assert_string_equal(json_string_value(json_object_get(object, "status")), others[i].status);
        json_decref(object);
    }
    buf_fini(&receipt);
}

static void what_says_nothing_final_becomes_no_receipt(void **state) {
    (void)state;
    struct buf receipt = BUF_INIT;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        bool final = samples[i].kind == BOUNCE_REJECTED || samples[i].kind == BOUNCE_FAILED || samples[i].kind == BOUNCE_DELIVERED;
        if (!final && samples[i].mail[0] != '\0') {
            assert_int_equal(receive(envelope(), samples[i].mail, &receipt), 0);
            assert_int_equal(receipt.len, 0);
        }
    }
    buf_fini(&receipt);
}

static void a_forged_bounce_is_refused_and_a_strange_one_left_alone(void **state) {
    (void)state;
    struct buf receipt = BUF_INIT;
    assert_int_equal(receive("bounce+000102030405060708090a0b0c0d0e0f-0123456789abcdef@bounces.walton.example", samples[0].mail, &receipt),
                     -1);
    assert_int_equal(receive("ada@example.org", samples[0].mail, &receipt), 0);
    assert_int_equal(receipt.len, 0);
    buf_fini(&receipt);
}

static void the_recipient_is_found_in_the_header_where_nobody_names_it(void **state) {
    (void)state;
    static const char *const before[] = {"Delivered-To: ", "X-Original-To: ", "Envelope-To: <", "To: Bounces <",
                                         "Delivered-To: local@walton.example\r\nTo: "};
    static const char *const after[] = {"", "", ">", ">", ""};
    struct buf receipt = BUF_INIT;
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        char mail[4096];
        (void)snprintf(mail, sizeof mail, "%s%s%s\r\n%s", before[i], envelope(), after[i], samples[0].mail);
        assert_int_equal(receive(NULL, mail, &receipt), 1);
    }
    buf_fini(&receipt);
}

static void broken_bounces_do_no_harm(void **state) {
    (void)state;
    struct buf receipt = BUF_INIT;
    srand(23);
    for (int round = 0; round < 20000; round++) {
        char mail[4096];
        size_t len = (size_t)snprintf(mail, sizeof mail, "%s", samples[(size_t)rand() % (sizeof samples / sizeof samples[0])].mail);
        for (int i = rand() % 8; i > 0 && len > 0; i--) {
            mail[(size_t)rand() % len] = (char)rand();
        }
        len = rand() % 4 == 0 && len > 0 ? (size_t)rand() % len : len;
        struct err err;
        buf_reset(&receipt);
        if (bounce_to_receipt(gateways, 2, envelope(), mail, len, &receipt, &err) == 1) {
            json_t *object = json_loads(buf_str(&receipt), 0, NULL);
            assert_non_null(object);
            json_decref(object);
        }
    }
    buf_fini(&receipt);
}

static void a_mail_that_is_too_large_is_refused(void **state) {
    (void)state;
    char *mail = calloc(1, BOUNCE_MAX_BYTES + 1);
    struct bounce bounce;
    struct err err;
    assert_non_null(mail);
    assert_int_equal(bounce_parse(mail, BOUNCE_MAX_BYTES + 1, &bounce, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    free(mail);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_sender_gives_its_key_back),
        cmocka_unit_test(a_changed_address_is_not_believed),
        cmocka_unit_test(addresses_of_nobody_are_told_from_forged_ones),
        cmocka_unit_test(a_base_must_leave_room_for_key_and_tag),
        cmocka_unit_test(bounces_say_what_they_say),
        cmocka_unit_test(a_hard_bounce_becomes_a_receipt_of_its_gateway),
        cmocka_unit_test(what_says_nothing_final_becomes_no_receipt),
        cmocka_unit_test(a_forged_bounce_is_refused_and_a_strange_one_left_alone),
        cmocka_unit_test(the_recipient_is_found_in_the_header_where_nobody_names_it),
        cmocka_unit_test(broken_bounces_do_no_harm),
        cmocka_unit_test(a_mail_that_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
