/* sms_text against Twilio's own calculator (npm sms-segments-calculator): 10,000 random texts, the same ones every time, out of the whole
 * GSM alphabet with its extension table, other letters, emoji beyond the BMP, combining marks and joined emoji; most are about as long as
 * one, two or three segments. Skipped without node. */
#include "base/buf.h"
#include "base/sms_text.h"
#include "tests/support/oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TEXTS = 10000 };

static const char *const gsm[] = {
    "@", "£", "$", "¥", "è", "é", "ù", "ì",  "ò", "Ç", "\n", "Ø", "ø", "\r", "Å", "å", "Δ", "_", "Φ", "Γ", "Λ", "Ω", "Π", "Ψ", "Σ", "Θ",
    "Ξ", "Æ", "æ", "ß", "É", " ", "!", "\"", "#", "¤", "%",  "&", "'", "(",  ")", "*", "+", ",", "-", ".", "/", "0", "1", "2", "3", "4",
    "5", "6", "7", "8", "9", ":", ";", "<",  "=", ">", "?",  "¡", "A", "B",  "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N",
    "O", "P", "Q", "R", "S", "T", "U", "V",  "W", "X", "Y",  "Z", "Ä", "Ö",  "Ñ", "Ü", "§", "¿", "a", "b", "c", "d", "e", "f", "g", "h",
    "i", "j", "k", "l", "m", "n", "o", "p",  "q", "r", "s",  "t", "u", "v",  "w", "x", "y", "z", "ä", "ö", "ñ", "ü", "à"};
static const char *const extension[] = {"^", "{", "}", "\\", "[", "~", "]", "|", "€", "\f"};
static const char *const others[] = {"`", "ç", "ê", "ł", "Ж", "ش", "漢", "’", "\u00a0", "\u2014", "\u200d", "\u202e", "\ufeff", "\t"};
static const char *const emoji[] = {"😀", "🔒", "🇬🇧", "👩‍💻", "👍🏽", "𝒜", "𐍈"};
static const char *const marks[] = {"e\u0301", "a\u0308\u0323", "ก็", "\u0301"};

#define SET(words)                                                                                                                         \
    { words, sizeof(words) / sizeof *(words) }
struct words {
    const char *const *items;
    size_t n;
};
static const struct words sets[] = {SET(gsm), SET(extension), SET(others), SET(emoji), SET(marks)};

/* Of 100 pieces of a text, how many come from each set. */
static const unsigned mixtures[][5] = {{100, 0, 0, 0, 0}, {80, 20, 0, 0, 0}, {20, 80, 0, 0, 0},  {96, 3, 1, 0, 0},
                                       {60, 5, 35, 0, 0}, {50, 0, 0, 50, 0}, {70, 5, 10, 5, 10}, {0, 0, 0, 100, 0}};
static const unsigned lengths[] = {4, 68, 71, 135, 160, 161, 202, 306, 460};

/* Numerical Recipes' generator: the same texts on every machine. */
static unsigned dice(uint32_t *state, unsigned sides) {
    *state = *state * 1664525U + 1013904223U;
    return (unsigned)((uint64_t)(*state >> 8) * sides >> 24);
}

static void make_text(uint32_t *state, struct buf *text) {
    const unsigned *mixture = mixtures[dice(state, sizeof mixtures / sizeof *mixtures)];
    unsigned len = lengths[dice(state, sizeof lengths / sizeof *lengths)];
    unsigned pieces = len / 2 + dice(state, len / 2 + 6);
    buf_reset(text);
    for (unsigned i = 0; i < pieces; i++) {
        unsigned roll = dice(state, 100);
        size_t set = 0;
        while (roll >= mixture[set]) {
            roll -= mixture[set++];
        }
        buf_puts(text, sets[set].items[dice(state, (unsigned)sets[set].n)]);
    }
    assert_non_null(buf_str(text));
}

static void check(size_t i, const json_t *text, const json_t *theirs) {
    struct sms_count ours = sms_count(json_string_value(text), json_string_length(text));
    json_t *mine = json_pack("[iii]", (int)ours.ucs2, (int)ours.units, (int)ours.segments);
    if (!json_equal(mine, theirs)) {
        fail_msg("text %zu (%s): ours %s, theirs %s", i, json_dumps(text, JSON_ENCODE_ANY), json_dumps(mine, 0), json_dumps(theirs, 0));
    }
    json_decref(mine);
}

static void ten_thousand_texts_are_counted_as_twilio_counts_them(void **state) {
    (void)state;
    uint32_t seed = 20261126;
    struct buf text = BUF_INIT;
    json_t *texts = json_array();
    for (int i = 0; i < TEXTS; i++) {
        make_text(&seed, &text);
        assert_int_equal(json_array_append_new(texts, json_stringn(text.data, text.len)), 0);
    }
    buf_fini(&text);
    json_t *answer = oracle_ask_take("sms-segments", json_pack("{sO}", "texts", texts));
    if (answer == NULL) {
        json_decref(texts);
        skip();
    }
    const json_t *counts = json_object_get(answer, "counts");
    assert_int_equal(json_array_size(counts), TEXTS);
    for (size_t i = 0; i < TEXTS; i++) {
        check(i, json_array_get(texts, i), json_array_get(counts, i));
    }
    /* The mixtures must have reached what they are for: both alphabets, and texts that the calculator counted all by itself. */
    assert_true(json_integer_value(json_object_get(answer, "ucs2")) > TEXTS / 4);
    assert_true(json_integer_value(json_object_get(answer, "untouched")) > TEXTS / 100);
    json_decref(answer);
    json_decref(texts);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(ten_thousand_texts_are_counted_as_twilio_counts_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
