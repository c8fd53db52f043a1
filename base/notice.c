/* notice: see notice.h. The tables behind the X-macro lists, and the look-ups in them.
 *
 * A channel, a contact status or a state is added by one line in notice.h; nothing here changes. */
#include "base/notice.h"

#include <assert.h>
#include <string.h>

#define CHANNEL_ROW(id, name, address, passive) [id] = {name, address, passive},
static const struct channel_traits channels[CHANNEL_COUNT] = {CHANNEL_LIST(CHANNEL_ROW)};

const struct channel_traits *channel_traits(enum channel_id id) {
    assert((unsigned)id < CHANNEL_COUNT);
    return &channels[id];
}

int channel_find(const char *name, enum channel_id *id_r) {
    for (int i = 0; i < CHANNEL_COUNT; i++) {
        if (strcmp(channels[i].name, name) == 0) {
            *id_r = (enum channel_id)i;
            return 1;
        }
    }
    return 0;
}

#define STATUS_ROW(id, name) [id] = name,
static const char *const statuses[CONTACT_STATUS_COUNT] = {CONTACT_STATUS_LIST(STATUS_ROW)};

const char *contact_status_name(enum contact_status status) {
    assert((unsigned)status < CONTACT_STATUS_COUNT);
    return statuses[status];
}

int contact_status_find(const char *name, enum contact_status *status_r) {
    for (int i = 0; i < CONTACT_STATUS_COUNT; i++) {
        if (strcmp(statuses[i], name) == 0) {
            *status_r = (enum contact_status)i;
            return 1;
        }
    }
    return 0;
}

struct state_row {
    char letter;
    const char *name;
    bool final;
    bool held;
};

#define STATE_ROW(id, letter, name, final, held) [id] = {letter, name, final, held},
static const struct state_row states[NOTICE_STATE_COUNT] = {NOTICE_STATE_LIST(STATE_ROW)};

static const struct state_row *state_row(enum notice_state state) {
    assert((unsigned)state < NOTICE_STATE_COUNT);
    return &states[state];
}

char notice_state_letter(enum notice_state state) {
    return state_row(state)->letter;
}

const char *notice_state_name(enum notice_state state) {
    return state_row(state)->name;
}

bool notice_state_final(enum notice_state state) {
    return state_row(state)->final;
}

bool notice_state_held(enum notice_state state) {
    return state_row(state)->held;
}

int notice_state_from_letter(char letter, enum notice_state *state_r) {
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        if (states[i].letter == letter) {
            *state_r = (enum notice_state)i;
            return 1;
        }
    }
    return 0;
}

int notice_state_from_name(const char *name, enum notice_state *state_r) {
    for (int i = 0; i < NOTICE_STATE_COUNT; i++) {
        if (strcmp(states[i].name, name) == 0) {
            *state_r = (enum notice_state)i;
            return 1;
        }
    }
    return 0;
}
