/* lint_text: see lint_text.h.
 *
 * Looks for what security messages must not do, because it is what phishing does (the advice of the NCSC and of GOV.UK): ask for
 * a password or a code, press with threats and deadlines, lead to addresses that are not the company's. The word lists are short and plain;
 * a sentence that says "never" is let through ("we never ask for your password").
 *
 * Does not: understand language. A list can be fooled; it is for the honest writer who did not think of it. */
#include "templates/lint_text.h"

#include "base/buf.h"
#include "templates/report.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/ustring.h>
#include <unicode/utf16.h>

/* ---- word lists ---------------------------------------------------------------------------------------------------- */
struct language {
    const char *name;
    const char *const *verbs; /* that hand something over */
    const char *const *secrets;
    const char *const *innocent; /* between the two: "a new password" is chosen, not handed over */
    const char *const *never;    /* in the same sentence, before the verb */
    const char *const *panic;
};

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct language languages[] = {
    {"en",
     WORDS("enter", "confirm", "send", "verify", "provide", "tell us", "give us", "reply", "submit", "type in", "share", "respond with",
           "text us"),
     WORDS("password", "passcode", "pin", "security code", "card number", "cvv", "one-time code", "login details", "credentials"),
     WORDS("new", "not"), WORDS("never", "not", "don't", "nobody", "no one"),
     WORDS("urgent", "urgently", "immediately", "immediate action", "act now", "right now", "at once", "final warning", "final notice",
           "last chance", "will be deleted", "will be closed", "will be terminated", "permanently", "suspended", "legal action", "or else",
           "within 24 hours", "hurry", "attention!", "failure to")},
    {"de", WORDS("geben", "bestätigen", "senden", "schicken", "teilen", "nennen", "übermitteln", "antworten", "verraten", "eingeben"),
     WORDS("passwort", "kennwort", "pin", "sicherheitscode", "kartennummer", "einmalcode", "zugangsdaten", "tan"),
     WORDS("neu", "neues", "neue", "neuen", "nicht"), WORDS("nie", "niemals", "nicht", "niemand", "keinesfalls"),
     WORDS("dringend", "sofort", "umgehend", "unverzüglich", "letzte warnung", "letzte mahnung", "letzte chance", "wird gelöscht",
           "wird geschlossen", "wird gesperrt", "endgültig", "gesperrt", "rechtliche schritte", "andernfalls", "innerhalb von 24 stunden",
           "achtung!")},
    {"fr",
     WORDS("saisissez", "confirmez", "envoyez", "vérifiez", "indiquez", "communiquez", "donnez", "répondez", "fournissez", "transmettez",
           "saisir", "envoyer"),
     WORDS("mot de passe", "code secret", "code pin", "code de sécurité", "numéro de carte", "identifiants", "code à usage unique"),
     WORDS("nouveau", "pas"), WORDS("jamais", "ne", "personne"),
     WORDS("urgent", "urgence", "immédiatement", "sans délai", "tout de suite", "dernier avertissement", "dernière chance", "sera supprimé",
           "sera fermé", "sera clôturé", "définitivement", "suspendu", "poursuites", "faute de quoi", "sous 24 heures", "attention !")},
    {"es",
     WORDS("introduzca", "confirme", "envíe", "envíenos", "verifique", "indique", "facilite", "responda", "comunique", "escriba",
           "proporcione", "díganos"),
     WORDS("contraseña", "pin", "código de seguridad", "número de tarjeta", "datos de acceso", "código de un solo uso", "credenciales"),
     WORDS("nueva", "nuevo", "no"), WORDS("nunca", "jamás", "no", "nadie"),
     WORDS("urgente", "urgentemente", "inmediatamente", "de inmediato", "ahora mismo", "último aviso", "última oportunidad",
           "será eliminada", "será cerrada", "será cancelada", "definitivamente", "suspendida", "acciones legales", "de lo contrario",
           "en 24 horas", "¡atención!")},
    {"ar", WORDS("أدخل", "أرسل", "أكد", "أكّد", "زودنا", "أخبرنا", "شارك", "اكتب"),
     WORDS("كلمة المرور", "كلمة مرورك", "كلمة السر", "الرقم السري", "رمز الأمان", "رقم البطاقة", "رمز التحقق"), WORDS("جديدة", "جديد"),
     WORDS("لن", "لا", "أبدًا", "أبدا"),
     WORDS("عاجل", "فورًا", "فورا", "حالًا", "تحذير أخير", "الفرصة الأخيرة", "سيتم حذف", "سيتم إغلاق", "نهائيًا", "معلق", "إجراءات قانونية",
           "وإلا", "خلال 24 ساعة")},
};

static const struct language *find_language(const char *locale) {
    size_t len = strcspn(locale, "-");
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        if (strlen(languages[i].name) == len && strncmp(languages[i].name, locale, len) == 0) {
            return &languages[i];
        }
    }
    return NULL;
}

/* ---- the text ------------------------------------------------------------------------------------------------------ */
struct folding {
    struct buf text;
    int *lines;
    size_t cap;
};

static void fold_put(struct folding *folding, const char *bytes, size_t len, int line) {
    bool blank = len == 1 && bytes[0] == ' ';
    if (folding->text.len + len >= folding->cap || (blank && folding->text.len > 0 && folding->text.data[folding->text.len - 1] == ' ')) {
        return;
    }
    for (size_t i = 0; i < len; i++) {
        folding->lines[folding->text.len + i] = line;
    }
    buf_put(&folding->text, bytes, len);
}

/* One character in lower case. Typographic apostrophes become plain ones, so that lists need one form. */
static void fold_character(struct folding *folding, UChar32 c, int line) {
    UChar units[U16_MAX_LENGTH];
    char bytes[8];
    int32_t n_units = 0;
    int32_t n_bytes = 0;
    UErrorCode status = U_ZERO_ERROR;
    c = c == 0x2019 ? '\'' : u_isUWhiteSpace(c) ? ' ' : u_foldCase(c, U_FOLD_CASE_DEFAULT);
    U16_APPEND_UNSAFE(units, n_units, c);
    (void)u_strToUTF8(bytes, sizeof bytes, &n_bytes, units, n_units, &status);
    fold_put(folding, bytes, U_SUCCESS(status) ? (size_t)n_bytes : 0, line);
}

static void fold_all(struct folding *folding, const struct source *source) {
    int line = source->line;
    for (size_t i = 0; i < source->len;) {
        const char *p = source->text + i;
        if (strncmp(p, "{{", 2) == 0 && memmem(p, source->len - i, "}}", 2) != NULL) {
            size_t tag = (size_t)((const char *)memmem(p, source->len - i, "}}", 2) - p) + 2;
            bool shown = strchr("#^/!>=", p[2]) == NULL;
            fold_put(folding, shown ? "{}" : " ", shown ? 2 : 1, line);
            for (size_t k = 0; k < tag; k++) {
                line += p[k] == '\n';
            }
            i += tag;
            continue;
        }
        UChar32 c = (unsigned char)*p;
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        c = n == 1 ? c : c & (0x7f >> n);
        for (size_t k = 1; k < n; k++) {
            c = c << 6 | ((unsigned char)p[k] & 0x3f);
        }
        fold_character(folding, c, line);
        line += c == '\n';
        i += n;
    }
}

struct lint_text lint_text_of(const struct source *source, struct arena *arena) {
    struct folding folding = {.cap = source->len * 3 + 8};
    struct lint_text text = {.text = "", .len = 0};
    folding.lines = arena_array(arena, folding.cap, sizeof *folding.lines);
    if (folding.lines == NULL) {
        return text;
    }
    fold_all(&folding, source);
    const char *folded = buf_str(&folding.text);
    const char *kept = folded == NULL ? NULL : arena_strndup(arena, folded, folding.text.len);
    if (kept != NULL) {
        text = (struct lint_text){.text = kept, .len = folding.text.len, .lines = folding.lines};
    }
    buf_fini(&folding.text);
    return text;
}

/* ---- finding words ------------------------------------------------------------------------------------------------- */
static bool is_word_byte(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || c == '_';
}

/* The next place at or after `from` and before `to` where `word` stands as a word of its own, or NULL. */
static const char *find_word(const char *begin, const char *from, const char *to, const char *word) {
    size_t len = strlen(word);
    for (const char *p = from; p < to && (size_t)(to - p) >= len; p++) {
        p = memmem(p, (size_t)(to - p), word, len);
        if (p == NULL) {
            return NULL;
        }
        bool starts = p == begin || !is_word_byte(p[-1]);
        bool ends = p + len == to || !is_word_byte(p[len]) || !is_word_byte(word[len - 1]);
        if (starts && ends) {
            return p;
        }
    }
    return NULL;
}

static const char *find_any(const char *begin, const char *from, const char *to, const char *const *words, const char **word_r) {
    for (size_t i = 0; words[i] != NULL; i++) {
        const char *found = find_word(begin, from, to, words[i]);
        if (found != NULL) {
            *word_r = words[i];
            return found;
        }
    }
    return NULL;
}

/* Where the sentence around `at` ends: a full stop, question or exclamation mark, colon or the end of the text. */
static bool is_end(const char *p) {
    return (*p == '.' || *p == '!' || *p == '?' || *p == ':' || *p == ';') && (p[1] == ' ' || p[1] == '\0');
}

static const char *sentence_begin(const char *begin, const char *at) {
    while (at > begin && !is_end(at - 1)) {
        at--;
    }
    return at;
}

static const char *sentence_end(const char *at) {
    while (*at != '\0' && !is_end(at)) {
        at++;
    }
    return at;
}

/* ---- secrets and panic --------------------------------------------------------------------------------------------- */
static void check_verb(const struct lint_text *text, const char *file, const struct language *language, const char *verb, const char *at,
                       struct template_report *report) {
    const char *secret = NULL;
    const char *other = NULL;
    const char *begin = sentence_begin(text->text, at);
    const char *end = sentence_end(at);
    const char *found = find_any(text->text, at, end, language->secrets, &secret);
    if (found == NULL || found - at > 60 || find_any(text->text, at, found, language->innocent, &other) != NULL ||
        find_any(text->text, begin, at, language->never, &other) != NULL) {
        return;
    }
    (void)report_error(
        report, file, text->lines[at - text->text],
        "this seems to ask for a secret (\"%s ... %s\"); a genuine message never does, so customers must not learn to expect it: "
        "send them to the website instead",
        verb, secret);
}

static void lint_secrets(const struct lint_text *text, const char *file, const struct language *language, struct template_report *report) {
    const char *to = text->text + text->len;
    for (size_t i = 0; language->verbs[i] != NULL; i++) {
        const char *at = find_word(text->text, text->text, to, language->verbs[i]);
        for (; at != NULL; at = find_word(text->text, at + 1, to, language->verbs[i])) {
            check_verb(text, file, language, language->verbs[i], at, report);
        }
    }
}

static void lint_panic(const struct lint_text *text, const char *file, const struct language *language, struct template_report *report) {
    const char *to = text->text + text->len;
    for (size_t i = 0; language->panic[i] != NULL; i++) {
        const char *at = find_word(text->text, text->text, to, language->panic[i]);
        if (at != NULL) {
            (void)report_error(report, file, text->lines[at - text->text],
                               "\"%s\" presses the reader, as phishing does; say calmly what happened, what to do and by when",
                               language->panic[i]);
        }
    }
    const char *shout = strstr(text->text, "!!");
    if (shout != NULL) {
        (void)report_error(report, file, text->lines[shout - text->text],
                           "\"!!\" shouts at the reader, as phishing does; end the sentence with a full stop");
    }
}

/* ---- addresses in the text ----------------------------------------------------------------------------------------- */
static bool is_host_byte(char c) {
    return isalnum((unsigned char)c) || c == '-' || c == '.';
}

/* Whether the last label is of two letters or more, as a domain's is. */
static bool looks_like_host(const char *host, size_t len) {
    const char *dot = memrchr(host, '.', len);
    size_t label = dot == NULL ? 0 : (size_t)(host + len - dot - 1);
    for (size_t i = 0; i < label; i++) {
        if (!isalpha((unsigned char)dot[1 + i])) {
            return false;
        }
    }
    return label >= 2 && dot > host && host[0] != '.' && memmem(host, len, "..", 2) == NULL;
}

static void check_host(const struct lint_text *text, const char *file, const char *at, size_t len, const struct link_rules *links,
                       struct template_report *report) {
    char url[300] = "https://";
    size_t used = strlen(url);
    if (len >= sizeof url - used) {
        len = sizeof url - used - 1;
    }
    memcpy(url + used, at, len);
    url[used + len] = '\0';
    const char *refused = links_refuse(links, url, used + len);
    if (refused != NULL) {
        (void)report_error(report, file, text->lines[at - text->text], "\"%.*s\" %s", (int)len, at, refused);
    }
}

/* Whether `at` is in the path or query of an address that began before it. */
static bool in_path(const struct lint_text *text, const char *at) {
    for (const char *p = at; p > text->text + 1 && p[-1] != ' '; p--) {
        if (p[-1] == '/' && p[-2] != '/' && p[-2] != ':') {
            return true;
        }
    }
    return false;
}

static void lint_hosts(const struct lint_text *text, const char *file, const struct link_rules *links, struct template_report *report) {
    for (const char *p = text->text; *p != '\0'; p++) {
        size_t len = 0;
        while (is_host_byte(p[len])) {
            len++;
        }
        size_t host = len;
        while (host > 0 && (p[host - 1] == '.' || p[host - 1] == '-')) {
            host--;
        }
        if (looks_like_host(p, host) && !in_path(text, p)) {
            check_host(text, file, p, host, links, report);
        }
        p += len > 0 ? len - 1 : 0;
    }
    const char *plain = strstr(text->text, "http://");
    if (plain != NULL) {
        (void)report_error(report, file, text->lines[plain - text->text], "an address begins with http://; write https://");
    }
}

bool lint_names_host(const struct lint_text *text, const struct conf_strings *hosts) {
    for (size_t i = 0; i < hosts->n; i++) {
        if (strstr(text->text, hosts->items[i]) != NULL) {
            return true;
        }
    }
    return false;
}

void lint_words(const struct lint_text *text, const char *file, const char *locale, const struct link_rules *links,
                struct template_report *report) {
    const struct language *language = find_language(locale);
    lint_hosts(text, file, links, report);
    if (language != NULL) {
        lint_secrets(text, file, language, report);
        lint_panic(text, file, language, report);
    }
}
