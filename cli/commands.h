/* commands: the handlers that the table of commands names, one file a noun (cli/cmd_<noun>.c). */
#ifndef REACH_CLI_COMMANDS_H
#define REACH_CLI_COMMANDS_H

#include "cli/command.h"

typedef enum ctl_exit command_run_fn(struct ctl *ctl, const struct call *call);

command_run_fn status_run;
command_run_fn push_run;
command_run_fn preflight_run;
command_run_fn notice_show_run, notice_list_run;
command_run_fn customer_show_run;
command_run_fn stranded_run;
command_run_fn desk_list_run, desk_claim_run, desk_done_run;
command_run_fn clearance_check_run, release_check_run;
command_run_fn contacts_import_run, contacts_export_run;
command_run_fn receipt_bounce_run;
command_run_fn dead_list_run, dead_show_run;
command_run_fn template_lint_run, template_list_run, template_preview_run, template_publish_run, template_serve_run, template_render_run,
    template_mustache_run;
command_run_fn gateway_list_run, gateway_drain_run, gateway_enable_run, gateway_open_run;
command_run_fn gateway_lint_run, gateway_schema_run, gateway_test_run;
command_run_fn doctor_run;
command_run_fn completion_bash_run;
command_run_fn manual_run;

#endif
