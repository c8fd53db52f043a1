/* record: see record.h. Pure. Fails: queue_record_read() on anything that does not have the form. */
#include "queue/record.h"

#include "queue/keys.h"

#include <string.h>

void queue_record_token(uint64_t fence, char out[RECORD_TOKEN_LEN]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = RECORD_TOKEN_LEN - 1; i >= 0; i--) {
        out[i] = digits[fence & 15];
        fence >>= 4;
    }
}

bool queue_begins(const struct queue_change *change) {
    return change->fence_seen == 0 && change->state == NOTICE_SENDING && change->from != NULL && change->ack == NULL;
}

void queue_record_put(struct buf *out, const struct queue_change *change) {
    char head[1 + RECORD_TOKEN_LEN + 1];
    head[0] = notice_state_letter(change->state);
    queue_record_token(change->fence, head + 1);
    head[1 + RECORD_TOKEN_LEN] = ' ';
    buf_put(out, head, sizeof head);
    buf_puts(out, change->customer);
    buf_putc(out, ' ');
    if (queue_begins(change)) {
        char lease[RECORD_TOKEN_LEN];
        queue_record_token(change->from->leased.lease, lease);
        buf_putc(out, '@');
        buf_puts(out, stream_name((enum stream)change->from->lane));
        buf_putc(out, '/');
        buf_put(out, lease, sizeof lease);
        buf_putc(out, ',');
        buf_puts(out, change->from->stream_id);
        buf_putc(out, ' ');
    }
    buf_puts(out, change->record);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_token(const char *text, uint64_t *fence_r) {
    uint64_t fence = 0;
    for (int i = 0; i < RECORD_TOKEN_LEN; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            return -1;
        }
        fence = fence << 4 | (uint64_t)digit;
    }
    *fence_r = fence;
    return 0;
}

static const char *behind_lease(const char *text) {
    const char *blank = text[0] == '@' ? strchr(text, ' ') : NULL;
    return blank == NULL ? text : blank + 1;
}

int queue_record_read(const char *text, size_t len, struct queue_record *record, const char **customer_r, size_t *customer_len_r) {
    const char *customer = text + 1 + RECORD_TOKEN_LEN + 1;
    if (len < 1 + RECORD_TOKEN_LEN + 2 || text[1 + RECORD_TOKEN_LEN] != ' ' || !notice_state_from_letter(text[0], &record->state) ||
        read_token(text + 1, &record->fence) < 0) {
        return -1;
    }
    const char *blank = memchr(customer, ' ', len - (size_t)(customer - text));
    if (blank == NULL) {
        return -1;
    }
    record->found = true;
    record->record = behind_lease(blank + 1);
    if (customer_r != NULL) {
        *customer_r = customer;
        *customer_len_r = (size_t)(blank - customer);
    }
    return 0;
}
