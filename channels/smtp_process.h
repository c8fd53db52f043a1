/* smtp_process: how a mailer process comes to be: its board, its socket, its birth. */
#ifndef REACH_CHANNELS_SMTP_PROCESS_H
#define REACH_CHANNELS_SMTP_PROCESS_H

#include "base/err.h"
#include "channels/smtp_link.h"

#include <sys/types.h>

/* Called for each slot of a board that an earlier process has left. */
typedef void smtp_board_fn(void *ctx, const struct smtp_board_slot *slot);

/* Makes a board of n slots in shared memory, or in the file `path` (mode 600), which is locked as long as this process or a mailer of it
 * lives. With `left` what an earlier process left there is shown first; its mailers may still wait for answers: waits for them a few
 * seconds (this blocks; only for opening a gateway at the start), and then leaves them their file and makes another. Without `left` the
 * file is another gateway's of ours where it is locked: NULL with ERR_CONFLICT. The caller unmaps it (smtp_board_bytes(n)) and closes
 * *fd_r. NULL with *err. */
struct smtp_board *smtp_process_board(uint32_t n, const char *path, smtp_board_fn *left, void *ctx, int *fd_r, struct err *err);

/* Shows what an earlier process left in the file `path`, and empties it. 1; 0 where there is none; -1 with *err. */
int smtp_process_read_board(const char *path, smtp_board_fn *left, void *ctx, struct err *err);

/* Starts <libexec_dir>/reachd-mailer with the board at SMTP_BOARD_FD and one end of a socketpair at SMTP_LINK_FD; *fd_r is the other
 * end, non-blocking. `name` is its only argument, for process lists. 0; -1 with *err and *pid_r, *fd_r = -1. */
int smtp_process_start(const char *libexec_dir, const char *name, int board_fd, pid_t *pid_r, int *fd_r, struct err *err);

#endif
