// till version.
#include "command.h"

#include "table_out.h"

#include <gnu/libc-version.h>
#include <sqlite3.h>

enum err cmd_version(struct command_context *context, struct why *why)
{
    static const struct table_column columns[] = {{"part", TABLE_TEXT}, {"version", TABLE_TEXT}};
    (void)why;
    const struct text rows[][2] = {
        {TEXT("till"), text_of(till_version())},
        {TEXT("sqlite"), text_of(sqlite3_libversion())},
        {TEXT("libyaml"), text_of(config_yaml_version())},
        {TEXT("glibc"), text_of(gnu_get_libc_version())},
        {TEXT("compiler"), TEXT(__VERSION__)},
    };
    struct table_out table;
    table_out_init(&table, (enum table_format)context->options->output, columns, 2, context->out);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)table_out_row(&table, rows[i]);
    }
    table_out_end(&table);
    return ERR_OK;
}
