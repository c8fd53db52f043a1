/* channel_files: see channel_files.h.
 *
 * email.md   front matter: subject, preheader, from, from_address, reply_to, link_hosts; then Markdown
 * sms.txt    the text, nothing else
 * push.md    front matter: title, link, link_hosts; then plain text
 * banner.md  front matter: title, link, link_hosts; then Markdown
 *
 * Does not: say what is good style (lint.c) or find files (load.c). */
#include "templates/channel_files.h"

#include "base/smtp_address.h"
#include "templates/report.h"
#include "templates/values.h"

#include <string.h>

struct front {
    const char *subject;
    const char *preheader;
    const char *from;
    const char *from_address;
    const char *reply_to;
    const char *title;
    const char *link;
    struct conf_strings link_hosts;
};

enum { LINE_MAX_BYTES = 300 };

#define AT(member) offsetof(struct front, member)
#define LINK_HOSTS_ROW                                                                                                                     \
    { .name = "link_hosts", .type = CONF_STRINGS, .offset = AT(link_hosts), .help = "hosts this file may link to, besides the company's" }

static const struct conf_key email_keys[] = {
    {.name = "subject",
     .type = CONF_STRING,
     .offset = AT(subject),
     .min = 1,
     .max = LINE_MAX_BYTES,
     .required = true,
     .help = "the subject"},
    {.name = "preheader",
     .type = CONF_STRING,
     .offset = AT(preheader),
     .max = LINE_MAX_BYTES,
     .help = "what inboxes show behind the subject"},
    {.name = "from", .type = CONF_STRING, .offset = AT(from), .max = 80, .help = "the sender's name; without it, the gateway's"},
    {.name = "from_address",
     .type = CONF_STRING,
     .offset = AT(from_address),
     .max = SMTP_ADDRESS_MAX,
     .help = "the sender's address; without it, the gateway's"},
    {.name = "reply_to",
     .type = CONF_STRING,
     .offset = AT(reply_to),
     .max = SMTP_ADDRESS_MAX,
     .help = "where answers go; without it, where the gateway's settings say"},
    LINK_HOSTS_ROW,
};
static const struct conf_table email_table = {.name = "email",
                                              .keys = email_keys,
                                              .n_keys = sizeof email_keys / sizeof *email_keys,
                                              .size = sizeof(struct front),
                                              .where_offset = SIZE_MAX};

static const struct conf_key card_keys[] = {
    {.name = "title", .type = CONF_STRING, .offset = AT(title), .min = 1, .max = LINE_MAX_BYTES, .required = true, .help = "the heading"},
    {.name = "link",
     .type = CONF_STRING,
     .offset = AT(link),
     .max = LINE_MAX_BYTES,
     .help = "what opens: an address, or a variable of type url"},
    LINK_HOSTS_ROW,
};
static const struct conf_table card_table = {.name = "card",
                                             .keys = card_keys,
                                             .n_keys = sizeof card_keys / sizeof *card_keys,
                                             .size = sizeof(struct front),
                                             .where_offset = SIZE_MAX};

static int check_hosts(struct compiler *compiler, const struct source *yaml, const struct conf_strings *hosts) {
    int rc = 0;
    for (size_t i = 0; i < hosts->n; i++) {
        const char *refused = links_refuse_host(hosts->items[i]);
        if (refused != NULL) {
            rc = report_error(compiler->report, yaml->file, files_key_line(yaml, "link_hosts"), "link_hosts: \"%s\" %s", hosts->items[i],
                              refused);
        }
    }
    return rc;
}

/* Takes the front matter off; the text that is left begins at its first character that is not blank. */
static int read_front(struct files *files, struct compiler *compiler, const struct conf_table *table, struct source *source,
                      struct source *yaml, struct front *front, struct words *words) {
    if (files_split(files, source, yaml) < 0 || files_yaml(files, yaml, table, front) < 0 ||
        check_hosts(compiler, yaml, &front->link_hosts) < 0) {
        return -1;
    }
    words->link_hosts = front->link_hosts;
    return 0;
}

static void trim(struct source *source) {
    while (source->len > 0 && strchr(" \t\n", source->text[0]) != NULL) {
        source->line += source->text[0] == '\n';
        source->text++;
        source->len--;
    }
    while (source->len > 0 && strchr(" \t\n", source->text[source->len - 1]) != NULL) {
        source->len--;
    }
}

/* A text of the front matter as a part of the message; absent ones are left out. */
static int compile_front(struct compiler *compiler, const struct source *yaml, const char *key, const char *text, enum part part,
                         struct words *words) {
    if (text == NULL || text[0] == '\0') {
        return 0;
    }
    struct source source = {.file = yaml->file, .line = files_key_line(yaml, key), .text = text, .len = strlen(text)};
    words->has[part] = true;
    return part == PART_LINK ? compile_link(compiler, &source, &words->part[part])
                             : compile_plain(compiler, &source, ESCAPE_NONE, &words->part[part]);
}

/* An address of the front matter. It stands as it is, so that it is known to be one before anybody gets a mail. */
static int compile_mailbox(struct compiler *compiler, const struct source *yaml, const char *key, const char *text, enum part part,
                           struct words *words) {
    struct err why;
    if (text != NULL && strstr(text, "{{") != NULL) {
        return report_error(compiler->report, yaml->file, files_key_line(yaml, key), "%s: no variables here: write the address itself",
                            key);
    }
    if (text != NULL && text[0] != '\0' && smtp_address_check(text, &why) != 0) {
        return report_error(compiler->report, yaml->file, files_key_line(yaml, key), "%s: %s", key, why.text);
    }
    return compile_front(compiler, yaml, key, text, part, words);
}

static int finish(struct compiler *compiler, const struct source *source, struct program_builder *builder, struct program *program) {
    return program_finish(builder, program) == 0 ? 0 : report_error(compiler->report, source->file, 0, "out of memory");
}

static int check_not_empty(struct compiler *compiler, const struct source *source) {
    return source->len > 0
               ? 0
               : report_error(compiler->report, source->file, source->line, "the file has no text; write what the customer will read");
}

/* Markdown into the HTML program and the text part. */
static int compile_body(struct compiler *compiler, struct source *source, bool mail, struct program *html, struct words *words) {
    struct program_builder html_builder;
    struct program_builder text_builder;
    program_builder_init(&html_builder, compiler->arena);
    program_builder_init(&text_builder, compiler->arena);
    trim(source);
    int rc = check_not_empty(compiler, source) < 0 ? -1 : compile_markdown(compiler, source, mail, &html_builder, &text_builder);
    if (rc == 0 && mail) {
        program_puts(&text_builder, "--\n");
        program_call(&text_builder, &name_check_text);
        program_puts(&text_builder, "\n");
    }
    if (rc == 0 &&
        (finish(compiler, source, &html_builder, html) < 0 || finish(compiler, source, &text_builder, &words->part[PART_TEXT]) < 0)) {
        rc = -1;
    }
    words->has[PART_TEXT] = true;
    words->has[PART_HTML] = true;
    program_builder_fini(&html_builder);
    program_builder_fini(&text_builder);
    return rc;
}

static int compile_email(struct files *files, struct compiler *compiler, struct source *source, struct words *words) {
    struct front front = {0};
    struct source yaml;
    if (read_front(files, compiler, &email_table, source, &yaml, &front, words) < 0) {
        return -1;
    }
    int rc = compile_front(compiler, &yaml, "subject", front.subject, PART_SUBJECT, words);
    rc = compile_front(compiler, &yaml, "preheader", front.preheader, PART_PREHEADER, words) < 0 ? -1 : rc;
    rc = compile_front(compiler, &yaml, "from", front.from, PART_FROM, words) < 0 ? -1 : rc;
    rc = compile_mailbox(compiler, &yaml, "from_address", front.from_address, PART_FROM_ADDRESS, words) < 0 ? -1 : rc;
    rc = compile_mailbox(compiler, &yaml, "reply_to", front.reply_to, PART_REPLY_TO, words) < 0 ? -1 : rc;
    return compile_body(compiler, source, true, &words->content, words) < 0 ? -1 : rc;
}

static int compile_sms(struct files *files, struct compiler *compiler, struct source *source, struct words *words) {
    (void)files;
    trim(source);
    words->has[PART_TEXT] = true;
    return check_not_empty(compiler, source) < 0 ? -1 : compile_plain(compiler, source, ESCAPE_NONE, &words->part[PART_TEXT]);
}

static int compile_push(struct files *files, struct compiler *compiler, struct source *source, struct words *words) {
    struct front front = {0};
    struct source yaml;
    if (read_front(files, compiler, &card_table, source, &yaml, &front, words) < 0) {
        return -1;
    }
    int rc = compile_front(compiler, &yaml, "title", front.title, PART_TITLE, words);
    rc = compile_front(compiler, &yaml, "link", front.link, PART_LINK, words) < 0 ? -1 : rc;
    return compile_sms(files, compiler, source, words) < 0 ? -1 : rc;
}

static int compile_banner(struct files *files, struct compiler *compiler, struct source *source, struct words *words) {
    struct front front = {0};
    struct source yaml;
    if (read_front(files, compiler, &card_table, source, &yaml, &front, words) < 0) {
        return -1;
    }
    int rc = compile_front(compiler, &yaml, "title", front.title, PART_TITLE, words);
    rc = compile_front(compiler, &yaml, "link", front.link, PART_LINK, words) < 0 ? -1 : rc;
    return compile_body(compiler, source, false, &words->part[PART_HTML], words) < 0 ? -1 : rc;
}

const struct channel_file channel_files[CHANNEL_COUNT] = {
    [CHANNEL_EMAIL] = {"email.md", compile_email},
    [CHANNEL_SMS] = {"sms.txt", compile_sms},
    [CHANNEL_PUSH] = {"push.md", compile_push},
    [CHANNEL_BANNER] = {"banner.md", compile_banner},
};
