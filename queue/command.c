/* command: see command.h.
 *
 * The number of arguments stands first on the wire but is known last, so the buffer starts with a gap into which the header is
 * written, right-aligned, at the end.
 *
 * Guarantees: binary-safe, one growing buffer, no copy of the whole. Fails: only by want of memory, told once by
 * command_end(). Does not: check names or numbers of arguments. */
#include "queue/command.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_ROOM = 24 };

void command_init(struct command *command, const char *name) {
    *command = (struct command){.bytes = BUF_INIT};
    buf_put(&command->bytes, (char[HEADER_ROOM]){0}, HEADER_ROOM);
    command_puts(command, name);
}

void command_fini(struct command *command) {
    buf_fini(&command->bytes);
}

void command_put(struct command *command, const void *data, size_t len) {
    struct buf *bytes = &command->bytes;
    buf_putc(bytes, '$');
    buf_put_u64(bytes, len);
    buf_put(bytes, "\r\n", 2);
    buf_put(bytes, data, len);
    buf_put(bytes, "\r\n", 2);
    command->n_args++;
}

void command_puts(struct command *command, const char *text) {
    command_put(command, text, strlen(text));
}

void command_put_i64(struct command *command, int64_t value) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)value);
    command_put(command, digits, (size_t)len);
}

int command_end(struct command *command) {
    if (command->bytes.failed) {
        return -1;
    }
    assert(command->start == 0);
    char header[HEADER_ROOM];
    int len = snprintf(header, sizeof header, "*%zu\r\n", command->n_args);
    command->start = HEADER_ROOM - (size_t)len;
    memcpy(command->bytes.data + command->start, header, (size_t)len);
    return 0;
}

const char *command_data(const struct command *command) {
    return command->bytes.data + command->start;
}

size_t command_len(const struct command *command) {
    return command->bytes.len - command->start;
}
