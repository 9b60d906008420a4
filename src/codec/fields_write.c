// The writers of single fields.
#include "fields.h"

#include "money.h"

#define MONEY_TEXT_SIZE_MAX 32u // sign, 19 digits, point

void fields_write_integer(struct json_writer *writer, const struct field_spec *spec, int64_t value)
{
    json_key(writer, spec->key);
    json_int(writer, value);
}

void fields_write_text(struct json_writer *writer, const struct field_spec *spec, struct text text)
{
    json_key(writer, spec->key);
    json_string(writer, text);
}

void fields_write_money(struct json_writer *writer, const struct field_spec *spec, int64_t minor,
                        struct currency currency)
{
    char memory[MONEY_TEXT_SIZE_MAX];
    struct buf number;
    buf_init_fixed(&number, memory, sizeof(memory));
    money_format(&number, minor, currency_exponent(currency));
    json_key(writer, spec->key);
    json_number(writer, buf_view(&number));
}
