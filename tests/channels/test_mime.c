/* What a mail looks like, byte for byte, and what no text can do to it. */
#include "base/smtp_address.h"
#include "channels/mime.h"
#include "channels/mime_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after those */
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct mime_sender walton = {.from_address = "notices@walton.example", .from_name = "Walton"};

static struct message plain_message(void) {
    return (struct message){.key = "00ab", .to = "ada@example.org", .subject = "Hello", .text = "Hello.\n", .locale = "en-GB"};
}

/* The whole mail; free() it. */
static char *compose(const struct message *message) {
    struct buf out = BUF_INIT;
    struct err err;
    if (mime_compose(message, &walton, &out, &err) != 0) {
        fail_msg("%s", err.text);
    }
    return buf_take(&out);
}

/* Printable ASCII, every line ended by CRLF, none longer than 998 bytes, none a lone dot. */
static void assert_proper(const char *mail) {
    size_t len = strlen(mail);
    assert_true(len > 2 && strcmp(mail + len - 2, "\r\n") == 0);
    for (const char *line = mail; *line != '\0';) {
        const char *end = strchr(line, '\n');
        assert_true(end > line && end[-1] == '\r');
        assert_in_range(end - line, 1, 998);
        assert_int_not_equal(line[0], '.');
        for (const char *at = line; at < end - 1; at++) {
            assert_true(((unsigned char)*at >= 0x20 && (unsigned char)*at < 0x7f) || *at == '\t');
        }
        line = end + 1;
    }
}

static void the_same_message_is_always_the_same_bytes(void **state) {
    (void)state;
    struct message message = plain_message();
    message.html = "<p>Hello.</p>";
    message.created_at_ms = 1795298400000;
    char *one = compose(&message), *two = compose(&message);
    assert_string_equal(one, two);
    assert_string_equal(one, "Date: Sat, 21 Nov 2026 22:00:00 +0000\r\n"
                             "From: \"Walton\" <notices@walton.example>\r\n"
                             "To: <ada@example.org>\r\n"
                             "Subject: Hello\r\n"
                             "Message-ID: <00ab@walton.example>\r\n"
                             "Auto-Submitted: auto-generated\r\n"
                             "MIME-Version: 1.0\r\n"
                             "Content-Language: en-GB\r\n"
                             "Content-Type: multipart/alternative; boundary=\"=_00ab\"\r\n"
                             "\r\n"
                             "--=_00ab\r\n"
                             "Content-Type: text/plain; charset=utf-8\r\n"
                             "Content-Transfer-Encoding: quoted-printable\r\n"
                             "\r\n"
                             "Hello.\r\n"
                             "\r\n"
                             "--=_00ab\r\n"
                             "Content-Type: text/html; charset=utf-8\r\n"
                             "Content-Transfer-Encoding: quoted-printable\r\n"
                             "\r\n"
                             "<p>Hello.</p>\r\n"
                             "\r\n"
                             "--=_00ab--\r\n");
    free(one);
    free(two);
}

static void a_template_may_override_the_senders_name(void **state) {
    (void)state;
    struct message message = plain_message();
    message.from_name = "Walton Security";
    char *mail = compose(&message);
    assert_non_null(strstr(mail, "From: \"Walton Security\" <notices@walton.example>\r\n"));
    free(mail);
}

static void a_template_may_override_the_addresses_but_not_the_message_id(void **state) {
    (void)state;
    struct message message = plain_message();
    message.from_address = "security@shop.example";
    message.reply_to = "desk@walton.example";
    char *mail = compose(&message);
    assert_non_null(strstr(mail, "From: \"Walton\" <security@shop.example>\r\n"));
    assert_non_null(strstr(mail, "Reply-To: <desk@walton.example>\r\n"));
    assert_non_null(strstr(mail, "@walton.example>\r\nAuto-Submitted:"));
    free(mail);
}

static void an_address_of_a_template_that_is_none_makes_no_mail(void **state) {
    (void)state;
    static const char evil[] = "a@b.example>\r\nBcc: <eve@b.example";
    for (int i = 0; i < 2; i++) {
        struct message message = plain_message();
        *(i == 0 ? &message.from_address : &message.reply_to) = evil;
        struct buf out = BUF_INIT;
        struct err err;
        assert_int_equal(mime_compose(&message, &walton, &out, &err), -1);
        assert_string_equal(err.member, i == 0 ? "from_address" : "reply_to");
        buf_fini(&out);
    }
}

static void quoted_printable_is_as_the_standard_says(void **state) {
    (void)state;
    static const struct {
        const char *text, *coded;
    } cases[] = {
        {"", ""},
        {"a", "a\r\n"},
        {"a\n", "a\r\n"},
        {"a\r\nb\rc\nd", "a\r\nb\r\nc\r\nd\r\n"},
        {"a=b", "a=3Db\r\n"},
        {"caf\xc3\xa9", "caf=C3=A9\r\n"},
        {"end \nend\t\nend ", "end=20\r\nend=09\r\nend=20\r\n"},
        {".\n..\n.a", "=2E\r\n=2E.\r\n=2Ea\r\n"},
        {"From here\nFromage", "=46rom here\r\nFromage\r\n"},
        {"--boundary\n-", "=2D-boundary\r\n=2D\r\n"},
        {"\x01\x7f", "=01=7F\r\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT;
        mime_put_quoted_printable(&out, cases[i].text);
        assert_string_equal(buf_str(&out), cases[i].coded);
        buf_fini(&out);
    }
}

static void long_lines_are_broken_softly_at_76(void **state) {
    (void)state;
    char text[1001];
    memset(text, '.', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct buf out = BUF_INIT;
    mime_put_quoted_printable(&out, text);
    for (const char *line = buf_str(&out); *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        assert_in_range(end - line, 1, 76);
        assert_int_not_equal(line[0], '.');
        line = end + 2;
    }
    buf_fini(&out);
}

static void base64_is_chosen_where_it_is_shorter(void **state) {
    (void)state;
    struct buf out = BUF_INIT;
    assert_string_equal(mime_encoding_for("plain words"), "quoted-printable");
    assert_string_equal(mime_encoding_for("\xce\xb3\xce\xb5\xce\xb9\xce\xac"), "base64");
    mime_put_base64(&out, "\xce\xb3\n\xce\xb5");
    assert_string_equal(buf_str(&out), "zrMNCs61\r\n");
    buf_fini(&out);
}

static void headers_outside_ascii_become_encoded_words(void **state) {
    (void)state;
    struct buf out = BUF_INIT;
    mime_put_text_header(&out, "Subject",
                         "Gr\xc3\xbc\xc3\x9f"
                         "e");
    mime_put_text_header(&out, "Subject", "=?UTF-8?B?ZXZpbA==?=");
    mime_put_address_header(&out, "To", "J\xc3\xb8rgen", "j@example.org");
    mime_put_address_header(&out, "To", "O\"Hara \\ Sons", "o@example.org");
    assert_string_equal(buf_str(&out), "Subject: =?UTF-8?B?R3LDvMOfZQ==?=\r\n"
                                       "Subject: =?UTF-8?B?PT9VVEYtOD9CP1pYWnBiQT09Pz0=?=\r\n"
                                       "To: =?UTF-8?B?SsO4cmdlbg==?= <j@example.org>\r\n"
                                       "To: \"O\\\"Hara \\\\ Sons\" <o@example.org>\r\n");
    buf_fini(&out);
}

static void long_headers_are_folded_and_no_character_is_cut(void **state) {
    (void)state;
    char text[601];
    struct buf out = BUF_INIT;
    for (size_t i = 0; i + 3 < sizeof text; i += 3) {
        memcpy(text + i, "\xe2\x82\xac", 4);
    }
    mime_put_text_header(&out, "Subject", text);
    for (const char *line = buf_str(&out); *line != '\0';) {
        const char *end = strstr(line, "\r\n");
        assert_in_range(end - line, 1, 86);
        const char *word = strstr(line, "?B?");
        /* 45 bytes, 15 euro signs: 60 characters without padding in every word but the last */
        assert_true(word < end && (end[2] == '\0' || end - word == 3 + 60 + 2));
        line = end + 2;
    }
    buf_fini(&out);
    mime_put_text_header(
        &out, "Subject",
        "a subject of many small words that has to be folded more than once because it goes on and on and on and never ends");
    assert_proper(buf_str(&out));
    assert_non_null(strstr(buf_str(&out), "\r\n "));
    buf_fini(&out);
}

/* F35, F36: whatever a text holds, the mail stays one proper mail with the same header names. */
static void fault_35_36_no_text_can_add_a_header_a_part_or_an_end(void **state) {
    (void)state;
    static const char *const evil[] = {
        "x\r\nBcc: eve@example.org",
        "x\nBcc: eve@example.org",
        "\r\n\r\n.\r\nMAIL FROM:<eve@example.org>",
        "\n.\r\n",
        "\r.\r\n",
        ".",
        "\r\n.\r\n",
        "--=_00ab--",
        "\r\n--=_00ab\r\nContent-Type: text/html\r\n\r\n<script>",
        "=?UTF-8?Q?=0D=0ABcc:?=",
        "\"<eve@example.org>,",
        "\x1b[2J",
        "\xe2\x80\xae reversed",
        "a\tb",
        " ",
        "",
    };
    for (size_t i = 0; i < sizeof evil / sizeof evil[0]; i++) {
        struct message message = plain_message();
        message.subject = message.text = message.html = message.to_name = message.from_name = message.locale = evil[i];
        char *mail = compose(&message);
        assert_proper(mail);
        const char *bcc = strstr(mail, "\nBcc");
        assert_true(bcc == NULL || bcc > strstr(mail, "\r\n\r\n")); /* in the text it is just a word */
        size_t boundaries = 0;
        for (const char *at = mail; (at = strstr(at, "\r\n--=_00ab")) != NULL; at++) {
            boundaries++;
        }
        assert_int_equal(boundaries, 3);
        free(mail);
    }
}

static void random_bytes_always_make_a_proper_mail(void **state) {
    (void)state;
    srand(17);
    for (int round = 0; round < 2000; round++) {
        char text[200];
        size_t len = (size_t)rand() % (sizeof text - 1);
        for (size_t i = 0; i < len; i++) {
            static const char spice[] = ".\r\n-= \tF";
            int byte = rand() % 3 == 0 ? spice[rand() % 8] : 1 + rand() % 255;
            text[i] = (char)byte;
        }
        text[len] = '\0';
        struct message message = plain_message();
        message.subject = message.text = message.html = message.to_name = text;
        char *mail = compose(&message);
        assert_proper(mail);
        free(mail);
    }
}

static void what_cannot_be_a_mail_is_refused_with_the_member(void **state) {
    (void)state;
    struct message messages[6];
    static const char *const members[] = {"key", "key", "to", "to", "subject", "text"};
    for (size_t i = 0; i < 6; i++) {
        messages[i] = plain_message();
    }
    messages[0].key = NULL;
    messages[1].key = "00ab\"";
    messages[2].to = NULL;
    messages[3].to = "ada\xc3\xa4@example.org";
    messages[4].subject = NULL;
    messages[5].text = NULL;
    for (size_t i = 0; i < 6; i++) {
        struct buf out = BUF_INIT;
        struct err err;
        assert_int_equal(mime_compose(&messages[i], &walton, &out, &err), -1);
        assert_string_equal(err.member, members[i]);
        assert_null(strstr(err.text, "example"));
        buf_fini(&out);
    }
}

static void a_mail_that_is_too_large_is_refused(void **state) {
    (void)state;
    char *text = malloc(MIME_MAX_BYTES + 2);
    assert_non_null(text);
    memset(text, 'a', MIME_MAX_BYTES + 1);
    text[MIME_MAX_BYTES + 1] = '\0';
    struct message message = plain_message();
    message.text = text;
    struct buf out = BUF_INIT;
    struct err err;
    assert_int_equal(mime_compose(&message, &walton, &out, &err), -1);
    assert_int_equal(err.code, ERR_LIMIT);
    buf_fini(&out);
    free(text);
}

static void addresses_are_plain_or_refused(void **state) {
    (void)state;
    static const char *const good[] = {"a@b.example", "a.b+c@b-c.example", "x_y@xn--bcher-kva.example", "o'hara@example.org", "a@b"};
    static const char *const bad[] = {"a.@b.example",   ".a@b.example",  "a..b@b.example", "a@-b.example",  "a@b-.example",
                                      "a@b..example",   "a@.b",          "a@b_c.example",  "a b@c.example", "a\"b@c.example",
                                      "a@b@c.example ", "a\t@b.example", "a\\b@c.example"};
    struct err err;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(smtp_address_check(good[i], &err), 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(smtp_address_check(bad[i], &err), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_message_is_always_the_same_bytes),
        cmocka_unit_test(a_template_may_override_the_senders_name),
        cmocka_unit_test(a_template_may_override_the_addresses_but_not_the_message_id),
        cmocka_unit_test(an_address_of_a_template_that_is_none_makes_no_mail),
        cmocka_unit_test(quoted_printable_is_as_the_standard_says),
        cmocka_unit_test(long_lines_are_broken_softly_at_76),
        cmocka_unit_test(base64_is_chosen_where_it_is_shorter),
        cmocka_unit_test(headers_outside_ascii_become_encoded_words),
        cmocka_unit_test(long_headers_are_folded_and_no_character_is_cut),
        cmocka_unit_test(fault_35_36_no_text_can_add_a_header_a_part_or_an_end),
        cmocka_unit_test(random_bytes_always_make_a_proper_mail),
        cmocka_unit_test(what_cannot_be_a_mail_is_refused_with_the_member),
        cmocka_unit_test(a_mail_that_is_too_large_is_refused),
        cmocka_unit_test(addresses_are_plain_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
