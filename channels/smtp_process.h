/* smtp_process: how a mailer process comes to be: its board, its socket, its birth. */
#ifndef REACH_CHANNELS_SMTP_PROCESS_H
#define REACH_CHANNELS_SMTP_PROCESS_H

#include "base/err.h"
#include "channels/smtp_link.h"

#include <sys/types.h>

/* Makes a board of n entries in shared memory. The caller unmaps it (n * sizeof entry) and closes *fd_r. NULL with *err. */
struct smtp_board_slot *smtp_process_board(uint32_t n, int *fd_r, struct err *err);

/* Starts <libexec_dir>/reachd-mailer with the board at SMTP_BOARD_FD and one end of a socketpair at SMTP_LINK_FD; *fd_r is the other
 * end, non-blocking. `name` is its only argument, for process lists. 0; -1 with *err and *pid_r, *fd_r = -1. */
int smtp_process_start(const char *libexec_dir, const char *name, int board_fd, pid_t *pid_r, int *fd_r, struct err *err);

#endif
