/* idna: see idna.h.
 *
 * The one file of the core that calls ICU. An ASCII name that needs no more than lower case is done without it (that is
 * nearly every name); whatever the short way does not understand, it hands to ICU, which also words the refusal, so the two
 * ways cannot differ in what they accept.
 *
 * ICU is stricter than needed in one point: it refuses hyphens in places 3 and 4 of any label ("r3---x.example"). Such names
 * are registered and receive mail, so that one error is let pass where the label is no A-label. It is laxer in one: it takes
 * an A-label that decodes to plain ASCII ("xn--ada-"), which no registry can hold; that is refused here.
 *
 * Fails: with a sentence about the name that does not repeat the name. The only state is the ICU object, opened once and
 * immutable. */
#include "dispatcher/core/idna.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/uidna.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

enum { LABEL_LONGEST = 63, LOCAL_UNITS_MAX = 512 };

static pthread_once_t icu_once = PTHREAD_ONCE_INIT;
static UIDNA *icu_idna; /* NULL: ICU could not be opened */
static const UNormalizer2 *icu_nfc;

static void open_icu(void) {
    UErrorCode status = U_ZERO_ERROR;
    icu_nfc = unorm2_getNFCInstance(&status);
    icu_idna = uidna_openUTS46(UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ | UIDNA_NONTRANSITIONAL_TO_ASCII |
                                   UIDNA_NONTRANSITIONAL_TO_UNICODE,
                               &status);
    if (U_FAILURE(status)) {
        icu_idna = NULL;
    }
}

static int icu_ready(struct err *err) {
    (void)pthread_once(&icu_once, open_icu);
    return icu_idna != NULL ? 0 : err_set(err, ERR_SYSTEM, "the Unicode library (ICU) cannot be opened: its data are missing or too old");
}

static const struct {
    uint32_t error;
    const char *text;
} refusals[] = {
    {UIDNA_ERROR_EMPTY_LABEL, "the domain has an empty part (two dots in a row, or a dot at its beginning)"},
    {UIDNA_ERROR_LABEL_TOO_LONG, "a part of the domain is longer than 63 characters"},
    {UIDNA_ERROR_DOMAIN_NAME_TOO_LONG, "the domain is longer than 253 characters"},
    {UIDNA_ERROR_LEADING_HYPHEN | UIDNA_ERROR_TRAILING_HYPHEN, "a part of the domain begins or ends with a hyphen"},
    {UIDNA_ERROR_PUNYCODE | UIDNA_ERROR_INVALID_ACE_LABEL, "a part of the domain begins with \"xn--\" but is no encoded name"},
    {UIDNA_ERROR_LEADING_COMBINING_MARK, "a part of the domain begins with a combining mark"},
    {UIDNA_ERROR_LABEL_HAS_DOT, "a part of the domain hides a dot"},
    {UIDNA_ERROR_BIDI, "the domain mixes right-to-left and left-to-right text in a way that IDNA forbids"},
    {UIDNA_ERROR_CONTEXTJ, "the domain has an invisible joiner where IDNA forbids it"},
};

static int refuse(uint32_t errors, struct err *err) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if ((errors & refusals[i].error) != 0) {
            return err_set(err, ERR_MEMBER, "%s", refusals[i].text);
        }
    }
    return err_set(err, ERR_MEMBER, "the domain has a character that a domain name cannot have");
}

/* Whether the label is a number as an IPv4 address is written: digits, or 0x and hexadecimal digits. */
static bool is_number(const char *label) {
    bool hex = label[0] == '0' && label[1] == 'x';
    const char *digits = hex ? label + 2 : label;
    return digits[strspn(digits, hex ? "0123456789abcdef" : "0123456789")] == '\0';
}

/* The rules that hold for every finished name, however it was made. */
static int check_name(const char *name, struct err *err) {
    const char *dot = strrchr(name, '.');
    if (name[0] == '\0') {
        return err_set(err, ERR_MEMBER, "the domain is empty");
    }
    if (is_number(dot == NULL ? name : dot + 1)) {
        return err_set(err, ERR_MEMBER, "the domain is an IP address; only names are taken");
    }
    if (dot == NULL) {
        return err_set(err, ERR_MEMBER, "the domain is a single word; a mail domain has at least two parts (walton.example)");
    }
    return 0;
}

/* An A-label must hold something outside ASCII: Punycode ends with its delimiter exactly where it holds nothing else. */
static bool has_hollow_label(const char *name) {
    for (const char *label = name; label != NULL; label = strchr(label, '.'), label = label == NULL ? NULL : label + 1) {
        size_t len = strcspn(label, ".");
        if (strncmp(label, "xn--", 4) == 0 && (len == 4 || label[len - 1] == '-')) {
            return true;
        }
    }
    return false;
}

int idna_to_ascii_icu(const char *domain, size_t len, char out[DOMAIN_MAX], struct err *err) {
    if (icu_ready(err) != 0) {
        return -1;
    }
    if (len > (size_t)4 * DOMAIN_MAX) {
        return refuse(UIDNA_ERROR_DOMAIN_NAME_TOO_LONG, err);
    }
    char name[8 * DOMAIN_MAX];
    UErrorCode status = U_ZERO_ERROR;
    UIDNAInfo info = UIDNA_INFO_INITIALIZER;
    int32_t n = uidna_nameToASCII_UTF8(icu_idna, domain, (int32_t)len, name, sizeof name - 1, &info, &status);
    if (U_FAILURE(status)) {
        return status == U_BUFFER_OVERFLOW_ERROR ? refuse(UIDNA_ERROR_DOMAIN_NAME_TOO_LONG, err)
                                                 : err_set(err, ERR_SYSTEM, "the domain cannot be read (ICU: %s)", u_errorName(status));
    }
    if ((info.errors & ~(uint32_t)UIDNA_ERROR_HYPHEN_3_4) != 0) {
        return refuse(info.errors & ~(uint32_t)UIDNA_ERROR_HYPHEN_3_4, err);
    }
    if (n > 0 && name[n - 1] == '.') {
        n--;
    }
    name[n] = '\0';
    if (has_hollow_label(name)) {
        return refuse(UIDNA_ERROR_INVALID_ACE_LABEL, err);
    }
    if (n >= DOMAIN_MAX) {
        return refuse(UIDNA_ERROR_DOMAIN_NAME_TOO_LONG, err);
    }
    memcpy(out, name, (size_t)n + 1);
    return check_name(out, err);
}

/* Lower-case letter, digit, hyphen as it stands in a finished name; 0 for anything else. */
static inline char plain(char c) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-') {
        return c;
    }
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return '\0';
}

/* One label without ICU: its length, or 0 where it is not plain. */
static size_t plain_label(const char *label, size_t room, char *out) {
    size_t n = 0;
    for (; n < room && label[n] != '.'; n++) {
        out[n] = plain(label[n]);
        if (out[n] == '\0') {
            return 0;
        }
    }
    bool ok = n > 0 && n <= LABEL_LONGEST && out[0] != '-' && out[n - 1] != '-' && (n < 4 || memcmp(out, "xn--", 4) != 0);
    return ok ? n : 0;
}

/* Whether the whole name could be done without ICU. */
static bool plain_name(const char *domain, size_t len, char out[DOMAIN_MAX]) {
    if (len > 0 && domain[len - 1] == '.') {
        len--;
    }
    if (len == 0 || len >= DOMAIN_MAX) {
        return false;
    }
    for (size_t at = 0;;) {
        size_t n = plain_label(domain + at, len - at, out + at);
        if (n == 0) {
            return false;
        }
        at += n;
        if (at == len) {
            out[at] = '\0';
            return true;
        }
        out[at++] = '.';
    }
}

int idna_to_ascii(const char *domain, size_t len, char out[DOMAIN_MAX], struct err *err) {
    return plain_name(domain, len, out) ? check_name(out, err) : idna_to_ascii_icu(domain, len, out, err);
}

/* Whether a code point can be seen, so that two addresses that look the same are not different in it alone. */
static bool is_visible(UChar32 c) {
    switch (u_charType(c)) {
    case U_UNASSIGNED:
    case U_CONTROL_CHAR:
    case U_FORMAT_CHAR:
    case U_PRIVATE_USE_CHAR:
    case U_SURROGATE:
    case U_SPACE_SEPARATOR:
    case U_LINE_SEPARATOR:
    case U_PARAGRAPH_SEPARATOR: return false;
    default: return !u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT);
    }
}

int idna_fold(const char *text, size_t len, char *out, size_t cap, struct err *err) {
    if (icu_ready(err) != 0) {
        return -1;
    }
    UChar wide[LOCAL_UNITS_MAX], folded[LOCAL_UNITS_MAX], normal[LOCAL_UNITS_MAX];
    UErrorCode status = U_ZERO_ERROR;
    int32_t n = 0;
    u_strFromUTF8(wide, LOCAL_UNITS_MAX, &n, text, (int32_t)len, &status);
    for (int32_t i = 0; U_SUCCESS(status) && i < n;) {
        UChar32 c = 0;
        U16_NEXT(wide, i, n, c);
        if (!is_visible(c)) {
            return err_set(err, ERR_MEMBER, "the part before the '@' has an invisible or blank character");
        }
    }
    n = unorm2_normalize(icu_nfc, wide, n, normal, LOCAL_UNITS_MAX, &status);
    n = u_strFoldCase(folded, LOCAL_UNITS_MAX, normal, n, U_FOLD_CASE_DEFAULT, &status);
    n = unorm2_normalize(icu_nfc, folded, n, normal, LOCAL_UNITS_MAX, &status);
    int32_t bytes = 0;
    u_strToUTF8(out, (int32_t)cap - 1, &bytes, normal, n, &status);
    if (U_FAILURE(status)) {
        return err_set(err, ERR_MEMBER, "the part before the '@' is too long");
    }
    out[bytes] = '\0';
    return 0;
}
