/* fuzz_job: any bytes as a job. Whatever comes in, either it is a job whose strings are as documented, or there is an error of one line
 * that is UTF-8 (it becomes the reason of a dead letter); the same bytes twice give the same digest. */
#include "base/text.h"
#include "dispatcher/job.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(const struct err *err) {
    size_t len = strlen(err->text);
    if (len == 0 || strchr(err->text, '\n') != NULL || !text_is_utf8(err->text, len) || !text_is_utf8(err->member, strlen(err->member))) {
        abort();
    }
}

static void check_job(const struct job_document *document) {
    const struct job *job = &document->job;
    if (job->id == NULL || !text_is_id(job->id) || strlen(document->digest) != 32) {
        abort();
    }
    for (size_t i = 0; i < job->customer.n_contacts; i++) {
        if (job->customer.contacts[i].address == NULL || (unsigned)job->customer.contacts[i].channel >= CHANNEL_COUNT) {
            abort();
        }
    }
}

static int parse(const uint8_t *data, size_t size, char digest[33]) {
    static const struct own_domain own = {.domain = "walton.example", .plus_addressing = true};
    struct arena arena = ARENA_INIT;
    struct job_document document;
    struct err err;
    const char *id = NULL;
    err_clear(&err);
    const struct mailbox_rules *rules = mailbox_rules_new(&own, 1, &arena, &err);
    int rc = job_parse((const char *)data, size, rules, &arena, &document, &id, &err);
    if (rc < 0) {
        check_error(&err);
    } else {
        check_job(&document);
        memcpy(digest, document.digest, 33);
    }
    job_document_fini(&document);
    arena_fini(&arena);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char first[33] = "";
    char second[33] = "";
    if (parse(data, size, first) != parse(data, size, second) || strcmp(first, second) != 0) {
        abort();
    }
    return 0;
}
