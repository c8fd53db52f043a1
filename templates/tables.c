/* tables: what company.yaml and notice.yaml may hold; see set.h.
 *
 * The tables give the checks, the defaults and the words of the errors (base/conf.h). Does not: read files. */
#include "templates/links.h"
#include "templates/set.h"

#include <string.h>

static int check_company(void *object, struct err *err) {
    struct company *company = object;
    struct link_rules rules = {.company = &company->link_hosts};
    for (size_t i = 0; i < company->link_hosts.n; i++) {
        const char *refused = links_refuse_host(company->link_hosts.items[i]);
        if (refused != NULL) {
            return err_set(err, ERR_MEMBER, "link_hosts: \"%s\" %s", company->link_hosts.items[i], refused);
        }
    }
    const char *refused = links_refuse(&rules, company->check_url, strlen(company->check_url));
    if (refused != NULL) {
        return err_set(err, ERR_MEMBER, "check_url %s", refused);
    }
    const char *url = company->reset_link.url;
    refused = url == NULL ? NULL : links_refuse(&rules, url, strlen(url));
    return refused == NULL ? 0 : err_set(err, ERR_MEMBER, "reset_link.url %s", refused);
}

#define AT(type, member) offsetof(struct type, member)
#define LIFETIME_ROW(id, label, address, passive)                                                                                          \
    {.name = label,                                                                                                                        \
     .type = CONF_DURATION,                                                                                                                \
     .offset = AT(reset_settings, lifetime_ms[id]),                                                                                        \
     .initial = "PT24H",                                                                                                                   \
     .min = 60000,                                                                                                                         \
     .max = (int64_t)90 * 86400000,                                                                                                        \
     .help = "how long a link that went out through " label " works"},
static const struct conf_key reset_keys[] = {
    {.name = "url", .type = CONF_STRING, .offset = AT(reset_settings, url), .max = 400, .help = "the page it leads to"},
    CHANNEL_LIST(LIFETIME_ROW)};
static const struct conf_table reset_table = {.name = "reset_link",
                                              .keys = reset_keys,
                                              .n_keys = sizeof reset_keys / sizeof *reset_keys,
                                              .size = sizeof(struct reset_settings),
                                              .where_offset = SIZE_MAX};

static const struct conf_key company_keys[] = {
    {.name = "name",
     .type = CONF_STRING,
     .offset = AT(company, name),
     .min = 1,
     .max = 80,
     .required = true,
     .help = "the company's name, {{company}}"},
    {.name = "default_locale",
     .type = CONF_STRING,
     .offset = AT(company, default_locale),
     .initial = "en",
     .min = 2,
     .max = 35,
     .help = "for customers whose language nobody knows"},
    {.name = "locales", .type = CONF_STRINGS, .offset = AT(company, locales), .help = "languages that every notice must have"},
    {.name = "check_url",
     .type = CONF_STRING,
     .offset = AT(company, check_url),
     .min = 1,
     .max = 400,
     .required = true,
     .help = "the page where customers can check that a message is genuine, {{check_url}}"},
    {.name = "link_hosts",
     .type = CONF_STRINGS,
     .offset = AT(company, link_hosts),
     .required = true,
     .help = "hosts that links may lead to"},
    {.name = "how_to_check",
     .type = CONF_PAIRS,
     .offset = AT(company, how_to_check),
     .required = true,
     .help = "for each language, the sentence at the end of every mail that says how to check it"},
    {.name = "login_title",
     .type = CONF_PAIRS,
     .offset = AT(company, login_title),
     .help = "for each language, the title of what the login page shows to somebody who has a message and cannot sign in"},
    {.name = "login_text",
     .type = CONF_PAIRS,
     .offset = AT(company, login_text),
     .help = "for each language, its text: what to do, without a word about the customer or the message"},
    {.name = "reset_link",
     .type = CONF_SECTION,
     .offset = AT(company, reset_link),
     .table = &reset_table,
     .help = "{{reset_link}}: signed links that are made when a message is sent"},
    {.name = "sms_segments_max",
     .type = CONF_INT,
     .offset = AT(company, sms_segments_max),
     .initial = "3",
     .min = 1,
     .max = 10,
     .help = "the longest SMS, in segments"},
};
const struct conf_table company_table = {.name = "company",
                                         .keys = company_keys,
                                         .n_keys = sizeof company_keys / sizeof *company_keys,
                                         .size = sizeof(struct company),
                                         .where_offset = AT(company, where),
                                         .check = check_company};

const char *const variable_type_names[VARIABLE_TYPE_COUNT + 1] = {
#define TYPE_NAME(id, text) [id] = text,
    VARIABLE_TYPE_LIST(TYPE_NAME) NULL};

static const struct conf_key variable_keys[] = {
    {.name = "name",
     .type = CONF_STRING,
     .offset = AT(variable, name),
     .min = 1,
     .max = 40,
     .required = true,
     .help = "as in {{name}}: a-z, 0-9, _"},
    {.name = "type",
     .type = CONF_CHOICE,
     .offset = AT(variable, type),
     .choices = variable_type_names,
     .initial = "string",
     .help = "what it holds"},
    {.name = "description", .type = CONF_STRING, .offset = AT(variable, description), .help = "for writers and for those who push jobs"},
    {.name = "example",
     .type = CONF_STRINGS,
     .offset = AT(variable, example),
     .required = true,
     .help = "for the preview; for a list, several"},
    {.name = "required", .type = CONF_BOOL, .offset = AT(variable, required), .initial = "true", .help = "whether a job must give it"},
};
static const struct conf_table variable_table = {.name = "variable",
                                                 .keys = variable_keys,
                                                 .n_keys = sizeof variable_keys / sizeof *variable_keys,
                                                 .size = sizeof(struct variable),
                                                 .where_offset = AT(variable, where)};

const char *const notice_severities[] = {"info", "warning", "critical", NULL};

static const struct conf_key notice_keys[] = {
    {.name = "description",
     .type = CONF_STRING,
     .offset = AT(notice_file, description),
     .min = 1,
     .max = 400,
     .required = true,
     .help = "when this notice is sent"},
    {.name = "severity",
     .type = CONF_CHOICE,
     .offset = AT(notice_file, severity),
     .choices = notice_severities,
     .required = true,
     .help = "how severe it is"},
    {.name = "sms_segments_max",
     .type = CONF_INT,
     .offset = AT(notice_file, sms_segments_max),
     .initial = "0",
     .min = 0,
     .max = 10,
     .help = "the longest SMS of this notice, in segments; a longer one is not sent; 0: as company.yaml says"},
    {.name = "variables",
     .type = CONF_LIST,
     .offset = AT(notice_file, variables),
     .table = &variable_table,
     .help = "what a job gives in `data`"},
};
const struct conf_table notice_table = {.name = "notice",
                                        .keys = notice_keys,
                                        .n_keys = sizeof notice_keys / sizeof *notice_keys,
                                        .size = sizeof(struct notice_file),
                                        .where_offset = AT(notice_file, where)};
