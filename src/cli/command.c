// What every command shares.
#include "command.h"

#include <stdio.h>

const char *till_version(void)
{
    return TILL_VERSION;
}

void command_say(struct command_context *context, const char *format, ...)
{
    if (context->options->quiet) {
        return;
    }
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments); // a longer one is cut
    va_end(arguments);
    buf_add_fmt(&context->messages->buf, "%s\n", text);
    output_flush(context->messages);
}
