/* The table of commands: every row can be found, explained and told apart, because help, completion and manual are made from it. */
#include "cli/command.h"
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static void every_row_has_help_and_a_handler(void **state) {
    (void)state;
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        assert_non_null(command->run);
        assert_true(strlen(command->help) > 10);
        assert_true(command->help[strlen(command->help) - 1] != '.');
        assert_true(command->min_arguments == 0 || command->arguments[0] != '\0');
        assert_true(command->max_arguments == -1 || command->max_arguments >= command->min_arguments);
        for (size_t k = 0; command->options[k].name != NULL; k++) {
            assert_non_null(command->options[k].help);
            assert_true(k < COMMAND_OPTIONS_MAX);
        }
    }
}

static void no_two_rows_have_the_same_name(void **state) {
    (void)state;
    for (size_t i = 0; i < command_table_size; i++) {
        const struct command *command = &command_table[i];
        assert_ptr_equal(command_find(command->noun, command->verb), command);
    }
}

static void a_noun_with_verbs_needs_one_of_them(void **state) {
    (void)state;
    assert_null(command_find("notice", NULL));
    assert_null(command_find("notice", "burn"));
    assert_null(command_find("nothing", "show"));
    assert_int_equal(command_has_noun("notice"), 1);
    assert_int_equal(command_has_noun("nothing"), 0);
    assert_non_null(command_find("notice", "show"));
}

static void a_noun_without_verbs_is_found_whatever_follows(void **state) {
    (void)state;
    assert_non_null(command_find("status", NULL));
    assert_ptr_equal(command_find("push", "jobs.ndjson"), command_find("push", NULL));
}

static void options_of_a_command_never_hide_the_global_ones(void **state) {
    static const char *const global[] = {"config", "redis", "json", "no-color", "yes", "help", "usage", "version"};
    (void)state;
    for (size_t i = 0; i < command_table_size; i++) {
        for (size_t k = 0; command_table[i].options[k].name != NULL; k++) {
            for (size_t g = 0; g < sizeof global / sizeof *global; g++) {
                assert_string_not_equal(command_table[i].options[k].name, global[g]);
            }
        }
    }
}

static void parse(struct parsed *parsed, enum ctl_exit expected, int argc, const char *const *argv) {
    char *copy[16] = {NULL}; /* argp moves words about */
    memcpy(copy, argv, (size_t)argc * sizeof *argv);
    assert_int_equal(options_parse(argc, copy, parsed), expected);
}

static void global_options_may_stand_before_and_after_the_command(void **state) {
    struct parsed parsed;
    (void)state;
    parse(&parsed, CTL_DONE, 6, (const char *const[]){"reachctl", "--config", "a.yaml", "status", "--json", "--watch", NULL});
    assert_string_equal(parsed.globals.config, "a.yaml");
    assert_true(parsed.globals.json);
    assert_false(parsed.globals.yes);
    assert_true(call_given(&parsed.call, "watch"));
    assert_false(call_given(&parsed.call, "until-idle"));
    parsed_fini(&parsed);
}

static void arguments_and_values_are_kept_in_order(void **state) {
    struct parsed parsed;
    (void)state;
    parse(&parsed, CTL_DONE, 6, (const char *const[]){"reachctl", "clearance", "check", "a@x.example", "--json", "b@x.example", NULL});
    assert_int_equal(parsed.call.n_arguments, 2);
    assert_string_equal(parsed.call.arguments[0], "a@x.example");
    assert_string_equal(parsed.call.arguments[1], "b@x.example");
    parsed_fini(&parsed);
    parse(&parsed, CTL_DONE, 5, (const char *const[]){"reachctl", "push", "--lane", "bulk", "-", NULL});
    assert_string_equal(call_value(&parsed.call, "lane"), "bulk");
    assert_null(call_value(&parsed.call, "partial"));
    assert_string_equal(parsed.call.arguments[0], "-");
    parsed_fini(&parsed);
}

static void a_command_that_does_not_exist_is_a_usage_error(void **state) {
    struct parsed parsed;
    (void)state;
    parse(&parsed, CTL_USAGE, 2, (const char *const[]){"reachctl", "explode", NULL});
    parsed_fini(&parsed);
    parse(&parsed, CTL_USAGE, 2, (const char *const[]){"reachctl", "notice", NULL});
    parsed_fini(&parsed);
    parse(&parsed, CTL_USAGE, 3, (const char *const[]){"reachctl", "notice", "burn", NULL});
    parsed_fini(&parsed);
    parse(&parsed, CTL_USAGE, 1, (const char *const[]){"reachctl", NULL});
    parsed_fini(&parsed);
}

static void the_list_of_commands_names_every_one(void **state) {
    struct buf list = BUF_INIT;
    (void)state;
    options_list_commands(&list);
    for (size_t i = 0; i < command_table_size; i++) {
        char name[64];
        assert_non_null(strstr(buf_str(&list), command_name(&command_table[i], name, sizeof name)));
    }
    buf_fini(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_help_and_a_handler),
        cmocka_unit_test(no_two_rows_have_the_same_name),
        cmocka_unit_test(a_noun_with_verbs_needs_one_of_them),
        cmocka_unit_test(a_noun_without_verbs_is_found_whatever_follows),
        cmocka_unit_test(options_of_a_command_never_hide_the_global_ones),
        cmocka_unit_test(global_options_may_stand_before_and_after_the_command),
        cmocka_unit_test(arguments_and_values_are_kept_in_order),
        cmocka_unit_test(a_command_that_does_not_exist_is_a_usage_error),
        cmocka_unit_test(the_list_of_commands_names_every_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
