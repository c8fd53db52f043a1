/* What a writer is told about words that would compile. */
#include "set_fixture.h"

static void shipped_words_have_no_findings(void **state) {
    struct err err = {0};
    struct template_report report = {0};
    (void)state;
    struct template_set *set = template_set_load("templates/messages", &report, &err);
    for (size_t i = 0; i < report.n; i++) {
        print_error("%s:%d: %s\n", report.findings[i].file, report.findings[i].line, report.findings[i].text);
    }
    assert_non_null(set);
    assert_int_equal(report.n, 0);
    template_report_fini(&report);
    template_set_free(set);
}

static void a_curly_quote_that_doubles_the_cost_is_told(void **state) {
    (void)state;
    fixture_write("n/en/sms.txt", "Walton: {{word}}\nSomething has happened to your account that you should know about.\nPlease don\u2019t "
                                  "wait: see walton.example/check\n");
    fixture_refused("n/en/sms.txt", 3, "the curly quote on line 3 makes this 2 messages instead of 1");
    fixture_write("n/en/sms.txt", "Walton: {{word}}\nSomething has happened to your account that you should know about.\nPlease don't "
                                  "wait: see walton.example/check\n");
    template_set_free(fixture_load());
}

static void an_sms_over_its_segments_is_told(void **state) {
    char text[700];
    (void)state;
    memset(text, 'x', sizeof text);
    (void)strcpy(text + 500, " {{word}} walton.example\n");
    fixture_write("n/en/sms.txt", text);
    fixture_refused("n/en/sms.txt", 0, "4 messages long");
}

static void a_push_over_its_size_is_told(void **state) {
    char text[4200];
    (void)state;
    memset(text, 'x', sizeof text);
    (void)strcpy(text, "---\ntitle: t\n---\n{{word}} walton.example ");
    text[strlen(text)] = 'x';
    text[sizeof text - 1] = '\0';
    fixture_write("n/en/push.md", text);
    fixture_refused("n/en/push.md", 0, "push message is");
}

static void asking_for_a_password_is_told_in_every_language(void **state) {
    static const struct {
        const char *locale, *text;
        bool bad;
    } cases[] = {
        {"en", "Please reply with your password.", true},
        {"en", "To go on, confirm your current\npassword on walton.example.", true},
        {"en", "We will never ask you to send us your password.", false},
        {"en", "Choose a new password. Enter a new password.", false},
        {"de", "Bitte senden Sie uns Ihr Passwort.", true},
        {"de", "Wir bitten Sie nie, uns Ihr Passwort zu senden.", false},
        {"de", "Geben Sie Ihr Kennwort ein.", true},
        {"fr", "Envoyez-nous votre mot de passe.", true},
        {"fr", "N'envoyez jamais votre mot de passe.",
         true}, /* "never" counts in front of the verb only: refused rather than let through */
        {"es", "Confirme su contraseña.", true},
        {"es", "Nunca le pediremos que envíe su contraseña.", false},
        {"ar", "أرسل كلمة المرور إلينا.", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[64];
        char text[300];
        for (size_t k = 0; k < 4; k++) {
            (void)snprintf(path, sizeof path, "n/%s/%s", cases[i].locale, strrchr(fixture_base[3 + k].path, '/') + 1);
            fixture_write(path, fixture_base[3 + k].text);
        }
        (void)snprintf(path, sizeof path, "n/%s/banner.md", cases[i].locale);
        (void)snprintf(text, sizeof text, "---\ntitle: \"{{word}}\"\n---\n{{word}}\n%s\n", cases[i].text);
        fixture_write("company.yaml", "name: W\ncheck_url: https://walton.example/check\nlink_hosts: [walton.example]\nhow_to_check: {en: "
                                      "x, de: x, fr: x, es: x, ar: x}\n");
        fixture_write(path, text);
        if (cases[i].bad) {
            fixture_refused(path, 5, "ask for a secret");
        } else {
            template_set_free(fixture_load());
        }
        fixture_write(path, fixture_base[6].text);
    }
}

static void the_company_s_own_sentences_are_checked_too(void **state) {
    (void)state;
    fixture_write("company.yaml", "name: W\ncheck_url: https://walton.example/check\nlink_hosts: [walton.example]\n"
                                  "how_to_check: {en: \"Enter your password at walton.example/check.\"}\n");
    fixture_refused("company.yaml", 0, "password");
    fixture_write("company.yaml", "name: W\ncheck_url: https://walton.example/check\nlink_hosts: [walton.example]\nhow_to_check: {en: x}\n"
                                  "login_title: {en: y}\nlogin_text: {en: \"Act now!\"}\n");
    fixture_refused("company.yaml", 0, "act now");
}

static void panic_is_told_with_its_line(void **state) {
    static const char *const bad[] = {"Act now or lose it.", "URGENT: read this.", "Your account will be\ndeleted.", "Read this!!"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[200];
        (void)snprintf(text, sizeof text, "---\nsubject: s {{word}}\npreheader: p\n---\n\nHello {{word}}\n\n%s\n", bad[i]);
        fixture_write("n/en/email.md", text);
        fixture_refused("n/en/email.md", 8, i == 3 ? "shouts" : "presses the reader");
    }
    fixture_write("n/en/email.md",
                  "---\nsubject: s {{word}}\npreheader: p\n---\nYou can do it when it suits you. The snow is permanent.\n");
    template_set_free(fixture_load());
}

static void addresses_in_plain_text_are_checked(void **state) {
    (void)state;
    fixture_write("n/en/sms.txt", "{{word}} walton.example\nor bit.ly/xyz\n");
    fixture_refused("n/en/sms.txt", 2, "shortener");
    fixture_write("n/en/sms.txt", "{{word}} walton.example.evil.com/x\n");
    fixture_refused("n/en/sms.txt", 1, "not allowed");
    fixture_write("n/en/sms.txt", "{{word}} http://walton.example/x\n");
    fixture_refused("n/en/sms.txt", 1, "https://");
    fixture_write("n/en/sms.txt", "{{word}} e.g. https://walton.example/help.html?a=b.cd, z.B. 1.50 or 12.30.\n");
    template_set_free(fixture_load());
}

static void a_message_must_say_how_to_check_it(void **state) {
    (void)state;
    fixture_write("n/en/sms.txt", "Walton: {{word}}\n");
    fixture_refused("n/en/sms.txt", 0, "no way to check");
    fixture_write("n/en/sms.txt", "Walton: {{word}} {{check_url}}\n");
    template_set_free(fixture_load());
    fixture_write("layout.html", "<html>{{{content}}}</html>\n");
    fixture_refused("layout.html", 0, "{{check}}");
    fixture_write("layout.html", "<html>{{check}}</html>\n");
    fixture_refused("layout.html", 0, "{{{content}}}");
    fixture_write("layout.html", fixture_base[1].text);
    fixture_write("company.yaml",
                  "name: W\ncheck_url: https://walton.example/check\nlink_hosts: [walton.example]\nhow_to_check: {de: x}\n");
    fixture_refused("company.yaml", 0, "no sentence for \"en\"");
}

static void languages_must_show_the_same_variables(void **state) {
    (void)state;
    for (size_t i = 3; i < 7; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "n/de/%s", strrchr(fixture_base[i].path, '/') + 1);
        fixture_write(path, fixture_base[i].text);
    }
    fixture_write("n/de/sms.txt", "Walton\nwalton.example {{#count}}{{count}}{{/count}}\n");
    fixture_refused("n/de/sms.txt", 0, "{{word}} is missing here, but n/en/sms.txt has it");
    fixture_refused("n/de/sms.txt", 2, "{{count}} stands here, but not in n/en/sms.txt");
}

static void an_example_must_fit_its_variable(void **state) {
    (void)state;
    fixture_write(
        "n/notice.yaml",
        "description: d\nseverity: info\nvariables:\n  - {name: word, example: x}\n  - {name: when, type: date, example: soon}\n");
    fixture_refused("n/notice.yaml", 0, "mend the example");
}

static void advice_keeps_nothing_out(void **state) {
    (void)state;
    fixture_advised("n/notice.yaml", "no text shows {{count}}");
    fixture_write(
        "n/en/email.md",
        "---\nsubject: \"{{word}} a subject that goes on and on until nobody can read all of it on any screen at all\"\n---\nx\n");
    fixture_advised("n/en/email.md", "the subject is");
    fixture_advised("n/en/email.md", "no preheader");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(shipped_words_have_no_findings),
        TEST(a_curly_quote_that_doubles_the_cost_is_told),
        TEST(an_sms_over_its_segments_is_told),
        TEST(a_push_over_its_size_is_told),
        TEST(asking_for_a_password_is_told_in_every_language),
        TEST(the_company_s_own_sentences_are_checked_too),
        TEST(panic_is_told_with_its_line),
        TEST(addresses_in_plain_text_are_checked),
        TEST(a_message_must_say_how_to_check_it),
        TEST(languages_must_show_the_same_variables),
        TEST(an_example_must_fit_its_variable),
        TEST(advice_keeps_nothing_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
